"""A lease held around a block of code: renewed, watched, and given back on every way out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from .._errors import LeaseInterrupt, NoLeaseError
from .._logger import logger
from .interrupt import Interruption, TaskInterruption, interruption_of_this_thread
from .lease import Lease
from .renewal import Keeper, Renewal

if TYPE_CHECKING:
    import asyncio

OnLost = Literal["interrupt", "report"] | Callable[[Lease], object]

#: How long an interrupted handler gets to clean up before it is interrupted again, in seconds.
TIME_TO_CLEAN_UP = 1.0

_current: ContextVar[Hold | None] = ContextVar("lambda_singleton", default=None)


def current_hold() -> Hold | None:
    """Return the innermost hold of this thread or task."""
    return _current.get()


def current_lease() -> Lease:
    """Return the lease that the running handler or `with` block holds.

    Raises `NoLeaseError`, a `LeaseError` and a `LookupError`, outside of one.
    """
    hold = _current.get()
    if hold is None:
        raise NoLeaseError("no lease is held here: call this inside a decorated handler")
    return hold.lease


class Hold:
    """What happens between taking a lease and the end of the code that it protects."""

    def __init__(self, lease: Lease, on_lost: OnLost) -> None:
        self.lease = lease
        self._on_lost = on_lost
        self._interruption: Interruption | None = None
        self._keeper: Keeper | None = None
        self._outer: Hold | None = None

    def __enter__(self) -> Lease:
        try:
            self._begin(interruption_of_this_thread)
        except BaseException as error:
            self._disarm()
            self._finish(error)
            raise
        return self.lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._disarm()
        self._finish(error)
        if isinstance(error, LeaseInterrupt | None):
            self._refuse_success(error)

    async def __aenter__(self) -> Lease:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        try:
            self._begin(lambda: TaskInterruption(task))
        except BaseException as error:
            self._disarm()
            await _undisturbed(self._finish, error)
            raise
        return self.lease

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import asyncio

        self._disarm()
        task = asyncio.current_task()
        assert task is not None
        if isinstance(self._interruption, TaskInterruption):
            for _ in range(self._interruption.cancellations):
                task.uncancel()
        await _undisturbed(self._finish, error)
        cancelled_by_us = isinstance(error, asyncio.CancelledError) and not task.cancelling()
        if cancelled_by_us or isinstance(error, LeaseInterrupt | None):
            self._refuse_success(error)

    def _begin(self, interruption: Callable[[], Interruption]) -> None:
        self._outer = _current.get()
        _current.set(self)
        renewal = Renewal(self.lease)
        if not renewal.needed:
            return
        tell: Callable[[], float | None] = self._call_on_lost
        if self._on_lost == "interrupt":
            self._interruption = interruption()
            tell = self._interrupt
        self._keeper = Keeper(renewal, self.lease, tell)
        self._keeper.start()
        # Only now: starting a thread waits in code that is not this package's.
        if self._interruption is not None:
            self._interruption.arm()

    def _disarm(self) -> None:
        if self._interruption is not None:
            self._interruption.disarm()
        _current.set(self._outer)

    def _finish(self, error: BaseException | None) -> None:
        # The handler's outcome is the handler's: what goes wrong in here is only told.
        if self._keeper is not None:
            self._keeper.stop()
        with suppress(Exception):
            self.lease._release("succeeded" if error is None else "failed")

    def _refuse_success(self, error: BaseException | None) -> None:
        if self.lease.lost:
            raise self.lease._lost_error() from error

    def _interrupt(self) -> float:
        assert self._interruption is not None
        if self._interruption.delivered:
            self._interruption.delivered = False
            return TIME_TO_CLEAN_UP
        self._interruption.send()
        return 0.02

    def _call_on_lost(self) -> None:
        if callable(self._on_lost):
            try:
                self._on_lost(self.lease)
            except Exception:
                logger().exception("lease %r: on_lost failed", self.lease.name)


async def _undisturbed(call: Callable[[BaseException | None], None], argument: Any) -> None:
    # A cancelled task still gives its lease back before it goes.
    import asyncio

    finished: asyncio.Future[None] = asyncio.ensure_future(asyncio.to_thread(call, argument))
    task = asyncio.current_task()
    cancelled: asyncio.CancelledError | None = None
    while not finished.done():
        try:
            await asyncio.shield(finished)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and task is not None and task.cancelling():
        raise cancelled
    finished.result()
