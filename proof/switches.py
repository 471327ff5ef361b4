"""The package without one of its rules, for the simulation: each function breaks a part of it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from lambda_singleton import LeaseRecord
from lambda_singleton._clock import Instant, milliseconds
from lambda_singleton._holding import checkpoint
from lambda_singleton._holding.borrower import Borrower
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._protocol.borrowing import Borrow, RenewLoan
from lambda_singleton._protocol.coalesce import LaterSuccess, Success
from lambda_singleton._protocol.execution import Keep, Return
from lambda_singleton._protocol.operations import Acquire, Release, Renew
from lambda_singleton._protocol.progress import Advance, Checkpoint
from lambda_singleton._protocol.record import Progress
from lambda_singleton._protocol.term import Term
from lambda_singleton._protocol.waiting import Waiting


class Broken(NamedTuple):
    """What to put in the place of an attribute."""

    owner: object
    attribute: str
    replacement: object


SWITCHES: dict[str, Broken] = {}

_allows, _apply = Acquire.allows, Acquire.apply
_release_at, _release = Tenure.release_at, Release.apply
_borrows, _borrowed, _keeps, _returns = Borrow.allows, Borrow.apply, Keep.allows, Return.allows
_borrow_at = Borrower.borrow_at
_silent_in: property = Waiting._silent_in  # type: ignore[assignment]


def _replaces(owner: object, attribute: str) -> Callable[[Callable[..., object]], object]:
    """Register a function, under its own name, as what breaks an attribute."""

    def register(function: Callable[..., object]) -> object:
        is_property = isinstance(vars(owner)[attribute], property)
        replacement = property(function) if is_property else function
        SWITCHES[function.__name__] = Broken(owner, attribute, replacement)
        return function

    return register


@_replaces(Renew, "allows")
def renew_may_lower(self: Renew, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


@_replaces(Renew, "allows")
def renew_without_owner(self: Renew, record: LeaseRecord | None) -> bool:
    return record is not None


@_replaces(Acquire, "allows")
def acquire_may_lower(self: Acquire, record: LeaseRecord | None) -> bool:
    return _allows(self, record) or (record is not None and record.owner == self.owner)


@_replaces(Acquire, "allows")
def acquire_without_skew(self: Acquire, record: LeaseRecord | None) -> bool:
    over = record is not None and milliseconds(record.expires_at or 0) <= self.now
    return _allows(self, record) or over


@_replaces(Acquire, "allows")
def acquire_waits_for_a_release(self: Acquire, record: LeaseRecord | None) -> bool:
    return _allows(self, record) and (record is None or record.owner in (None, self.owner))


@_replaces(Release, "allows")
def release_without_owner(self: Release, record: LeaseRecord | None) -> bool:
    return record is not None


@_replaces(Acquire, "apply")
def token_from_the_clock(self: Acquire, record: LeaseRecord | None) -> LeaseRecord:
    return _apply(self, None)


@_replaces(Acquire, "apply")
def token_not_from_the_clock(self: Acquire, record: LeaseRecord | None) -> LeaseRecord:
    return _apply(self, record or LeaseRecord(self.name, 0))


@_replaces(Term, "_latest")
def no_grace_for_the_kill(self: Term) -> float:
    return inf if self.deadline is None else self.deadline


@_replaces(Term, "_latest")
def a_lease_beyond_the_deadline(self: Term) -> float:
    return inf if self.deadline is None else self.deadline + 60


@_replaces(Tenure, "extend")
def count_from_the_reply(self: Tenure, sent: object, expires_at: float) -> None:
    now = Instant.now(self.store.clock)
    self._ends = Instant(now.wall + 3600, now.monotonic + (self.term.duration or 0))


@_replaces(Waiting, "_silent_in")
def half_an_observation(self: Waiting) -> float:
    duration = 0.0 if self.record is None else self.record.duration or 0.0
    return float(_silent_in.__get__(self)) - duration / 2 - self._clock_skew


@_replaces(Renewal, "stop_in")
def ask_without_looking_at_the_clock(self: Renewal) -> float:
    return 1.0


@_replaces(Acquire, "allows")
def order_without_done(self: Acquire, record: LeaseRecord | None) -> bool:
    return _allows(self, None if record is None else record._replace(done=None))


@_replaces(Acquire, "allows")
def order_without_begun(self: Acquire, record: LeaseRecord | None) -> bool:
    return _allows(self, None if record is None else record._replace(begun=None))


@_replaces(Tenure, "release_at")
def failure_is_recorded(self: Tenure, sent: Instant, outcome: str) -> Release:
    operation = _release_at(self, sent, outcome)
    assert isinstance(operation, Release)
    return operation._replace(done=self.aim.order)


@_replaces(Checkpoint, "allows")
def progress_may_go_back(self: Checkpoint, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


@_replaces(Advance, "allows")
def steps_are_applied_again(self: Advance, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


@_replaces(checkpoint, "next_step")
def each_request_is_a_step(tenure: Tenure, text: str) -> Progress:
    tenure.step = Progress(text, tenure.token, 1 if tenure.step is None else tenure.step.seq + 1)
    return tenure.step


@_replaces(LaterSuccess, "is_in")
def share_what_was_there(self: LaterSuccess, success: Success | None) -> bool:
    return success is not None and success.token >= self.since and success.work == self.work


@_replaces(LaterSuccess, "is_in")
def share_any_work(self: LaterSuccess, success: Success | None) -> bool:
    return success is not None and success.token > self.since


@_replaces(Release, "apply")
def success_with_the_rows_token(self: Release, record: LeaseRecord | None) -> LeaseRecord:
    assert record is not None
    success = None if self.success is None else self.success._replace(token=record.token)
    return _release(self._replace(success=success), record)


@_replaces(Tenure, "release_at")
def failure_is_shared(self: Tenure, sent: Instant, outcome: str) -> Release:
    operation = _release_at(self, sent, outcome)
    assert isinstance(operation, Release)
    return operation._replace(success=self.aim.success(self.token))


@_replaces(Acquire, "allows")
def acquire_despite_success(self: Acquire, record: LeaseRecord | None) -> bool:
    return _allows(self._replace(unless=None), record)


def _without_end(record: LeaseRecord | None) -> LeaseRecord | None:
    """The row as if it had ended long ago, for other callers."""
    return None if record is None else record._replace(expires_at=1.0)


def _of_a_dead_attempt(record: LeaseRecord | None) -> LeaseRecord | None:
    """The row as if the attempt that has borrowed it had ended long ago."""
    loan = None if record is None else record.loan
    if record is None or loan is None:
        return record
    return record._replace(loan=loan._replace(until=None if loan.until is None else 1.0))


@_replaces(Borrower, "borrow_at")
def attempts_share_an_owner(self: Borrower, sent: Instant) -> Borrow:
    self.owner = f"{self.execution}/task"
    return _borrow_at(self, sent)


@_replaces(Borrow, "allows")
def borrow_from_the_living(self: Borrow, record: LeaseRecord | None) -> bool:
    return _borrows(self, _of_a_dead_attempt(record))


@_replaces(Borrow, "allows")
def borrow_may_cut_the_park(self: Borrow, record: LeaseRecord | None) -> bool:
    return _borrows(self, _without_end(record))


@_replaces(Borrow, "allows")
def borrow_may_lower_its_own_end(self: Borrow, record: LeaseRecord | None) -> bool:
    is_mine = record is not None and record.owner == self.owner
    return _borrows(self, _of_a_dead_attempt(record) if is_mine else record)


@_replaces(Borrow, "allows")
def borrow_without_continuity(self: Borrow, record: LeaseRecord | None) -> bool:
    if record is None or record.loan is None:
        return _borrows(self, record)
    return _borrows(self, record._replace(token=record.loan.token))


@_replaces(Borrow, "allows")
def borrow_of_a_free_lease(self: Borrow, record: LeaseRecord | None) -> bool:
    if record is None or record.owner is not None:
        return _borrows(self, record)
    return _borrows(self, record._replace(owner="nobody", expires_at=1.0))


@_replaces(Borrow, "apply")
def the_length_is_left_behind(self: Borrow, record: LeaseRecord | None) -> LeaseRecord:
    assert record is not None
    return _borrowed(self, record)._replace(duration=record.duration)


@_replaces(RenewLoan, "allows")
def a_renewal_may_lower_the_attempt(self: RenewLoan, record: LeaseRecord | None) -> bool:
    return self._plain.allows(record)


@_replaces(Return, "allows")
def return_from_itself_only(self: Return, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


@_replaces(Return, "allows")
def return_from_the_living(self: Return, record: LeaseRecord | None) -> bool:
    return _returns(self, _of_a_dead_attempt(record))


@_replaces(Keep, "allows")
def keep_may_lower(self: Keep, record: LeaseRecord | None) -> bool:
    return _keeps(self, _without_end(record))


@_replaces(Borrower, "_parked_until")
def a_park_like_a_lease(self: Borrower, sent: Instant) -> int:
    return self.term.expiry(sent.wall)
