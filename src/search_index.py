"""An index that is rebuilt once more after the last of many events, however many come meanwhile.

Each event says that a document was stored. A caller that comes during a run cannot rely on it, as
that has perhaps read the documents already; all of these callers share the next one.
"""

import os
import time
from typing import Any

import boto3

import work
from lambda_singleton import Lease, fenced, singleton

documents = boto3.resource("dynamodb").Table(os.environ["DOCUMENTS_TABLE"])


@work.tracer.capture_lambda_handler
@singleton(
    "search-index",
    duration=float(os.environ.get("LEASE_SECONDS", "60")),
    on_held="coalesce",
    wait=float(os.environ.get("WAIT_SECONDS", "120")),
)
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Build the index from all documents there are, and not from the event's."""
    with work.logged(lease):
        count = len(titles())
        time.sleep(work.seconds())
        documents.update_item(
            **fenced(
                lease,
                Key={"id": "index"},
                UpdateExpression="SET documents = :count",
                ExpressionAttributeValues={":count": count},
            )
        )
    return {"status": "rebuilt", "documents": count, "token": lease.token}


def titles() -> set[Any]:
    """Return the titles of all documents that are stored by now."""
    answer: Any = documents.get_item(Key={"id": "documents"}, ConsistentRead=True)
    found: set[Any] = answer.get("Item", {}).get("titles", set())
    return found
