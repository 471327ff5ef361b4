"""Where one run of a scenario plays: a store, what else the package calls, and what was noticed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from lambda_singleton import Lease, Lock, current_lease, observe

from .outside import Handler, Outside, Store, observer

#: What works on after its lease's end stops so much later by itself (seconds).
ENOUGH = 0.6


class Stage:
    """What the scenarios use, and what they notice."""

    def __init__(self) -> None:
        self.outside = Outside()
        self.store = Store(self.outside)
        #: How long after its lease's end a holder still worked, at most (seconds).
        self.late = float("-inf")
        self.work_ended: float | None = None
        #: What should not have happened, by the scenario's own look.
        self.wrong: list[str] = []
        #: Locks live on, as a module's do.
        self._locks: list[Lock] = []
        self._endings: list[Callable[[], object]] = []

    def lock(self, name: str = "a", duration: float = 30.0, wait: float = 0.0) -> Lock:
        lock = Lock(name, duration, wait=wait, store=self.store)
        self._locks.append(lock)
        return lock

    def finally_(self, ending: Callable[[], object]) -> None:
        """Call it when the run is over."""
        self._endings.append(ending)

    def forget(self) -> None:
        """Drop what could keep a lease alive."""
        self._locks.clear()

    def end(self) -> None:
        while self._endings:
            self._endings.pop()()

    def tell_everybody(self) -> None:
        """Have an observer, and a log handler for all that is said."""
        self.finally_(observe(observer(self.outside)))
        logger, handler = logging.getLogger("lambda_singleton"), Handler(self.outside)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        self.finally_(lambda: logger.removeHandler(handler))
        self.finally_(lambda: logger.setLevel(level))

    def held_by_another(self, name: str, seconds: float) -> None:
        """Let somebody else hold it, for so long."""
        lease = self.lock(name).acquire()
        given_back = threading.Timer(seconds, lease.release)
        given_back.start()
        self.finally_(given_back.join)

    def steal(self, name: str = "a") -> None:
        """Take the lease from whoever holds it, behind their back."""
        self.store.force_release(name)

    # What a handler does.

    def work(self, name: str = "a", until: Callable[[], bool] = lambda: False) -> str:
        """Work until the lease is lost, or until `until`."""
        try:
            while not until() and self._is_in_time(name):
                time.sleep(0.002)
        finally:
            self.work_ended = time.monotonic()
        return "worked"

    async def work_async(self, name: str = "a", until: Callable[[], bool] = lambda: False) -> str:
        """The same in a task."""
        try:
            while not until() and self._is_in_time(name):
                await asyncio.sleep(0.002)
        finally:
            self.work_ended = time.monotonic()
        return "worked"

    async def work_busily(self, name: str = "a") -> str:
        """The same in a task that hardly lets others in."""
        try:
            while self._is_in_time(name):
                time.sleep(0.002)
                await asyncio.sleep(0)
        finally:
            self.work_ended = time.monotonic()
        return "worked"

    def renewed(self, times: int) -> Callable[[], bool]:
        """Say when the lease has been renewed so often."""
        return lambda: self.outside.requests.count("Renew") >= times

    def look(self, lease: Lease) -> str:
        """Do what is done with a lease that is held."""
        lease.check()
        if current_lease() is not lease:
            self.wrong.append("another lease is the current one")
        self.work_ended = time.monotonic()
        return "worked"

    def _is_in_time(self, name: str) -> bool:
        late = time.time() - self.outside.believed.get(name, float("inf"))
        self.late = max(self.late, late)
        return late < ENOUGH


class Context:
    """A Lambda context with 30 s left."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000
