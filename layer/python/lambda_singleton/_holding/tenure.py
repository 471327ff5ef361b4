"""The holder's side of one acquisition: what it knows, and what it may believe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal

from .._clock import Instant, milliseconds, provable_offset, utc
from .._errors import LeaseConfigError, LeaseLostError, LeaseStoreError, LossReason
from .._events.event import Kind, LeaseEvent
from .._events.observers import tell
from .._protocol.operations import Acquire, Release, Renew
from .._protocol.record import LeaseRecord, Progress, is_pause
from .._protocol.store import LeaseStore, Reply
from .._protocol.term import Term
from .._text import quoted
from .aim import NOTHING_MORE, Aim
from .request import Answer
from .steps import Steps

State = Literal["taking", "held", "releasing", "released", "expired", "stolen"]


class Tenure:
    """One acquisition of a lease, from before its request until nothing is left of it.

        taking ──▶ held ──┬─▶ releasing ──▶ released
                          ├─▶ expired    its end came before a renewal was confirmed
                          └─▶ stolen     the store names another owner

    It is made before the request goes out, so that whatever cuts its maker off, what may have been
    taken can be given back. It belongs to the process that made it: in a child of `fork()` nothing
    is held, and nothing is sent. Only `_become` changes the state, and no lock is held during I/O.
    """

    def __init__(
        self,
        store: LeaseStore,
        name: str,
        term: Term,
        holder: Mapping[str, str] | None = None,
        aim: Aim = NOTHING_MORE,
    ) -> None:
        self.store = store
        self.name = name
        self.term = term
        self.aim = aim
        self.timeout: float = term.timeout(store.clock.time())
        # Made here and not at import: SnapStart clones what import made.
        self.owner: str = os.urandom(16).hex()
        self.token: int = 0
        self.taken_from: str | None = None
        #: Whether the row may name this owner: from the first request until a reply denies it.
        self.may_be_in_row: bool = False
        #: Whether a release was sent that nobody answered.
        self.is_perhaps_released: bool = False
        self.one_renewal_at_a_time: threading.Lock = threading.Lock()
        #: How far an earlier run, or this one, had come when it took the lease.
        self.progress: Progress | None = None
        #: The latest step of this run; it may be in the row, or not yet.
        self.step: Progress | None = None
        #: Whether too little time was left to finish.
        self.is_unfinished: bool = False
        #: What takes it from an execution, in place of an acquisition.
        self.borrow: Callable[[float], Steps[float]] | None = None
        self._holder = holder or {}
        self._pid = os.getpid()
        self._state: State = "taking"
        self._changing = threading.Lock()
        self._started = self._ends = Instant(-inf, -inf)
        self._loss_is_told = False

    # What it may believe.

    @property
    def is_here(self) -> bool:
        """Whether this is the process that acquired it."""
        return os.getpid() == self._pid

    @property
    def is_held(self) -> bool:
        """Whether it is provably held: nobody else may have it."""
        return self.remaining > 0

    @property
    def loss(self) -> LossReason | None:
        """Why it got out of its holder's hands; None if it is held, or was released."""
        if self._state == "held" and not self.is_held:
            return "expired"
        return self._state if self._state in ("expired", "stolen") else None

    @property
    def remaining(self) -> float:
        """For how many seconds it is certainly held if nobody renews it."""
        if self._state != "held" or not self.is_here:
            return 0.0
        # Either clock may have stopped or jumped: believe the more pessimistic one.
        clock = self.store.clock
        left = min(self._ends.monotonic - clock.monotonic(), self._ends.wall - clock.time())
        return max(0.0, left)

    @property
    def ends_with_invocation(self) -> bool:
        """Whether nothing is left to renew."""
        return self.term.is_over_at(self._ends.wall)

    @property
    def started(self) -> Instant:
        """Both clocks before the request that took it."""
        return self._started

    def check(self) -> None:
        """Raise `LeaseLostError` unless it is provably held."""
        if not self.is_held:
            raise self.lost_error()

    def lost_error(self) -> LeaseLostError:
        """Return the error that says why it is not held."""
        if not self.is_here:
            why = "it was acquired by another process"
        elif self.loss == "stolen":
            why = "the store names another owner"
        elif self.loss == "expired":
            why = "its end came before it could be renewed"
        else:
            why = "it was released"
        return LeaseLostError(
            f"lease {quoted(self.name)} (token {self.token}) is not held any more: {why}",
            name=self.name,
            reason=self.loss or "expired",
        )

    # What it asks the store for.

    def acquire_at(
        self, sent: Instant, seen: LeaseRecord | None = None, ticket: int | None = None
    ) -> Acquire:
        """Return the request that takes it: from now on the row may name this owner."""
        self.may_be_in_row = True
        self._started = sent
        expires_at = self.term.expiry(sent.wall)
        return Acquire(
            name=self.name,
            owner=self.owner,
            holder={**self._holder, "acquired_at": utc(sent.wall)},
            now=milliseconds(sent.wall),
            expires_at=expires_at,
            duration=expires_at - milliseconds(sent.wall),
            clock_skew=milliseconds(self.store.clock_skew),
            seen=seen,
            ticket=ticket,
            order=self.aim.order,
        )

    def renew_at(self, sent: Instant) -> Renew:
        """Return the request that extends it."""
        return Renew(name=self.name, owner=self.owner, expires_at=self.term.expiry(sent.wall))

    def release_at(self, sent: Instant, outcome: str) -> Release:
        """Return the request that gives it back, and leaves word of how the run went."""
        aim, has_succeeded = self.aim, outcome == "succeeded"
        # What is to be done all the same must not wait for a rest.
        rests = has_succeeded or not (aim.order is not None or self.is_unfinished)
        has_progress = self.progress is not None or self.step is not None
        return Release(
            name=self.name,
            owner=self.owner,
            now=milliseconds(sent.wall),
            free_at=self.term.rests_until(self._started.wall, sent.wall) if rests else None,
            last_run={
                "started": utc(self._started.wall),
                "ended": utc(sent.wall),
                "outcome": outcome,
            },
            done=aim.order if has_succeeded else None,
            clears=has_succeeded and has_progress,
            success=aim.success(self.token) if has_succeeded else None,
        )

    # What it learns.

    def taken(self, answer: Answer, record: LeaseRecord) -> None:
        """Believe that it is held, until the end that was asked for."""
        # A second try after a lost reply finds what the first one has written.
        self.taken_from = None if record.taken_from == record.owner else record.taken_from
        if is_pause(self.taken_from):
            # It has ended in time: nobody has died.
            self.taken_from = None
        self.token = record.token
        self.progress = record.progress
        self.extend(answer.sent, self.term.expiry(answer.sent.wall))
        self._become("held", before=("taking",))

    def extend(self, sent: Instant, expires_at: int) -> None:
        """Believe in that end (epoch milliseconds), counted from before the request."""
        end = expires_at / 1000
        self._ends = Instant(end, sent.monotonic + (end - sent.wall))

    def expire(self) -> None:
        """Stop believing in it, since it can no longer be proven."""
        self._become("expired", before=("held",))

    def steal(self) -> None:
        """Believe a store that names another owner."""
        self.may_be_in_row = False
        self._become("stolen", before=("held", "expired", "releasing"))

    def begin_release(self) -> bool:
        """Stop holding it. False: there is nothing to give back, or nobody here who may."""
        if not self.may_be_in_row or not self.is_here:
            return False
        if self.loss == "expired":
            self.expire()
        self._become("releasing", before=("taking", "held"))
        return True

    def may_have_been_released(self, unanswered: LeaseStoreError) -> None:  # noqa: ARG002
        """Remember a release that nobody answered."""
        self.is_perhaps_released = True

    def released(self) -> None:
        """Know that the row does not name this owner any more."""
        self.may_be_in_row = False
        self._become("released", before=("releasing",))

    def _become(self, state: State, *, before: tuple[State, ...]) -> None:
        with self._changing:
            if self._state in before:
                self._state = state

    # What it does with a reply that cannot be believed.

    def refuse_own(self, answer: Answer) -> None:
        """Raise `LeaseStoreError` if this very owner was refused: its request was an older one."""
        reply = answer.reply
        if not reply.applied and reply.record is not None and reply.record.owner == self.owner:
            raise LeaseStoreError(
                f"the store has a later end for lease {quoted(self.name)} than was asked for: the"
                " clock ran backwards"
            )
        record = reply.record
        if reply.applied and record and not answer.operation.leaves(record.name, record.owner):
            raise LeaseStoreError(f"a reply for lease {quoted(self.name)} is another request's")

    def refuse_wrong_clock(self, reply: Reply, sent: Instant) -> None:
        """Raise `LeaseConfigError` if the local clock is off for certain by more than the skew."""
        if reply.store_time is None:
            return
        offset = provable_offset(reply.store_time, sent.wall, self.store.clock.time())
        if offset > self.store.clock_skew:
            raise LeaseConfigError(
                f"the local clock is at least {offset:.1f} s off the store's clock, more than the"
                f" clock_skew of {self.store.clock_skew:g} s that leases allow for:"
                " synchronise this machine's clock"
            )

    # What it tells.

    def tell(self, kind: Kind, **facts: Any) -> None:
        """Tell what happened to it."""
        now = self.store.clock.time()
        tell(LeaseEvent(kind, self.name, now, self.owner, self.token, **facts))

    def tell_acquired(self, *, took: float, waited: float) -> None:
        """Tell that it is held."""
        until, taken_from = self._ends.wall, self.taken_from
        self.tell("acquired", until=until, took=took, waited=waited, taken_from=taken_from)

    def tell_loss(self) -> None:
        """Tell that it was lost, once: whoever notices first does."""
        if self.loss is None:
            return
        with self._changing:
            reason = None if self._loss_is_told else self.loss
            self._loss_is_told = self._loss_is_told or reason is not None
        if reason is not None:
            self.tell("lost", reason=reason)
