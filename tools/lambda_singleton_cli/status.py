"""A lease as it stands at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lambda_singleton._clock import LATEST, epoch, milliseconds, utc
from lambda_singleton._protocol.record import LeaseRecord
from lambda_singleton._protocol.store import LeaseStore

#: An acquisition's two times are rounded in different ways, in seconds.
_ROUNDING = 0.002


class State(StrEnum):
    """What the next caller meets, and why."""

    HELD = "held"
    ENDING = "ending"
    DEAD = "dead"
    RESTING = "resting"
    PAUSED = "paused"
    FREE = "free"

    @property
    def meaning(self) -> str:
        """The state in a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    State.HELD: "somebody has it, and its time is not over",
    State.ENDING: "its time is over, but clocks may differ: nobody may take it yet",
    State.DEAD: "neither renewed nor released: the next caller takes it over",
    State.RESTING: "nobody has it, but nobody may take it yet: a minimum hold",
    State.PAUSED: "an operator has it, so that nobody runs: a maintenance window",
    State.FREE: "nobody has it: the next caller takes it",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A row, read at `now`. Times are epoch seconds, lengths are seconds; None if not known."""

    record: LeaseRecord
    now: float
    clock_skew: float

    @classmethod
    def of(cls, record: LeaseRecord, store: LeaseStore) -> Status:
        """Judge a row that was read just now."""
        return cls(record, store.clock.time(), store.clock_skew)

    @property
    def state(self) -> State:
        """The same comparisons as an acquisition's, in whole milliseconds."""
        end, now = self.record.expires_at, milliseconds(self.now)
        if self.record.owner is None:
            return State.RESTING if end is not None and milliseconds(end) > now else State.FREE
        if end is None or milliseconds(end) > now:
            return State.PAUSED if self.record.is_paused else State.HELD
        is_dead = milliseconds(end) <= now - milliseconds(self.clock_skew)
        if is_dead and self.record.is_paused:
            # Nobody has died with it.
            return State.FREE
        return State.DEAD if is_dead else State.ENDING

    @property
    def since(self) -> float | None:
        """When it was taken or, of a lease that nobody has, when the last run gave it back."""
        acquired = epoch(self.holder.get("acquired_at"))
        if self.record.owner is not None:
            return acquired
        ended = epoch(self.last_run.get("ended"))
        # Freed by force: that run ended before the holder came whom nobody heard of again.
        return None if ended is None or (acquired is not None and ended < acquired) else ended

    @property
    def age(self) -> float | None:
        """For how long it has been so."""
        return None if self.since is None else max(0.0, self.now - self.since)

    @property
    def until(self) -> float | None:
        """The end of its time, or of its minimum hold."""
        return None if self.state is State.FREE else self.record.expires_at

    @property
    def free_at(self) -> float | None:
        """When others may take it if it is not renewed; None if they may already."""
        if self.until is None or self.state is State.DEAD:
            return None
        skew = 0.0 if self.record.owner is None else self.clock_skew
        return min(LATEST, self.until + skew)

    @property
    def renewed(self) -> float | None:
        """About when it was renewed last: a renewal moves the end to a whole duration from then."""
        record, taken = self.record, epoch(self.holder.get("acquired_at"))
        if None in (record.owner, record.expires_at, record.duration) or taken is None:
            return None
        assert record.expires_at is not None
        assert record.duration is not None
        latest = record.expires_at - record.duration
        return latest if latest > taken + _ROUNDING else None

    @property
    def waiting(self) -> int:
        """How many wait at most: those who gave up count until somebody behind them was served."""
        if self.record.owner is None:
            return 0
        return max(0, self.record.tickets - self.record.served)

    @property
    def lent_by(self) -> str | None:
        """The execution that has lent it to one of its tasks; None if it is not lent."""
        loan, owner = self.record.loan, self.record.owner
        if loan is None or owner in (None, loan.execution) or loan.token != self.record.token:
            return None
        return loan.execution

    @property
    def holder(self) -> Mapping[str, str]:
        """Who holds it or held it last, as they described themselves."""
        return self.record.holder or {}

    @property
    def last_run(self) -> Mapping[str, str]:
        """The latest run that could say how it went."""
        return self.record.last_run or {}

    def as_json(self) -> dict[str, Any]:
        """Return it for machines: times as ISO 8601 in UTC, lengths in seconds."""
        record = self.record
        progress = None if record.progress is None else record.progress.text
        token, work = (None, None) if record.success is None else record.success
        more: dict[str, Any] = {"done": record.done, "begun": record.begun, "progress": progress}
        more |= {"succeeded": token, "succeeded_by": work}
        if record.loan is not None and self.lent_by is not None:
            until = record.loan.until
            more["loan"] = {
                "execution": self.lent_by,
                "until": None if until is None else utc(until),
            }
        return {
            "name": record.name,
            "state": self.state.value,
            "token": record.token,
            "owner": record.owner,
            "holder": dict(self.holder) or None,
            "since": _utc(self.since),
            "until": _utc(self.until),
            "age": None if self.age is None else round(self.age, 3),
            "duration": record.duration,
            "renewed": _utc(self.renewed),
            "free_at": _utc(self.free_at),
            "waiting": self.waiting,
            "last_run": dict(self.last_run) or None,
            **{key: value for key, value in more.items() if value is not None},
        }


def _utc(moment: float | None) -> str | None:
    return None if moment is None else utc(moment)
