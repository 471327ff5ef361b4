"""What a decorator was told, and what it means for one invocation of its handler."""

import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypedDict

from .._clock import LONGEST
from .._environment import disabled_store, is_disabled
from .._errors import LeaseHeldError, RefusalReason
from .._holding.aim import NOTHING_MORE, Aim
from .._holding.hold import Hold, OnLost
from .._holding.refusal import CoalescedError
from .._holding.tenure import Tenure
from .._invocation import describe_holder, term_of
from .._protocol.order import Order
from .._protocol.store import LeaseStore
from .._protocol.term import Term
from .durable import refuse_durable
from .kept_skip import refuse_kept_skip


class SkippedLease(TypedDict):
    """Who held the lease of a skipped run, and until when (epoch seconds)."""

    name: str
    holder: dict[str, str] | None
    held_until: float | None


class Skipped(TypedDict):
    """The result of a handler that did not run: `{"status": "skipped", "lease": {...}}`.

    `reason` is "held"; "resting" if the last run has ended within its minimum hold; "paused" if an
    operator has the lease; "done" if this slot or order has succeeded before; "superseded" if a
    later order has begun.
    """

    status: Literal["skipped"]
    reason: RefusalReason
    lease: SkippedLease


class CoalescedLease(TypedDict):
    """The lease of a caller that shared a run, and the token of that run."""

    name: str
    token: int


class Coalesced(TypedDict):
    """The result of a handler that did not run, since a run that began after its call succeeded.

    `{"status": "coalesced", "lease": {...}}`.
    """

    status: Literal["coalesced"]
    lease: CoalescedLease


class Options(NamedTuple):
    """What the decorator was told, checked."""

    name: str
    full_name: Callable[[Any, Any], str]
    duration: float | None
    wait: float
    on_held: Any
    on_lost: OnLost
    min_hold: float
    store: Callable[[], LeaseStore]
    order: Callable[[Any, Any], Order] | None = None
    rising: bool = False
    work: str | None = None
    execution: Callable[[Any, Any], str | None] | None = None
    loan_park: float = 0.0
    park: float | None = None

    def of(self, function: Callable[..., Any]) -> "Options":
        """Return what it means for that handler."""
        if self.on_held != "coalesce":
            return self
        from .coalesce import work_of

        return self._replace(work=work_of(function))

    def hold(self, event: Any, context: Any) -> Hold:
        """Return the hold for one invocation, which has not been taken yet.

        To be called by what calls the handler.
        """
        if self.park is None:
            refuse_durable(event, context)
        if self.on_held == "skip":
            refuse_kept_skip(sys._getframe(2))
        if is_disabled():
            store = disabled_store()
            name, term, aim = self.name, Term(LONGEST), NOTHING_MORE
        else:
            store = self.store()
            name = self.full_name(event, context)
            term = term_of(context, store, duration=self.duration, min_hold=self.min_hold)
            aim = self._aim(event, context)
            execution = None if self.execution is None else self.execution(event, context)
            if execution is not None:
                return self._loan(store, name, term, context, execution)
        holder = describe_holder(context)
        if self.park is None or is_disabled():
            tenure = Tenure(store, name, term, holder, aim)
        else:
            from .parking import attempt_of

            tenure = attempt_of(context, store, name, term=term, holder=holder, park=self.park)
        return Hold(tenure, wait=self.wait, on_lost=self.on_lost)

    def _aim(self, event: Any, context: Any) -> Aim:
        if self.order is not None:
            return Aim(self.order(event, context), rising=self.rising)
        return NOTHING_MORE if self.work is None else Aim(work=self.work)

    def _loan(self, store: LeaseStore, name: str, term: Term, context: Any, execution: str) -> Hold:
        from .._holding.borrower import Borrower

        holder = describe_holder(context, execution)
        tenure = Borrower(store, name, term, holder, execution=execution, park=self.loan_park)
        return Hold(tenure, wait=self.wait, on_lost=self.on_lost)

    def held(self, event: Any, context: Any, error: LeaseHeldError) -> Any:
        """Do what `on_held` says; what is done, or superseded, is skipped in any case."""
        if isinstance(error, CoalescedError):
            shared: CoalescedLease = {"name": error.name, "token": error.success.token}
            return Coalesced(status="coalesced", lease=shared)
        is_over = error.reason in ("done", "superseded")
        if self.on_held in ("raise", "coalesce") and not is_over:
            raise error
        if self.on_held == "skip" or is_over:
            lease: SkippedLease = {
                "name": error.name,
                "holder": None if error.holder is None else dict(error.holder),
                "held_until": error.held_until,
            }
            return Skipped(status="skipped", reason=error.reason, lease=lease)
        return self.on_held(event, context, error)
