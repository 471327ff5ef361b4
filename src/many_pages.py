"""A job of many pages that outlives its invocations: each goes on where the last one stopped.

Lambda kills at 15 minutes, and processes die. What a page does and how far the job has come are
written in one transaction, so that each page counts once, whatever dies in between.
"""

import os
import time
from typing import Any

import work
from lambda_singleton import Lease, singleton


@work.tracer.capture_lambda_handler
@singleton(
    "many-pages",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    key="job",
    once=True,
)
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Read the pages of a job. Too little time left is a `LeaseDeadlineError`: retry by that."""
    with work.logged(lease):
        for page in range((lease.progress or 0) + 1, event["pages"] + 1):
            time.sleep(work.seconds() / event["pages"])
            lease.checkpoint(
                page,
                effects=[counted(event["job"])],
                margin=float(os.environ.get("MARGIN_SECONDS", "10")),
            )
    return {"status": "read", "pages": event["pages"], "token": lease.token}


def counted(job: str) -> dict[str, Any]:
    """Return what one page does: here it is counted, in an item of the job's own."""
    return {
        "Update": {
            "TableName": os.environ["PAGES_TABLE"],
            "Key": {"id": {"S": job}},
            "UpdateExpression": "ADD pages :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
