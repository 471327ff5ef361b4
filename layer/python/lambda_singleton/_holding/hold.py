"""A lease held around a block of code: taken, renewed, watched, and given back on every way out."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .._errors import LeaseConfigError, LeaseDeadlineError, LeaseError, LeaseInterrupt, NoLeaseError
from .._events.logger import logger
from .._text import quoted
from .acquire import take, take_async
from .aim import is_partial
from .background import in_background
from .interrupt import Interruption, TaskInterruption, interruption_of_this_thread
from .lease import Lease
from .release import abandon, give_back, release
from .renewal import Renewal
from .request import TRIES
from .steps import Call, run
from .tenure import Tenure
from .watch import Watch

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

OnLost = Literal["interrupt", "report"] | Callable[[Lease], object]

# A hold belongs to its block: a context that somebody keeps does not keep the hold.
_current: ContextVar[weakref.ref[Hold] | None] = ContextVar("lambda_singleton", default=None)


def check_on_lost(on_lost: object) -> Any:
    """Return what may be given as `on_lost`; raise `LeaseConfigError` for anything else."""
    if on_lost not in ("interrupt", "report") and not callable(on_lost):
        raise LeaseConfigError(
            f'on_lost must be "interrupt", "report" or callable, not {on_lost!r}'
        )
    return on_lost


def current_lease() -> Lease:
    """Return the lease that the running handler or `with` block holds.

    Raises `NoLeaseError`, a `LeaseError` and a `LookupError`, outside of one: also in a thread that
    the handler has started, and in a child of `fork()`. Pass the lease on to those.
    """
    hold = current_hold()
    if hold is None:
        raise NoLeaseError(
            "no lease is held here: call this inside a decorated handler, and pass the lease on to"
            " the threads that it starts"
        )
    return hold.lease


def current_hold() -> Hold | None:
    """Return the innermost hold of this thread or task, if this process has acquired it."""
    return next(_open_holds(), None)


def _open_holds() -> Iterator[Hold]:
    # The innermost first. They may have been left in any order.
    reference = _current.get()
    while reference is not None and (hold := reference()) is not None:
        if hold.is_open and hold.tenure.is_here:
            yield hold
        reference = hold.outer


def current_task() -> asyncio.Task[Any] | None:
    """Return the task that runs in this thread; None if it runs no event loop."""
    library: Any = sys.modules.get("asyncio")
    if library is not None:
        with suppress(RuntimeError):
            task: asyncio.Task[Any] | None = library.current_task()
            return task
    return None


def _refuse_reentry(tenure: Tenure) -> None:
    """Raise `LeaseConfigError` if the code that wants to take the lease holds it already."""
    for hold in _open_holds():
        is_same = (hold.tenure.store, hold.tenure.name) == (tenure.store, tenure.name)
        if is_same and hold.is_of_this_code and hold.tenure.is_held:
            raise LeaseConfigError(
                f"lease {quoted(tenure.name)} is held by this very code, which would wait for"
                " itself: take it once, in the outermost block or handler"
            )


class Hold:
    """A lease around a block: taken first, then entered and left as a context manager.

    If nothing refers to it any more, such as after its event loop was closed, the lease is renewed
    no more, and given back.
    """

    #: Whether there may be something to leave. Here already: `__init__` may be cut off.
    is_open = False

    def __init__(self, tenure: Tenure, *, wait: float, on_lost: OnLost = "interrupt") -> None:
        self.tenure = tenure
        self.lease = Lease(tenure)
        self.outer: weakref.ref[Hold] | None = None
        self._wait = wait
        self._on_lost = on_lost
        #: How the run has gone, as far as its result tells.
        self.outcome = "succeeded"
        #: What makes the interruption of the thread that enters the block.
        self.interruption_of = interruption_of_this_thread
        self._interruption: Interruption | None = None
        self._watch: Watch | None = None
        self._thread = threading.get_ident()
        task = current_task()
        self._task = None if task is None else weakref.ref(task)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.abandon()

    def abandon(self) -> None:
        """Give back in the background what is still open: what should have left it was cut off."""
        if not self.is_open:
            return
        self._disarm()
        if self.tenure.is_here and (self.tenure.may_be_in_row or self._watch is not None):
            clean_up = self._clean_up()
            # Nobody else will: what cuts it off in its turn is not the end of it.
            in_background(clean_up, self.tenure.name, failed=lambda error: clean_up())
        self.is_open = False

    def look_now(self) -> None:
        """Have its watch look at once, if it has one: for tests that turn the clock."""
        if self._watch is not None:
            self._watch.look_now()

    def take(self) -> Lease:
        """Take the lease. Raises any `LeaseError` of an acquisition; after all else, `abandon`."""
        _refuse_reentry(self.tenure)
        self.is_open = True
        try:
            take(self.tenure, wait=self._wait)
        except LeaseError:
            self.is_open = False
            raise
        return self.lease

    async def take_async(self) -> Lease:
        """Take the lease without blocking the event loop."""
        _refuse_reentry(self.tenure)
        self.is_open = True
        try:
            await take_async(self.tenure, wait=self._wait)
        except LeaseError:
            self.is_open = False
            raise
        return self.lease

    def enter(self, frame: FrameType | None) -> Lease:
        """Begin the block, which `frame` runs."""
        try:
            facts = self.tenure.name, self.tenure.owner
            self._begin(lambda: self.interruption_of(*facts, frame))
        except BaseException as error:
            self._leave(error)
            raise
        return self.lease

    def __enter__(self) -> Lease:
        return self.enter(sys._getframe(1))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)
        if error is None or self._is_own(error):
            self._refuse_success(error)

    def run(self, call: Callable[[], T]) -> T:
        """Call it in the block."""
        try:
            with self:
                return call()
        except BaseException as stray:
            # It arrived at the first instruction of __exit__, which Python lets nobody guard.
            if self.is_open:
                self.__exit__(type(stray), stray, stray.__traceback__)
            raise

    async def __aenter__(self) -> Lease:
        task, this = current_task(), weakref.ref(self)
        assert task is not None

        def is_under_lease() -> bool:
            return any(hold is this() for hold in _open_holds())

        facts = self.tenure.name, self.tenure.owner
        try:
            self._begin(lambda: TaskInterruption(task, *facts, is_under_lease))
        except BaseException as error:
            await self._leave_async(error)
            raise
        return self.lease

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        was_cancelled = await self._leave_async(error)
        if error is None or self._is_own(error, was_cancelled):
            self._refuse_success(error)

    def _begin(self, make: Callable[[], Interruption]) -> None:
        self.outer = _current.get()
        _current.set(weakref.ref(self))
        renewal = Renewal(self.tenure)
        if renewal.is_needed:
            self._start_watch(renewal, make())
        # Those who were told that it was acquired may have taken their time.
        self.tenure.check()

    def _start_watch(self, renewal: Renewal, interruption: Interruption) -> None:
        on_loss = partial(_tell_loss, self.tenure, self.lease, self._on_lost)
        interrupts = self._on_lost == "interrupt"
        self._watch = Watch(self.tenure, renewal, interruption, on_loss, interrupts=interrupts)
        self._watch.start()
        # Arm last: inside Thread.start() the interrupt would not be recognised as ours.
        if interrupts:
            self._interruption = interruption
            interruption.arm()

    def _leave(self, error: BaseException | None) -> None:
        try:
            self._disarm()
            _finish(self.tenure, self._watch, self._outcome(error))
            self.is_open = False
        except BaseException as stray:
            self.abandon()
            # It came too late to end the block, which has ended by itself.
            if not self._is_own(stray):
                raise

    async def _leave_async(self, error: BaseException | None) -> bool:
        # Returns whether nothing but this hold has cancelled the task.
        try:
            was_cancelled = self._take_cancellations_back()
            self._disarm()
            # A child of fork() has the coroutine, but not the loop.
            if not self.tenure.is_here:
                return was_cancelled
            finish = partial(_finish, self.tenure, self._watch, self._outcome(error))
            # A coroutine that is thrown away cannot wait.
            if isinstance(error, GeneratorExit):
                in_background(finish, self.tenure.name)
            else:
                await Call(finish, self.tenure.name).despite_cancellation()
            self.is_open = False
            return was_cancelled
        except BaseException:
            self.abandon()
            raise

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            return self.outcome
        is_unfinished = self.tenure.is_unfinished and isinstance(error, LeaseDeadlineError)
        return "unfinished" if is_unfinished else "failed"

    def judge(self, result: T) -> T:
        """Return the result; one that asks for a part of its batch again is no success."""
        if self.tenure.aim.is_recorded and is_partial(result):
            self.outcome = "failed"
        return result

    def _disarm(self) -> None:
        if self._interruption is not None:
            self._interruption.disarm()
        reference = _current.get()
        if reference is not None and reference() is self:
            _current.set(self.outer)

    def _clean_up(self) -> Callable[[], None]:
        # Does not refer to this hold: it may be garbage.
        tenure, watch = self.tenure, self._watch

        def clean_up() -> None:
            if watch is not None:
                watch.stop()
            give_back(tenure, "failed")

        return clean_up

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Let `current_lease()` return its lease in a thread that works for it, too."""
        token = _current.set(weakref.ref(self))
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def is_of_this_code(self) -> bool:
        """Whether the thread or task that took it is the one that asks."""
        task = None if self._task is None else self._task()
        return self._thread == threading.get_ident() and task is current_task()

    def _take_cancellations_back(self) -> bool:
        interruption, task = self._interruption, current_task()
        if not isinstance(interruption, TaskInterruption) or task is None:
            return False
        was_cancelled = interruption.cancellations > 0
        for _ in range(interruption.cancellations):
            task.uncancel()
        interruption.cancellations = 0
        return was_cancelled and not task.cancelling()

    def _is_own(self, error: BaseException, was_cancelled: bool = False) -> bool:
        """Whether the error is made of nothing but this hold's interrupts."""
        if isinstance(error, BaseExceptionGroup):
            return all(self._is_own(part, was_cancelled) for part in error.exceptions)
        if isinstance(error, LeaseInterrupt):
            return error.owner in ("", self.tenure.owner)
        return was_cancelled and isinstance(error, _cancelled_error())

    def _refuse_success(self, error: BaseException | None) -> None:
        if self.tenure.loss is not None:
            raise self.tenure.lost_error() from error


def _cancelled_error() -> type[BaseException]:
    from asyncio import CancelledError

    return CancelledError


def _finish(tenure: Tenure, watch: Watch | None, outcome: str) -> None:
    # In a child of fork() there is neither a watch nor anything to give back.
    if not tenure.is_here:
        return
    has_hung = watch is not None and not watch.stop()

    def finish() -> None:
        # The handler's outcome is the handler's: what goes wrong in here is only told.
        try:
            run(release(tenure, outcome), tenure.store.clock)
        except LeaseError:
            # It was told. A store that does not answer has been asked often enough.
            return
        except Exception:
            abandon(tenure, outcome)

    if has_hung or tenure.loss is not None:
        # What has hung once may hang again, where no time-out reaches: credentials, look-ups.
        thread = in_background(finish, tenure.name, daemon=True)
        if thread is not None:
            thread.join(TRIES * tenure.timeout + 1)
    else:
        finish()


def _tell_loss(tenure: Tenure, lease: Lease, on_lost: OnLost) -> None:
    tenure.tell_loss()
    if callable(on_lost):
        try:
            on_lost(lease)
        except Exception:
            logger().exception("lease %r: on_lost failed", lease.name)
