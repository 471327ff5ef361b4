"""Extending a lease, and when that is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from .._backoff import Backoff, uniform
from .._clock import Instant
from .._errors import LeaseConfigError, LeaseError, LeaseLostError, LeaseStoreError
from .._protocol.operation import Operation
from .._text import quoted
from .request import TRIES, request
from .steps import Steps, run
from .tenure import Tenure


@contextmanager
def only_one(tenure: Tenure) -> Iterator[None]:
    """Send nothing else that writes to the row of a held lease meanwhile."""
    # Of two in flight, the older one would be refused by what the newer one has written.
    if not tenure.one_renewal_at_a_time.acquire(timeout=tenure.timeout):
        raise LeaseStoreError(f"lease {quoted(tenure.name)} was not renewed: another renewal hangs")
    try:
        yield
    finally:
        tenure.one_renewal_at_a_time.release()


def renew(
    tenure: Tenure,
    *,
    tries: int = TRIES,
    operation_at: Callable[[Instant], Operation] | None = None,
) -> Steps[None]:
    """Extend the lease by its duration from now, and tell how it went.

    `operation_at` makes another request that extends it.

    Raises `LeaseLostError` if it is not held any more, and `LeaseStoreError` if the store did not
    answer.
    """
    try:
        with only_one(tenure):
            until = yield from _renew(tenure, tries, operation_at or tenure.renew_at)
    except LeaseLostError:
        tenure.tell_loss()
        raise
    except LeaseConfigError as error:
        tenure.tell("renewal_failed", error=error)
        raise
    tenure.tell("renewed", until=until)


def _renew(
    tenure: Tenure, tries: int, operation_at: Callable[[Instant], Operation]
) -> Steps[float]:
    tenure.check()
    answer = yield from request(
        tenure.store,
        operation_at,
        term=tenure.term,
        timeout=tenure.timeout,
        tries=tries,
        refuse=tenure.refuse_own,
        unanswered=lambda error: tenure.tell("renewal_failed", error=error),
    )
    if not answer.reply.applied:
        tenure.steal()
        raise tenure.lost_error()
    expires_at = tenure.term.expiry(answer.sent.wall)
    tenure.extend(answer.sent, expires_at)
    try:
        tenure.refuse_wrong_clock(answer.reply, answer.sent)
    except LeaseConfigError as error:
        tenure.expire()
        raise tenure.lost_error() from error
    return expires_at / 1000


class Renewal:
    """When a held lease has to be renewed, and when its handler has to stop.

    It knows the time, but neither waits nor sends.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._clock = tenure.store.clock
        duration = tenure.term.duration
        self._interval = 0.0 if duration is None else duration / 3
        # The handler gets this long to come to an end while the lease is still held.
        self._margin = 0.0 if duration is None else min(1.0, duration / 10)
        self._due = self._clock.monotonic() + self._delay()
        self._backoff = self._new_backoff()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do before the handler's end."""
        return not self._tenure.ends_with_invocation or self._tenure.term.stop_at_deadline

    @property
    def stop_in(self) -> float:
        """In how many seconds the handler has to be interrupted; inf: never, as it stands."""
        tenure = self._tenure
        left = inf
        if not tenure.ends_with_invocation:
            left = tenure.remaining - self._margin
        if tenure.term.stop_at_deadline:
            left = min(left, tenure.term.time_left(self._clock.time()))
        return left

    def due_in(self, stop_in: float) -> float:
        """In how many seconds it has to be renewed; inf: never, or it could not be in time."""
        # A request that could hang beyond the lease's end is not worth its risk.
        if self._tenure.ends_with_invocation or stop_in < self._tenure.timeout:
            return inf
        return max(0.0, self._due - self._clock.monotonic())

    def renew(self) -> None:
        """Renew once, and plan the next time. Blocks for one request."""
        try:
            run(renew(self._tenure, tries=1), self._clock)
        except LeaseLostError:
            pass
        except Exception as error:
            self._due = self._clock.monotonic() + self._backoff.delay()
            # A store's own errors are told by whoever called; without a pause they would be a loop.
            if not isinstance(error, LeaseError):
                raise
        else:
            self._due = self._clock.monotonic() + self._delay()
            self._backoff = self._new_backoff()

    def _delay(self) -> float:
        return self._interval * uniform(0.8, 1.0)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._interval / 20, self._interval / 4)
