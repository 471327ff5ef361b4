"""A Step Functions task. `LeaseHeldError` is the state machine's to retry, by that name."""

import os
import time
from typing import Any

import work
from lambda_singleton import current_lease, singleton


@work.tracer.capture_lambda_handler
@singleton(
    "reindex",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    # Where an execution has the lease for all of its states, as in reindex_borrowed.asl.yaml.
    borrow="execution",
    park=float(os.environ.get("PARK_SECONDS", "120")),
)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Rebuild one index."""
    with work.logged(current_lease()):
        rebuild(event["index"])
    return {"index": event["index"], "token": current_lease().token}


def rebuild(index: str) -> None:
    """Do what takes long. The lease needs no attention here: it is renewed meanwhile."""
    current_lease().check()
    time.sleep(work.seconds())
