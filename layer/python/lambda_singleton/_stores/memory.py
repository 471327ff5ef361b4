"""The same protocol in memory, for unit tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._clock import Clock
from .._protocol.operation import Operation
from .._protocol.record import LeaseRecord
from .._protocol.store import Reply
from .force_release import force_release


class MemoryStore:
    """Keeps leases in this process, and is safe to use from many threads.

    Give it a `clock` of your own (`time()`, `monotonic()`, `sleep(seconds)`) and no test of yours
    has to wait for a lease to expire.
    """

    def __init__(
        self, *, clock: Clock = time, clock_skew: float = 1.0, kill_grace: float = 2.0
    ) -> None:
        self.clock = clock
        self.clock_skew = clock_skew
        self.kill_grace = kill_grace
        self._records: dict[str, LeaseRecord] = {}
        self._lock = threading.Lock()
        #: What `lease.checkpoint(..., effects=...)` has applied, in order.
        self.effects: list[Mapping[str, Any]] = []

    def prepare(self, *, timeout: float) -> None:
        """Do nothing: memory is always ready."""

    def execute(self, operation: Operation, *, timeout: float) -> Reply:  # noqa: ARG002
        """Apply the operation if its condition holds."""
        with self._lock:
            record = self._records.get(operation.name)
            if not operation.allows(record):
                return Reply(applied=False, record=record)
            record = self._records[operation.name] = operation.apply(record)
            return Reply(applied=True, record=record)

    def transact(
        self,
        operation: Operation,
        effects: Sequence[Mapping[str, Any]],
        *,
        timeout: float,  # noqa: ARG002
    ) -> Reply:
        """Apply the operation, and remember its effects in `effects`, or do neither."""
        with self._lock:
            record = self._records.get(operation.name)
            if not operation.allows(record):
                return Reply(applied=False, record=record)
            self._records[operation.name] = operation.apply(record)
            self.effects.extend(effects)
            return Reply(applied=True)

    def get(self, name: str) -> LeaseRecord | None:
        """Return the lease called `name`, or None if there never was one."""
        return self._records.get(name)

    def records(self) -> Iterator[LeaseRecord]:
        """Return every lease."""
        with self._lock:
            return iter(list(self._records.values()))

    def force_release(self, name: str) -> LeaseRecord:
        """Free the lease whoever holds it, and raise its token.

        Raises `LeaseConfigError` if there is no lease of that name.
        """
        return force_release(self, name)
