"""A lease from its holder's side."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .._backoff import Backoff
from .._clock import Instant, milliseconds, provable_offset, utc
from .._errors import LeaseConfigError, LeaseError, LeaseLostError, LeaseStoreError, LossReason
from .._events.event import Kind, LeaseEvent
from .._events.observers import tell
from .._protocol.operations import Release, Renew
from .._protocol.store import LeaseStore, Reply
from .._protocol.term import Term

#: Tries of one operation, the first included, while the store does not answer.
TRIES = 3


class Lease:
    """A lease that this process holds.

    `token` is the fencing token, an int that rises with every acquisition of `name`. `owner` is
    the random id of this acquisition. `taken_from` is the owner that died while it held the lease,
    and perhaps left half of its work; None if the lease was free.
    """

    def __init__(
        self,
        store: LeaseStore,
        name: str,
        owner: str,
        token: int,
        term: Term,
        *,
        sent: Instant,
        expires_at: float,
        timeout: float,
        min_hold: float = 0.0,
        taken_from: str | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.token = token
        self.taken_from = taken_from
        self._store = store
        self._term = term
        self._timeout = timeout
        self._sent = sent
        self._min_hold = min_hold
        self._loss: LossReason | None = None
        self._loss_is_told = False
        self._released = False
        self._returned = False
        self._perhaps_returned = False
        # A late renewal must never bring a released lease back.
        self._one_request_at_a_time = threading.Lock()
        self._trust(sent, expires_at)

    def __repr__(self) -> str:
        return f"<Lease {self.name!r} token={self.token} remaining={self.remaining():.3f}s>"

    def remaining(self) -> float:
        """Return for how many seconds the lease is certainly held if nobody renews it."""
        if self._released or self._loss is not None:
            return 0.0
        return max(0.0, self._left())

    @property
    def lost(self) -> bool:
        """Whether the lease got out of this holder's hands before it was released."""
        if self._loss is None and not self._released and self._left() <= 0:
            self._loss = "expired"
        return self._loss is not None

    def check(self) -> None:
        """Raise `LeaseLostError` unless the lease is provably held. Costs no request."""
        if self.lost or self._released:
            raise self._lost_error()

    def renew(self) -> None:
        """Extend the lease by its duration from now.

        Raises `LeaseLostError` if it is not held any more, and `LeaseStoreError` if the store did
        not answer: the lease is then held until `remaining()` is 0.
        """
        backoff = Backoff(0.05, 1.0)
        for tries_left in reversed(range(TRIES)):
            try:
                self._renew_once()
            except LeaseStoreError:
                if not tries_left:
                    raise
                self._store.clock.sleep(backoff.delay())
            else:
                return

    def release(self) -> None:
        """Give the lease back. Calling it again is harmless.

        A lease that was lost meanwhile is left to its new owner, and `lost` tells. Raises
        `LeaseStoreError` if the store did not answer: the lease then ends by itself.
        """
        self._release("released")

    # What follows is for the modules of this package.

    def _left(self) -> float:
        # Either clock may have stopped or jumped: believe the more pessimistic one.
        clock = self._store.clock
        return min(
            self._ends.monotonic - clock.monotonic(),
            self._ends.wall - clock.time(),
        )

    def _trust(self, sent: Instant, expires_at: float) -> None:
        # Count from before the request: nobody knows when on its way it was applied.
        self._ends = Instant(expires_at, sent.monotonic + (expires_at - sent.wall))

    @property
    def _nothing_left_to_renew(self) -> bool:
        return self._term.is_over_at(self._ends.wall)

    def _lose(self, reason: LossReason) -> None:
        if self._loss is None and not self._released:
            self._loss = reason

    def _tell(self, kind: Kind, **facts: Any) -> None:
        now = self._store.clock.time()
        tell(LeaseEvent(kind, self.name, now, self.owner, self.token, **facts))

    def _tell_acquired(self, *, took: float, waited: float) -> None:
        until, taken_from = self._ends.wall, self.taken_from
        self._tell("acquired", until=until, took=took, waited=waited, taken_from=taken_from)

    def _tell_if_lost(self) -> None:
        # Who notices first tells it: the renewing thread, a renewal by hand, or the release.
        if self._loss is not None and not self._loss_is_told:
            self._loss_is_told = True
            self._tell("lost", reason=self._loss)

    def _lost_error(self) -> LeaseLostError:
        if self._loss == "stolen":
            why = "the store names another owner"
        elif self._loss == "expired":
            why = "its end came before it could be renewed"
        else:
            why = "it was released"
        return LeaseLostError(
            f"lease {self.name!r} (token {self.token}) is not held any more: {why}",
            name=self.name,
            reason=self._loss or "expired",
        )

    def _renew_once(self) -> None:
        try:
            with self._one_request_at_a_time:
                until = self._send_renewal()
        except LeaseLostError:
            self._tell_if_lost()
            raise
        except LeaseError as error:
            self._tell("renewal_failed", error=error)
            raise
        self._tell("renewed", until=until)

    def _send_renewal(self) -> float:
        self.check()
        sent = Instant.now(self._store.clock)
        expires_at = self._term.expiry(sent.wall)
        renew = Renew(name=self.name, owner=self.owner, expires_at=expires_at)
        reply = self._store.execute(renew, timeout=self._timeout)
        if reply.applied:
            self._trust(sent, expires_at / 1000)
        elif reply.record is not None and reply.record.owner == self.owner:
            raise LeaseStoreError(
                f"lease {self.name!r} was not renewed: the clock ran backwards since {self!r}"
            )
        else:
            self._lose("stolen")
            raise self._lost_error()
        try:
            self._refuse_wrong_clock(reply, sent)
        except LeaseConfigError as error:
            self._lose("expired")
            raise self._lost_error() from error
        return expires_at / 1000

    def _refuse_wrong_clock(self, reply: Reply, sent: Instant) -> None:
        if reply.store_time is None:
            return
        offset = provable_offset(reply.store_time, sent.wall, self._store.clock.time())
        if offset > self._store.clock_skew:
            raise LeaseConfigError(
                f"the local clock is at least {offset:.1f} s off the store's clock, more than the"
                f" clock_skew of {self._store.clock_skew:g} s that leases allow for:"
                " synchronise this machine's clock"
            )

    def _release(self, outcome: str) -> None:
        clock = self._store.clock
        began = clock.monotonic()
        try:
            with self._one_request_at_a_time:
                if self._returned or self._loss == "stolen":
                    return
                self._loss = "expired" if self.lost else None
                self._released = True
                outcome = "lost" if self._loss else outcome
                mine = self._send_release(outcome)
        except Exception as error:
            self._tell("release_failed", error=error)
            raise
        finally:
            self._tell_if_lost()
        if mine:
            held, took = began - self._sent.monotonic, clock.monotonic() - began
            self._tell("released", outcome=outcome, held=held, took=took)

    def _send_release(self, outcome: str) -> bool:
        # Returns whether the lease was still this holder's.
        backoff = Backoff(0.05, 1.0)
        for tries_left in reversed(range(TRIES)):
            now = self._store.clock.time()
            try:
                reply = self._store.execute(self._release_at(now, outcome), timeout=self._timeout)
            except LeaseStoreError:
                self._perhaps_returned = True
                if not tries_left or not self._is_time_for_another_try(now):
                    raise
                self._store.clock.sleep(backoff.delay())
                continue
            self._returned = True
            # After a lost reply the condition fails against my own release: all is well.
            mine = reply.applied or self._perhaps_returned
            if not mine:
                self._loss = "stolen"
            return mine
        raise AssertionError("unreachable")

    def _release_at(self, now: float, outcome: str) -> Release:
        free_at = self._sent.wall + self._min_hold
        last_run: Mapping[str, str] = {
            "started": utc(self._sent.wall),
            "ended": utc(now),
            "outcome": outcome,
        }
        return Release(
            name=self.name,
            owner=self.owner,
            now=milliseconds(now),
            free_at=milliseconds(free_at) if free_at > now else None,
            last_run=last_run,
        )

    def _is_time_for_another_try(self, now: float) -> bool:
        # The handler's result waits for this: it must get out before the deadline.
        return self._term.time_left(now) > 2 * self._timeout
