"""What the package calls and what is not its own: a store, an observer, a log handler, `on_lost`.

Each comes to `passes` first: there it can be cut, or hang.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from lambda_singleton import Lease, LeaseEvent, LeaseRecord, LeaseStoreError, MemoryStore


class Outside:
    """Where calls of the package end, and what they have been."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        #: When the last confirmed request of this name ends, as its holder believes (epoch s).
        self.believed: dict[str, float] = {}
        self.unreachable = False
        self._slow: dict[tuple[str, str], float] = {}
        #: Requests that came when all was over.
        self.strays: list[str] = []
        self.is_over = False
        self.released = threading.Event()
        self.has_hung = False
        self._hanging: int | None = None

    def hang(self) -> None:
        """Let the call that this thread is in hang, until `released`."""
        self.has_hung = True
        self._hanging = threading.get_ident()

    def be_slow(self, kind: str, name: str, seconds: float) -> None:
        """Let requests of this kind for this name take so long."""
        self._slow[kind, name] = seconds

    def delay(self, kind: str, name: str) -> None:
        time.sleep(self._slow.get((kind, name), 0.0))

    def passes(self) -> None:
        if self._hanging == threading.get_ident():
            self._hanging = None
            self.released.wait(30)


class BriskClock:
    """The real one, but whoever sleeps is woken up early: what is tried again is tried at once."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        time.sleep(seconds / 20)


class Store(MemoryStore):
    """Memory, outside of the package."""

    def __init__(self, outside: Outside) -> None:
        super().__init__(clock=BriskClock(), clock_skew=0.0)
        self._outside = outside

    def execute(self, operation: Any, *, timeout: float) -> Any:
        outside = self._outside
        outside.passes()
        kind = type(operation).__name__
        if outside.is_over:
            outside.strays.append(kind)
        if outside.unreachable and kind in ("Renew", "Release"):
            raise LeaseStoreError("unreachable")
        outside.delay(kind, operation.name)
        reply = super().execute(operation, timeout=timeout)
        outside.requests.append(kind)
        if reply.applied and kind in ("Acquire", "Renew"):
            outside.believed[operation.name] = operation.expires_at / 1000
        return reply

    def get(self, name: str) -> LeaseRecord | None:
        self._outside.passes()
        return super().get(name)


class Handler(logging.Handler):
    """Takes the package's logs."""

    def __init__(self, outside: Outside) -> None:
        super().__init__(logging.DEBUG)
        self._outside = outside

    def emit(self, record: logging.LogRecord) -> None:
        self._outside.passes()
        record.getMessage()


def observer(outside: Outside) -> Callable[[LeaseEvent], None]:
    """Return one that notes what it is told."""

    def observe(event: LeaseEvent) -> None:
        outside.passes()
        outside.requests.append(event.kind)

    return observe


def on_lost(outside: Outside) -> Callable[[Lease], None]:
    """Return one that notes when it was called."""

    def lost(lease: Lease) -> None:
        outside.passes()
        outside.requests.append(f"lost {lease.name} at {time.time()}")

    return lost
