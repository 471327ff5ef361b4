"""An hourly job that is done once for each slot, whatever is delivered twice, late or again.

A slot whose run has failed or died is done by the next delivery. One that has succeeded is done.
"""

import os
import time
from typing import Any

import work
from lambda_singleton import Lease, singleton


@work.tracer.capture_lambda_handler
@singleton(
    "hourly-rollup",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    key="time",
    once=True,
)
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Add up the hour that the schedule names. Its lease is `hourly-rollup#<time>`."""
    with work.logged(lease):
        time.sleep(work.seconds())
    return {"status": "added up", "slot": event["time"], "token": lease.token}
