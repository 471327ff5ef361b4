"""Who holds a lease that was refused, in words and facts."""

from __future__ import annotations

from .._clock import utc
from .._errors import LeaseHeldError, RefusalReason
from .._events.event import LeaseEvent
from .._events.observers import tell
from .._protocol.coalesce import Success
from .._protocol.record import LeaseRecord
from .._protocol.store import LeaseStore
from .._text import fact, in_words, quoted


def tell_of_waiting(name: str, record: LeaseRecord | None, now: float) -> None:
    """Tell whom this row makes wait for."""
    holder = None if record is None else record.holder
    held_until = None if record is None else record.expires_at
    why = "held" if record is None else _why(record)
    reason = None if why == "held" else why
    tell(LeaseEvent("waiting", name, now, holder=holder, held_until=held_until, reason=reason))


class CoalescedError(LeaseHeldError):
    """A run that began after this caller came has succeeded: there is nothing left to do."""

    def __init__(self, name: str, success: Success) -> None:
        super().__init__(f"a later run of lease {quoted(name)} has succeeded", name=name)
        self.success = success


def tell_of_refusal(error: LeaseHeldError, now: float, *, took: float) -> None:
    """Tell that somebody else has the lease, or has done what this run was for."""
    if isinstance(error, CoalescedError):
        tell(LeaseEvent("coalesced", error.name, now, token=error.success.token, took=took))
        return
    tell(
        LeaseEvent(
            "skipped",
            error.name,
            now,
            took=took,
            holder=error.holder,
            held_until=error.held_until,
            reason=None if error.reason == "held" else error.reason,
        )
    )


def held(name: str, record: LeaseRecord | None, store: LeaseStore) -> LeaseHeldError:
    """Return the error that says who holds the lease, and until when."""
    if record is None:
        return LeaseHeldError(f"lease {quoted(name)} is held", name=name)
    who = in_words(record.holder or {})
    until = "" if record.expires_at is None else f" until {utc(record.expires_at)}"
    reason = _why(record)
    how = f"rests{until}, last held" if reason == "resting" else f"is {reason}{until}"
    if reason == "paused":
        who = fact((record.holder or {}).get("paused_by", "somebody"))
    return LeaseHeldError(
        f"lease {quoted(name)} {how}" + (f" by {who}" if who else ""),
        name=name,
        reason=reason,
        holder=None if record.holder is None else dict(record.holder),
        held_until=record.expires_at,
        retry_after=_free_in(record, store),
    )


def _why(record: LeaseRecord) -> RefusalReason:
    if record.owner is None:
        return "resting"
    return "paused" if record.is_paused else "held"


def done(name: str, record: LeaseRecord | None, reason: RefusalReason) -> LeaseHeldError:
    """Return the error that says why there is nothing left to do."""
    # Waiting would not help, whoever holds the lease.
    how = "is done" if reason == "done" else "has been superseded: a later one has begun"
    holder = None if record is None or record.holder is None else dict(record.holder)
    return LeaseHeldError(
        f"this run of lease {name!r} {how}", name=name, reason=reason, holder=holder
    )


def _free_in(record: LeaseRecord, store: LeaseStore) -> float | None:
    # For a caller that has not watched the holder, and tries once.
    if record.expires_at is None:
        return None
    skew = 0.0 if record.owner is None else store.clock_skew
    return max(0.0, record.expires_at + skew - store.clock.time())
