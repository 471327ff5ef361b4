"""A handler that shares its runs with others, of two kinds of work, and notes what it sees."""

import json
import os
import time
from typing import Any

from lambda_singleton import DynamoDBStore, Lease, singleton


class WrongClock:
    """The time, as this process sees it."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def time(self) -> float:
        return time.time() + float(os.environ["CLOCK_OFFSET"])


shared = singleton(
    "rebuild",
    float(os.environ["DURATION"]),
    wait=float(os.environ["WAIT"]),
    on_held="coalesce",
    store=DynamoDBStore(clock=WrongClock()),
)


@shared
def rebuild(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Rebuild what the other work does not."""
    return do(event, context, lease)


@shared
def other(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Do other work under the same lease."""
    return do(event, context, lease)


def do(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, str]:
    """Be at work for a while."""
    note(event, context, "started", token=lease.token, until=time.time() + lease.remaining())
    time.sleep(event["seconds"])
    lease.check()
    note(event, context, "stopped")
    if event["fails"]:
        raise RuntimeError("it fails")
    note(event, context, "succeeded")
    return {"status": "rebuilt"}


def handler(event: dict[str, Any], context: Any) -> str:
    """Do what the event says, and say how that went."""
    note(event, context, "attempted", duration=float(os.environ["DURATION"]))
    status = {"rebuild": rebuild, "other": other}[event["work"]](event, context)["status"]
    if status == "coalesced":
        note(event, context, "shared")
    note(event, context, "ended")
    return status


def note(event: dict[str, Any], context: Any, kind: str, **facts: Any) -> None:
    """Write it down at once: the process may end at any moment."""
    run, work = context.aws_request_id, event["work"]
    line = {"at": time.time(), "kind": kind, "run": run, "lease": "rebuild", "work": work, **facts}
    # In one piece, and on a line of its own.
    os.write(1, b"\n" + json.dumps(line).encode() + b"\n")
