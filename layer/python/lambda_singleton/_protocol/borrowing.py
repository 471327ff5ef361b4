"""The operations of a task that borrows its execution's lease.

An execution of a state machine holds the lease under its own id. Each attempt of a task borrows it
under an owner of its own, and gives it back:

    execution ──Borrow──▶ attempt ──GiveBack──▶ execution
                             │
                             └─ died ──Borrow──▶ the next attempt

There are two clocks. Other callers go by `expires_at_ms`, as always: the end of the park. Attempts
of the same execution, and the one that has borrowed it, go by `attempt_until_ms`, which is sooner:

    attempt renews                  attempt is dead                    nobody has come back
    ───────────────┬────────────────────────────────────┬─────────────────────────────────────▶
          attempt_until_ms (+ clock_skew)     expires_at_ms (+ clock_skew)
    only the attempt    its execution, or another attempt of it       anybody

All times are epoch milliseconds, read on the caller's clock before the request is sent.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .._clock import milliseconds
from .execution import goes_on
from .loan import Loan
from .operation import Value
from .operations import Renew
from .progress import Checkpoint
from .record import LeaseRecord, Progress


class Borrow(NamedTuple):
    """Take the lease from the execution that has it, or from a dead attempt of its tasks.

    The owner is new for every attempt: two that share one would renew each other's lease. Nobody
    else may have had it in between: then the row's token is another than the loan's.

    The expiry never comes down: a request that is applied late would cut the park for which the
    execution relies on it. Nor does the attempt's end, when the first try comes after the second.

    `duration` is the length that belongs to the expiry: who watches the row for that long takes it
    over. With the row's own expiry it is the row's own as well: a watcher that sees the execution
    again, with the same expiry, does not know that a loan came in between.
    """

    name: str
    owner: str
    execution: str
    holder: Mapping[str, str]
    now: int
    attempt_until: int
    expires_at: int
    duration: int
    clock_skew: int

    @property
    def condition(self) -> str:
        return (
            "#expires_at_ms <= :expires_at AND (#owner = :execution"
            " OR (#owner = :owner AND #attempt_until_ms <= :attempt_until)"
            " OR (attribute_exists(#owner) AND #baton = :execution AND #baton_token = #token"
            " AND #attempt_until_ms <= :dead))"
        )

    def allows(self, record: LeaseRecord | None) -> bool:
        if record is None or record.expires_at is None:
            return False
        return milliseconds(record.expires_at) <= self.expires_at and (
            record.owner == self.execution
            or (record.owner == self.owner and ends_by(record, self.attempt_until))
            or goes_on(record, self.execution, self.now - self.clock_skew)
        )

    @property
    def update(self) -> str:
        return (
            "SET #token = #token + :one, #owner = :owner, #holder = :holder,"
            " #expires_at_ms = :expires_at, #duration_ms = :duration, #expiration = :expiration,"
            " #attempt_until_ms = :attempt_until, #baton = :execution,"
            " #baton_token = #token + :one, #taken_from = #owner"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(
            token=record.token + 1,
            owner=self.owner,
            holder=self.holder,
            expires_at=self.expires_at / 1000,
            duration=self.duration / 1000,
            taken_from=record.owner,
            loan=Loan(self.execution, record.token + 1, self.attempt_until / 1000),
        )

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":execution": self.execution,
            ":holder": self.holder,
            ":dead": self.now - self.clock_skew,
            ":attempt_until": self.attempt_until,
            ":expires_at": self.expires_at,
            ":duration": self.duration,
            ":one": 1,
        }

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class RenewLoan(NamedTuple):
    """Move both ends on, only while the owner is still me. Neither ever comes down."""

    name: str
    owner: str
    attempt_until: int
    expires_at: int

    @property
    def _plain(self) -> Renew:
        return Renew(self.name, self.owner, self.expires_at)

    @property
    def condition(self) -> str:
        return f"{self._plain.condition} AND #attempt_until_ms <= :attempt_until"

    def allows(self, record: LeaseRecord | None) -> bool:
        return self._plain.allows(record) and ends_by(record, self.attempt_until)

    @property
    def update(self) -> str:
        return f"{self._plain.update}, #attempt_until_ms = :attempt_until"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        return _lent_until(self._plain.apply(record), self.attempt_until)

    @property
    def values(self) -> dict[str, Value]:
        return {**self._plain.values, ":attempt_until": self.attempt_until}

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class CheckpointLoan(NamedTuple):
    """Write down how far the task has come, and move both ends on with the same request."""

    name: str
    owner: str
    attempt_until: int
    expires_at: int
    progress: Progress

    @property
    def _plain(self) -> Checkpoint:
        return Checkpoint(self.name, self.owner, self.expires_at, self.progress)

    @property
    def condition(self) -> str:
        return f"{self._plain.condition} AND #attempt_until_ms <= :attempt_until"

    def allows(self, record: LeaseRecord | None) -> bool:
        return self._plain.allows(record) and ends_by(record, self.attempt_until)

    @property
    def update(self) -> str:
        return f"{self._plain.update}, #attempt_until_ms = :attempt_until"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        return _lent_until(self._plain.apply(record), self.attempt_until)

    @property
    def values(self) -> dict[str, Value]:
        return {**self._plain.values, ":attempt_until": self.attempt_until}

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class GiveBack(NamedTuple):
    """Give the lease back to the execution, only while the owner is still me.

    `expires_at` is the end of the park, and `duration` the length that belongs to it, as of Borrow.
    `holder` describes the execution. What is left of the task's progress is removed if it `clears`.
    """

    name: str
    owner: str
    execution: str
    holder: Mapping[str, str]
    expires_at: int
    duration: int
    clears: bool = False

    @property
    def condition(self) -> str:
        return "#owner = :owner"

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and record.owner == self.owner

    @property
    def update(self) -> str:
        progress = ", #progress, #progress_token, #progress_seq" if self.clears else ""
        return (
            "SET #owner = :execution, #holder = :holder, #expires_at_ms = :expires_at,"
            " #duration_ms = :duration, #expiration = :expiration"
            f" REMOVE #attempt_until_ms{progress}"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(
            owner=self.execution,
            holder=self.holder,
            expires_at=self.expires_at / 1000,
            duration=self.duration / 1000,
            loan=None if record.loan is None else record.loan._replace(until=None),
            progress=None if self.clears else record.progress,
        )

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":execution": self.execution,
            ":holder": self.holder,
            ":expires_at": self.expires_at,
            ":duration": self.duration,
        }

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.execution


def ends_by(record: LeaseRecord | None, moment: int) -> bool:
    """Say whether the attempt that has borrowed it ends by then, if nobody renews it."""
    until = None if record is None or record.loan is None else record.loan.until
    return until is not None and milliseconds(until) <= moment


def _lent_until(record: LeaseRecord, moment: int) -> LeaseRecord:
    loan = record.loan
    return record._replace(loan=None if loan is None else loan._replace(until=moment / 1000))
