"""A clock that only moves when told to, and a store that misbehaves when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from lambda_singleton import LeaseRecord, LeaseStore, LeaseStoreError
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Acquire
from lambda_singleton._protocol.store import Reply

START = 1_800_000_000.0


class FakeClock:
    """Sleeping moves it. `offset` is by how much its wall clock is off."""

    def __init__(self, offset: float = 0.0) -> None:
        self.now = 0.0
        self.offset = offset
        self.sleeps: list[float] = []

    def time(self) -> float:
        return START + self.now + self.offset

    def monotonic(self) -> float:
        return 5000.0 + self.now

    def sleep(self, seconds: float, /) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


Fault = Literal["unreachable", "reply lost", "applied late"] | Callable[[Operation], Reply] | None


class FaultyStore:
    """Counts the requests to another store, and spoils the next ones as `faults` says.

    "unreachable": not applied. "reply lost": applied, but nobody is told. "applied late": applied
    when the test calls `apply_late`.
    """

    def __init__(self, inner: LeaseStore, faults: list[Fault] | None = None) -> None:
        self.inner = inner
        self.faults = faults or []
        self.requests: list[Operation] = []
        self.looks = 0
        self.late: list[Operation] = []
        self.clock = inner.clock
        self.clock_skew = inner.clock_skew
        self.kill_grace = inner.kill_grace
        self.before_look: Callable[[], None] = lambda: None

    @property
    def sent(self) -> list[str]:
        """The kinds of the requests, in order."""
        return [type(operation).__name__ for operation in self.requests]

    def prepare(self, *, timeout: float) -> None:
        self.inner.prepare(timeout=timeout)

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        return self._send(operation, partial(self.inner.execute, timeout=timeout))

    def transact(
        self, operation: Operation, effects: Sequence[Mapping[str, Any]], *, timeout: float
    ) -> Reply:
        transact: Any = self.inner.transact  # type: ignore[attr-defined]
        return self._send(operation, partial(transact, effects=effects, timeout=timeout))

    def _send(self, operation: Operation, send: Callable[[Operation], Reply]) -> Reply:
        self.requests.append(operation)
        fault = self.faults.pop(0) if self.faults else None
        if callable(fault):
            return fault(operation)
        if fault == "applied late":
            self.late.append(operation)
        if fault == "reply lost":
            send(operation)
        if fault is not None:
            raise LeaseStoreError(fault)
        return send(operation)

    def apply_late(self) -> list[Reply]:
        return [self.inner.execute(operation, timeout=1) for operation in self.late]

    def get(self, name: str) -> LeaseRecord | None:
        self.looks += 1
        self.before_look()
        return self.inner.get(name)

    def records(self) -> Iterator[LeaseRecord]:
        return self.inner.records()

    def force_release(self, name: str) -> LeaseRecord:
        return self.inner.force_release(name)


def acquire(
    name: str,
    owner: str,
    *,
    now: float = 0,
    duration: float = 30,
    skew: float = 1,
    seen: LeaseRecord | None = None,
) -> Acquire:
    """Return the request of an owner whose clock shows `now` seconds after the start."""
    return Acquire(
        name=name,
        owner=owner,
        holder={"request_id": owner},
        now=round((START + now) * 1000),
        expires_at=round((START + now + duration) * 1000),
        duration=round(duration * 1000),
        clock_skew=round(skew * 1000),
        seen=seen,
    )


class Context:
    """Lambda's context, as far as leases look at it."""

    aws_request_id = "request-1"

    def __init__(self, remaining: object = 60_000) -> None:
        self.remaining = remaining

    def get_remaining_time_in_millis(self) -> object:
        return self.remaining
