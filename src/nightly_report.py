"""A scheduled job. EventBridge may deliver it twice: the second run is skipped, not failed.

An exception would make Lambda retry the invocation twice more.
"""

import os
import time
from typing import Any

import work
from lambda_singleton import Lease, singleton


@work.tracer.capture_lambda_handler
@singleton(
    "nightly-report",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    on_held="skip",
    # A duplicate delivery may come when the first one is done already.
    min_hold=float(os.environ.get("MIN_HOLD_SECONDS", "300")),
)
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Write the report for the day that the schedule names."""
    with work.logged(lease):
        time.sleep(work.seconds())
    return {"status": "written", "day": event["time"][:10], "token": lease.token}
