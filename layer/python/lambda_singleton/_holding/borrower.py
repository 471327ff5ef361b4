"""A task that borrows the lease of its execution. Loaded by those who borrow only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .._clock import Instant, milliseconds, utc
from .._errors import LeaseHeldError, LeaseLostError
from .._events.event import Kind
from .._protocol.borrowing import Borrow, CheckpointLoan, GiveBack, RenewLoan
from .._protocol.record import LeaseRecord, Progress
from .._protocol.store import LeaseStore
from .._protocol.term import Term
from .._text import fact, in_words, quoted
from .acquire import TIME_TO_REPORT, prepare_store, refuse_late_start, start
from .request import TRIES, Answer, request
from .steps import Pause, Steps
from .tenure import Tenure

#: A task that waits for another attempt asks at least this often (seconds): it may give it back.
LONGEST_PAUSE = 1.0


class Borrower(Tenure):
    """One attempt of a task: it has its execution's lease for a while, under an owner of its own.

    It believes in the lease up to the attempt's end only, which is the term's. Others are kept out
    for `park` seconds after its last request, so that the execution can go on whatever becomes of
    it: with a retry, or with the next state.
    """

    def __init__(
        self,
        store: LeaseStore,
        name: str,
        term: Term,
        holder: Mapping[str, str],
        *,
        execution: str,
        park: float,
    ) -> None:
        super().__init__(store, name, term, holder)
        self.execution = execution
        self.borrow = partial(borrow, self)
        self._park = park
        #: The latest end that the row has, or may get by a request that is on its way.
        self._end = 0
        #: The length that belongs to it, in milliseconds.
        self._length = milliseconds(park)

    # What it asks the store for.

    def borrow_at(self, sent: Instant) -> Borrow:
        """Return the request that borrows it: from now on the row may name this owner."""
        refuse_late_start(self.term, sent.wall)
        plain = self.acquire_at(sent)
        return Borrow(
            name=plain.name,
            owner=plain.owner,
            execution=self.execution,
            holder=plain.holder,
            now=plain.now,
            attempt_until=plain.expires_at,
            expires_at=self._parked_until(sent),
            duration=self._length,
            clock_skew=plain.clock_skew,
        )

    def renew_at(self, sent: Instant) -> RenewLoan:  # type: ignore[override]
        """Return the request that extends it, and the park."""
        attempt_until = self.term.expiry(sent.wall)
        return RenewLoan(self.name, self.owner, attempt_until, self._parked_until(sent))

    def checkpoint_at(self, step: Progress, sent: Instant) -> CheckpointLoan:
        """Return the request that writes down how far it has come, and extends both."""
        return CheckpointLoan(
            self.name, self.owner, self.term.expiry(sent.wall), self._parked_until(sent), step
        )

    def release_at(self, sent: Instant, outcome: str) -> GiveBack:  # type: ignore[override]
        """Return the request that gives it back to the execution."""
        has_progress = self.progress is not None or self.step is not None
        return GiveBack(
            name=self.name,
            owner=self.owner,
            execution=self.execution,
            holder={"execution": self.execution, "acquired_at": utc(sent.wall)},
            expires_at=self._parked_until(sent),
            duration=self._length,
            clears=outcome == "succeeded" and has_progress,
        )

    def _parked_until(self, sent: Instant) -> int:
        # Nothing brings it down: neither a clock that runs backwards, nor a shorter park than the
        # execution has taken the lease for.
        end = milliseconds(sent.wall + self._park)
        if end > self._end:
            self._end, self._length = end, milliseconds(self._park)
        return self._end

    @property
    def parked_for(self) -> float:
        """For how many seconds others are kept out if nobody sends anything more."""
        return self._end / 1000 - self.store.clock.time()

    # What it learns.

    def taken(self, answer: Answer, record: LeaseRecord) -> None:
        """Believe that it is held, until the attempt's end."""
        super().taken(answer, record)
        # An execution that hands its lease on has not died.
        if self.taken_from == self.execution:
            self.taken_from = None

    def keeps_out(self, record: LeaseRecord | None) -> float:
        """Return for how many seconds a row that has refused keeps this attempt out.

        0: the row only ends later than was asked for, and the next request asks for that. Raises
        `LeaseLostError` if the execution has lost the lease.
        """
        if record is None or record.owner is None or not self._is_lent(record):
            raise self._lost_by_execution(record)
        if milliseconds(record.expires_at or 0) > self._end:
            self._end = milliseconds(record.expires_at or 0)
            self._length = max(self._length, milliseconds(record.duration or 0))
        until = None if record.loan is None else record.loan.until
        if record.owner == self.execution or until is None:
            return 0.0
        end = milliseconds(until) + milliseconds(self.store.clock_skew)
        return max(0, end - milliseconds(self.store.clock.time())) / 1000

    def _is_lent(self, record: LeaseRecord) -> bool:
        loan = record.loan
        return record.owner == self.execution or (
            loan is not None and (loan.execution, loan.token) == (self.execution, record.token)
        )

    # What it tells.

    def tell(self, kind: Kind, **facts: Any) -> None:
        """Tell what happened to it, and whose lease it is."""
        super().tell(kind, execution=self.execution, **facts)

    def held_error(self, record: LeaseRecord, free_in: float) -> LeaseHeldError:
        """Return the error that says which attempt of the execution has it."""
        until = None if record.loan is None else record.loan.until
        end = "" if until is None else f" until {utc(until)}"
        who = in_words(record.holder or {})
        return LeaseHeldError(
            f"lease {quoted(self.name)} is with another attempt of its execution{end}"
            + (f": {who}" if who else ""),
            name=self.name,
            holder=None if record.holder is None else dict(record.holder),
            held_until=until,
            retry_after=free_in,
        )

    def _lost_by_execution(self, record: LeaseRecord | None) -> LeaseLostError:
        is_held = record is not None and record.owner is not None
        who = in_words((record.holder if record is not None else None) or {})
        by = "nobody has it" if not is_held else f"somebody else has it: {who}"
        return LeaseLostError(
            f"execution {fact(self.execution)} does not have lease {quoted(self.name)}, or has lost"
            f" it in between: {by}",
            name=self.name,
            reason="stolen" if is_held else "expired",
        )


def checkpoint_loan_at(tenure: Tenure, step: Progress, sent: Instant) -> CheckpointLoan:
    """Return the checkpoint of a tenure that is a loan."""
    assert isinstance(tenure, Borrower)
    return tenure.checkpoint_at(step, sent)


def borrow(tenure: Borrower, wait: float) -> Steps[float]:
    """Borrow the lease; return for how many seconds another attempt has had it meanwhile.

    Raises `LeaseHeldError` while another attempt may be alive, and `LeaseLostError` if the
    execution does not have the lease.
    """
    clock, term = tenure.store.clock, tenure.term
    refuse_late_start(term, clock.time())
    yield partial(prepare_store, tenure.store, tenure.timeout)
    began = clock.monotonic()
    give_up_at = began + min(wait, term.time_left(clock.time()) - TIME_TO_REPORT)
    refusals = 0
    while True:
        asked_at = clock.monotonic()
        answer = yield from request(
            tenure.store,
            tenure.borrow_at,
            term=term,
            timeout=tenure.timeout,
            spare=tenure.timeout,
            refuse=tenure.refuse_own,
        )
        if answer.reply.applied:
            yield from start(tenure, answer)
            return asked_at - began if refusals else 0.0
        tenure.may_be_in_row = False
        record = answer.reply.record
        if record is None:
            # The store does not show what has refused it.
            record = yield partial(tenure.store.get, tenure.name)
        free_in = tenure.keeps_out(record)
        refusals += 1
        left = give_up_at - clock.monotonic()
        # A row that only ends later than was asked for is asked for again at once, if not for ever.
        if left <= 0 and (free_in > 0 or refusals > TRIES):
            raise tenure.held_error(record, free_in)
        if free_in > 0 or refusals > TRIES:
            yield Pause(max(0.001, min(left, free_in, LONGEST_PAUSE)))
