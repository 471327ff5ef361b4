"""A handler whose invocation has time for some pages of its job only."""

import os
from typing import Any

from lambda_singleton import Lease, singleton


@singleton(os.environ["LEASE"], 5)
def handler(event: Any, context: Any, lease: Lease) -> list[int]:
    """Read the pages that are left, and return which those were."""
    read = []
    for page in range((lease.progress or 0) + 1, event["pages"] + 1):
        read.append(page)
        is_out_of_time = page % event["at_a_time"] == 0
        lease.checkpoint(page, margin=1e6 if is_out_of_time else 0)
    return read
