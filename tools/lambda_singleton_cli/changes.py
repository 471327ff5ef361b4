"""What happened to a lease between two looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from lambda_singleton._clock import epoch, utc

from .columns import who
from .status import State, Status
from .terminal_text import terminal_text
from .times import length


class Kind(StrEnum):
    """The word for it."""

    ACQUIRED = "acquired"
    RENEWED = "renewed"
    RELEASED = "released"
    EXPIRED = "expired"
    TAKEN_OVER = "taken over"
    FORCED = "freed by force"
    GONE = "gone"


class Change(NamedTuple):
    """One change, the lease after it (before it, of a deleted row), and what else is to say.

    `times` is how often it happened in a row.
    """

    kind: Kind
    status: Status
    detail: str
    times: int = 1

    @property
    def texts(self) -> tuple[str, str, str]:
        """The lease, the word for the change, and the rest, for people."""
        often = f", {self.times} times" if self.times > 1 else ""
        return terminal_text(self.status.record.name), self.kind.value, f"{self.detail}{often}"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines; `at` is when it was noticed."""
        lease = self.status.as_json()
        return {
            "at": utc(self.status.now),
            "change": self.kind.value,
            "name": lease["name"],
            "detail": self.detail,
            "lease": lease,
        }


def changes(before: Mapping[str, Status], after: Mapping[str, Status]) -> Iterator[Change]:
    """Tell the changes of all leases from two looks, by name."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if new is not None:
            yield from _changes(old, new)
        elif old is not None:
            yield Change(Kind.GONE, old, f"its token was {old.record.token}")


def _changes(old: Status | None, new: Status) -> Iterator[Change]:
    if old is None or new.record.token != old.record.token:
        yield from _changes_of_token(old, new)
    elif old.record.owner is not None and new.record.owner is None:
        yield Change(Kind.RELEASED, new, _outcome(new))
    elif new.record.owner is not None and new.record.expires_at != old.record.expires_at:
        assert new.record.expires_at is not None
        yield Change(Kind.RENEWED, new, f"for {length(new.record.expires_at - new.now)} more")
    elif new.state is State.DEAD and old.state is not State.DEAD:
        yield Change(Kind.EXPIRED, new, f"{who(new)} did not renew it")


def _changes_of_token(old: Status | None, new: Status) -> Iterator[Change]:
    # Several things may have happened since: what is told leads from the old row to the new one.
    if old is not None and _was_forced(old, new):
        yield Change(Kind.FORCED, new, _fenced(old, new))
        return
    token = f"token {new.record.token}"
    taking = Change(Kind.ACQUIRED, new, f"by {who(new)}, {token}")
    dead = _dead_before(old, new)
    if dead is not None:
        taking = Change(Kind.TAKEN_OVER, new, f"by {who(new)}, after {dead} died, {token}")
    if old is not None and old.record.owner not in (None, new.record.owner, new.record.taken_from):
        if new.record.last_run != old.record.last_run:
            yield Change(Kind.RELEASED, new, _outcome(new) if new.record.owner else "")
        elif dead is None:
            yield Change(Kind.FORCED, new, _fenced(old, new))
    yield taking
    if new.record.owner is None:
        yield Change(Kind.RELEASED, new, _outcome(new))


def _was_forced(old: Status, new: Status) -> bool:
    said = new.record.holder, new.record.last_run
    return new.record.owner is None and said == (old.record.holder, old.record.last_run)


def _dead_before(old: Status | None, new: Status) -> str | None:
    """Return whom the lease was taken over from."""
    before = None if old is None else old.record.owner
    found = new.record.taken_from
    if new.lent_by is not None and found == new.lent_by:
        # An execution that lends its lease to a task is alive.
        return None
    if old is not None and before is not None and found == before != new.record.owner:
        return who(old)
    return None if found is None or new.record.owner in (None, found) else "somebody"


def _fenced(old: Status, new: Status) -> str:
    former = f", which fences {who(old)}" if old.record.owner is not None else ""
    return f"token {new.record.token}{former}"


def _outcome(status: Status) -> str:
    run = status.last_run
    started, ended = epoch(run.get("started")), epoch(run.get("ended"))
    words = [terminal_text(run.get("outcome", ""))]
    if started is not None and ended is not None:
        words.append(f"after {length(ended - started)}")
    return " ".join(filter(None, words))
