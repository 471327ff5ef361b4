"""One run at a time for each tenant; different tenants side by side."""

import os
import time
from typing import Any

import work
from lambda_singleton import Lease, singleton


@work.tracer.capture_lambda_handler
@singleton(
    "tenant-sync",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    key="detail.tenant",
    on_held="skip",
)
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Synchronise the tenant that the event names. Its lease is `tenant-sync#<tenant>`."""
    with work.logged(lease):
        time.sleep(work.seconds())
    return {"status": "synchronised", "tenant": event["detail"]["tenant"], "token": lease.token}
