"""The lease by hand, or around a `with` block."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._clock import seconds
from ._environment import disabled_store, is_disabled, store_or_default
from ._errors import LeaseConfigError, LeaseError
from ._holding.acquire import take, take_async
from ._holding.hold import (
    Hold,
    OnLost,
    check_on_lost,
    current_hold,
    current_task,
)
from ._holding.lease import Lease
from ._holding.release import abandon
from ._holding.tenure import Tenure
from ._invocation import describe_holder, term_of
from ._protocol.name import check_name
from ._protocol.store import LeaseStore
from ._stores.ready import prepare_in_init
from ._text import quoted

if TYPE_CHECKING:
    from datetime import timedelta

#: The shortest lease, in seconds.
SHORTEST = 0.01


class Lock:
    """One lease at a time, wherever code runs: `with Lock("reindex", 30) as lease: ...`.

    The lease lasts `duration` seconds (a number or a timedelta) and is renewed at a third of it
    while the block runs: a holder that dies blocks the name for at most that long. `wait` is how
    many seconds to wait for a lease that is held, and nobody may take it again within `min_hold`
    seconds of its start. A `context` of Lambda's ends the lease with its invocation, and describes
    the holder. `on_lost` is as in `singleton`. Take a tenant's lease of `@singleton` by its full
    name, `"name#key"`.

    Entering raises `LeaseHeldError`, `LeaseStoreError`, `LeaseDeadlineError` or `LeaseConfigError`:
    the last one also inside the same lease, and for `with` in place of `async with` in a coroutine.
    If the lease is lost inside the block, `LeaseInterrupt` is raised there, and `LeaseLostError`
    leaves it.
    """

    def __init__(
        self,
        name: str,
        duration: float | timedelta,
        *,
        wait: float | timedelta = 0,
        min_hold: float | timedelta = 0,
        on_lost: OnLost = "interrupt",
        context: Any = None,
        store: LeaseStore | None = None,
    ) -> None:
        self.name: str = check_name(name)
        self.duration: float = seconds(duration, "duration", least=SHORTEST)
        self.wait: float = seconds(wait, "wait")
        self._min_hold = seconds(min_hold, "min_hold")
        self._on_lost = check_on_lost(on_lost)
        self._context = context
        self._store = store_or_default(store)
        self._holds: list[Hold] = []
        prepare_in_init(self._store, self.duration)

    def acquire(self, wait: float | timedelta | None = None) -> Lease:
        """Take the lease; renew and release it yourself. `wait` replaces the lock's own."""
        tenure = self._tenure()
        try:
            take(tenure, wait=self._patience(wait))
            return Lease(tenure)
        except LeaseError:
            raise
        except BaseException:
            abandon(tenure, "not started")
            raise

    async def acquire_async(self, wait: float | timedelta | None = None) -> Lease:
        """Like `acquire`, without blocking the event loop."""
        tenure = self._tenure()
        try:
            await take_async(tenure, wait=self._patience(wait))
            return Lease(tenure)
        except LeaseError:
            raise
        except BaseException:
            abandon(tenure, "not started")
            raise

    def __enter__(self) -> Lease:
        if current_task() is not None:
            raise LeaseConfigError(
                f"lease {quoted(self.name)} is taken in a coroutine: write `async with`, so that"
                " the task can be stopped if it is lost"
            )
        hold = Hold(self._tenure(), wait=self.wait, on_lost=self._on_lost)
        try:
            hold.take()
            lease = hold.enter(sys._getframe(1))
            self._holds.append(hold)
            return lease
        except BaseException:
            self._drop(hold)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        hold: Hold | None = None
        try:
            hold = self._hold_to_leave()
            hold.__exit__(kind, error, trace)
        finally:
            self._drop(self._hold_to_leave() if hold is None else hold)

    async def __aenter__(self) -> Lease:
        hold = Hold(self._tenure(), wait=self.wait, on_lost=self._on_lost)
        try:
            await hold.take_async()
            lease = await hold.__aenter__()
            self._holds.append(hold)
            return lease
        except BaseException:
            self._drop(hold)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        hold: Hold | None = None
        try:
            hold = self._hold_to_leave()
            await hold.__aexit__(kind, error, trace)
        finally:
            self._drop(self._hold_to_leave() if hold is None else hold)

    def _hold_to_leave(self) -> Hold:
        # One lock may be shared by threads and tasks: each leaves the block that it entered.
        hold = current_hold()
        return self._holds[-1] if hold is None or hold not in self._holds else hold

    def _drop(self, hold: Hold) -> None:
        # It is still open if something has cut off what should have left it.
        hold.abandon()
        with suppress(ValueError):
            self._holds.remove(hold)

    def _tenure(self) -> Tenure:
        store = disabled_store() if is_disabled() else self._store()
        term = term_of(self._context, store, duration=self.duration, min_hold=self._min_hold)
        return Tenure(store, self.name, term, describe_holder(self._context))

    def _patience(self, wait: float | timedelta | None) -> float:
        return self.wait if wait is None else seconds(wait, "wait")
