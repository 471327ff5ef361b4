"""The soak's jobs that have to happen: slots, versions, pages, and rebuilds that others share."""

import time
from typing import Any

from job import (  # type: ignore[import-not-found]
    DURATION,
    RESOURCES,
    noted,
    notes,
    sign,
    store,
    work,
)

from lambda_singleton import Lease, LeaseInterrupt, singleton


def handler(event: dict[str, Any], context: Any) -> str:
    """Do the event's job, and return how that went."""
    with noted(event, context):
        result: Any = JOBS[event["job"]](event)(event, context)
        status: str = result["status"]
        if status == "coalesced":
            notes.write("shared", work="rebuild")
        return "done" if result.get("reason") == "done" else status


def guard(event: dict[str, Any], **options: Any) -> Any:
    """Return the decorator of a job's lease."""
    return singleton("soak", DURATION, key="lease", wait=event["wait"], store=store, **options)


def slot(event: dict[str, Any]) -> Any:
    """Return a handler that does a slot once."""
    return guard(event, once=True)(at_work)


def version(event: dict[str, Any]) -> Any:
    """Return a handler that applies a version."""
    return guard(event, order="version")(at_work)


def pages(event: dict[str, Any]) -> Any:
    """Return a handler that reads the pages that are left, each with an effect."""
    return guard(event, once=True)(read_pages)


def rebuild(event: dict[str, Any]) -> Any:
    """Return a handler whose run others may share."""
    return guard(event, on_held="coalesce")(rebuilds)


JOBS = {"slot": slot, "version": version, "pages": pages, "rebuild": rebuild}


def at_work(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Work, and fail if the event says so."""
    work(event, context, lease)
    if event["fails"]:
        raise RuntimeError("it fails")
    return {"status": "did it"}


def rebuilds(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Do the same, and say that it succeeds."""
    result = at_work(event, context, lease)
    notes.write("succeeded", work="rebuild")
    return result


def read_pages(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Go on where the last run stopped."""
    sign("started", context, lease)
    try:
        for page in range((lease.progress or 0) + 1, event["pages"] + 1):
            time.sleep(0.05)
            sign("held", context, lease)
            lease.checkpoint(page, effects=[counted(lease.name)], margin=0)
    except LeaseInterrupt:
        notes.write("told")
        raise
    finally:
        notes.write("stopped")
    return {"status": "did it"}


def counted(name: str) -> dict[str, Any]:
    """Return what a page does: it is counted."""
    return {
        "Update": {
            "TableName": RESOURCES,
            "Key": {"id": {"S": f"pages of {name}"}},
            "UpdateExpression": "ADD pages :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
