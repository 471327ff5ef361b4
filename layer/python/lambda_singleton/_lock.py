"""The lease by hand, or around a `with` block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ._clock import seconds
from ._environment import disabled_store, is_disabled, store_or_default
from ._holder import describe_holder
from ._holding.acquire import Steps, acquisition, run, run_async
from ._holding.hold import Hold, current_hold
from ._holding.lease import Lease
from ._name import check_name
from ._protocol.store import LeaseStore
from ._protocol.term import Term

if TYPE_CHECKING:
    from datetime import timedelta

#: The shortest lease, in seconds.
SHORTEST = 0.01


class Lock:
    """One lease at a time, wherever code runs: `with Lock("reindex", 30) as lease: ...`.

    The lease lasts `duration` seconds (a number or a timedelta) and is renewed at a third of it
    while the block runs: a holder that dies blocks the name for at most that long. `wait` is how
    many seconds to wait for a lease that is held. Take a tenant's lease of `@singleton` by its
    full name, `"name#key"`.

    Entering raises `LeaseHeldError`, `LeaseStoreError` or `LeaseConfigError`. If the lease is lost
    inside the block, `LeaseInterrupt` is raised there, and `LeaseLostError` leaves it.
    """

    def __init__(
        self,
        name: str,
        duration: float | timedelta,
        *,
        wait: float | timedelta = 0,
        store: LeaseStore | None = None,
    ) -> None:
        self.name = check_name(name)
        self.duration = seconds(duration, "duration", least=SHORTEST)
        self.wait = seconds(wait, "wait")
        self._store = store_or_default(store)
        self._holds: list[Hold] = []

    def acquire(self, wait: float | timedelta | None = None) -> Lease:
        """Take the lease; renew and release it yourself. `wait` replaces the lock's own."""
        store = self._store_now()
        return run(self._steps(store, wait), store.clock)

    async def acquire_async(self, wait: float | timedelta | None = None) -> Lease:
        """Like `acquire`, without blocking the event loop."""
        return await run_async(self._steps(self._store_now(), wait))

    def __enter__(self) -> Lease:
        hold = Hold(self.acquire(), "interrupt")
        hold.__enter__()
        self._holds.append(hold)
        return hold.lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave().__exit__(kind, error, trace)

    async def __aenter__(self) -> Lease:
        hold = Hold(await self.acquire_async(), "interrupt")
        await hold.__aenter__()
        self._holds.append(hold)
        return hold.lease

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave().__aexit__(kind, error, trace)

    def _leave(self) -> Hold:
        # One lock may be shared by threads and tasks: each leaves the block that it entered.
        hold = current_hold()
        if hold is None or hold not in self._holds:
            hold = self._holds[-1]
        self._holds.remove(hold)
        return hold

    def _store_now(self) -> LeaseStore:
        return disabled_store() if is_disabled() else self._store()

    def _steps(self, store: LeaseStore, wait: float | timedelta | None) -> Steps:
        return acquisition(
            store,
            self.name,
            Term(self.duration),
            wait=self.wait if wait is None else seconds(wait, "wait"),
            holder=describe_holder(None),
        )
