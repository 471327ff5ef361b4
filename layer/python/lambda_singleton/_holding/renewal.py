"""Keeping a lease while its handler runs, and telling when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf

from .._backoff import Backoff, uniform
from .._errors import LeaseError, LeaseLostError
from .._logger import logger
from .._protocol.term import platform_kills_at_deadline
from .lease import Lease


class Renewal:
    """What has to be done for a held lease, and when. Knows the time, but not how to wait."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._clock = lease._store.clock
        self._stop_at_deadline = not platform_kills_at_deadline()
        duration = lease._term.duration
        self._interval = 0.0 if duration is None else duration / 3
        # The handler gets this long to come to an end while the lease is still held.
        self._margin = 0.0 if duration is None else min(1.0, duration / 10)
        self._due = self._clock.monotonic() + self._delay()
        self._backoff = self._new_backoff()

    @property
    def needed(self) -> bool:
        """Whether there is anything to do before the handler's end."""
        return not self._lease._nothing_left_to_renew or self._stop_at_deadline

    def step(self) -> float | None:
        """Do what is due. Return the seconds until more is, or None if nothing ever will be."""
        lease = self._lease
        if lease.lost:
            return None
        # The sandbox may have been frozen for an hour: look at the clock before writing.
        left = self._seconds_left()
        if left == inf:
            return None
        if left <= 0:
            lease._lose("expired")
            return None
        if lease._nothing_left_to_renew:
            return left
        until_due = self._due - self._clock.monotonic()
        if until_due > 0:
            return min(left, until_due)
        # A request that could hang beyond the lease's end is not worth its risk.
        if left < lease._timeout:
            return left
        self._renew()
        return 0.0

    def _seconds_left(self) -> float:
        left: float = inf
        if not self._lease._nothing_left_to_renew:
            left = self._lease.remaining() - self._margin
        if self._stop_at_deadline:
            left = min(left, self._lease._term.time_left(self._clock.time()))
        return left

    def _renew(self) -> None:
        try:
            self._lease._renew_once()
        except LeaseLostError:
            pass
        except LeaseError:
            self._due = self._clock.monotonic() + self._backoff.delay()
        else:
            self._due = self._clock.monotonic() + self._delay()
            self._backoff = self._new_backoff()

    def _delay(self) -> float:
        return self._interval * uniform(0.8, 1.0)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._interval / 20, self._interval / 4)


class Keeper:
    """The thread that renews a lease, and tells as soon as it is lost."""

    def __init__(self, renewal: Renewal, lease: Lease, tell: Callable[[], float | None]) -> None:
        self._renewal = renewal
        self._lease = lease
        self._tell = tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease {lease.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; raise `LeaseError` if the system has none left."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise LeaseError(f"lease {self._lease.name!r} cannot be renewed: {error}") from error

    def stop(self) -> None:
        """End the thread and wait for it: one left alive would wake up in a later invocation."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        delay: float | None = 0.0
        while delay is not None and not self._stopping.wait(delay):
            delay = self._guarded(self._renewal.step)
        delay = 0.0 if self._lease.lost else None
        while delay is not None and not self._stopping.wait(delay):
            delay = self._guarded(self._tell)
            # The handler first: every moment counts.
            self._lease._tell_if_lost()

    def _guarded(self, call: Callable[[], float | None]) -> float | None:
        # Nothing may end this thread silently while the handler believes in its lease.
        try:
            return call()
        except Exception:
            logger().exception("lease %r: unexpected error, going on", self._lease.name)
            return 0.1
