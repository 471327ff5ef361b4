"""One structured line for each decision, on the logger `lambda_singleton`."""

from __future__ import annotations

import sys
from typing import Any

from .._clock import utc
from .._text import fact, in_words, plain, quoted, told
from .event import LeaseEvent
from .logger import logger

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40

# Contention is what leases are for: it never warns.
_LEVELS = {
    "acquired": INFO,
    "waiting": INFO,
    "skipped": INFO,
    "coalesced": INFO,
    "failed": ERROR,
    "renewed": DEBUG,
    "renewal_failed": WARNING,
    "lost": ERROR,
    "released": INFO,
    "release_failed": WARNING,
    "unrecorded": WARNING,
    "forced": WARNING,
}


def log(event: LeaseEvent) -> None:
    """Write the event, as a sentence and as fields."""
    # Somebody died without releasing it: worth a look, though all is well now.
    level = WARNING if event.taken_from else _LEVELS[event.kind]
    if level < WARNING and "logging" not in sys.modules:
        # Nobody has asked for lines: its import would be for nothing.
        return
    if logger().isEnabledFor(level):
        logger().log(level, "%s", _sentence(event), extra=_fields(event))


def _sentence(event: LeaseEvent) -> str:
    lease = f"lease {quoted(event.lease)}"
    match event.kind:
        case "acquired":
            dead = event.taken_from
            how = f"taken over after owner {fact(dead)} let it expire," if dead else ""
            waited = f" after {event.waited:.3f} s of waiting" if event.waited else ""
            of = f" from execution {fact(event.execution)}" if event.execution else ""
            taken = f"borrowed{of}" if of else "acquired"
            return f"{lease} {how or taken} with token {event.token}{waited}"
        case "waiting":
            return f"waiting for {lease}, which {_holder(event)}"
        case "skipped":
            return f"skipped: {_refusal(lease, event)}"
        case "coalesced":
            return f"{lease} needs no run: a later one has succeeded (token {event.token})"
        case "failed":
            return f"{lease} was not acquired, nothing runs: {_error(event)}"
        case "renewed":
            return f"{lease} renewed until {utc(event.until or 0)}"
        case "renewal_failed":
            return f"{lease} was not renewed, trying again: {_error(event)}"
        case "lost":
            return f"{lease} (token {event.token}) is lost: {plain(str(event.reason))}"
        case "released":
            to = (
                f"given back to execution {fact(event.execution)}"
                if event.execution
                else "released"
            )
            return f"{lease} {to} after {event.held or 0:.3f} s: {event.outcome}"
        case "release_failed":
            return f"{lease} could not be released and ends by itself: {_error(event)}"
        case "unrecorded":
            return f"{lease}: success not recorded (token {event.token}), it may be done again"
        case "forced":
            return f"{lease} was released by force: its token is {event.token} now"


def _refusal(lease: str, event: LeaseEvent) -> str:
    if event.reason == "done":
        return f"this run of {lease} is done"
    if event.reason == "superseded":
        return f"this run of {lease} is superseded, a later one has begun"
    return f"{lease} {_holder(event)}"


def _holder(event: LeaseEvent) -> str:
    until = "" if event.held_until is None else f" until {utc(event.held_until)}"
    who = in_words(event.holder or {})
    # In its minimum hold nobody has it.
    how = f"rests{until}, last held" if event.reason == "resting" else f"is held{until}"
    if event.reason == "paused":
        how, who = f"is paused{until}", fact((event.holder or {}).get("paused_by", "somebody"))
    return how + (f" by {who}" if who else "")


def _fields(event: LeaseEvent) -> dict[str, Any]:
    fields: dict[str, Any] = {"decision": event.kind, **event._asdict()}
    del fields["kind"]
    for time in ("until", "held_until"):
        fields[time] = None if fields[time] is None else utc(fields[time])
    for length in ("took", "waited", "held"):
        fields[length] = None if fields[length] is None else round(fields[length], 6)
    fields["holder"] = None if event.holder is None else dict(event.holder)
    if event.error is not None:
        fields["error"] = f"{type(event.error).__name__}: {_error(event)}"
    return {field: value for field, value in fields.items() if value is not None}


def _error(event: LeaseEvent) -> str:
    return "" if event.error is None else told(event.error)
