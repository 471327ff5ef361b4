"""Stopping code that runs under a lost lease, whatever it is waiting for."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import LeaseInterrupt

if TYPE_CHECKING:
    import asyncio

#: Ignored by default, so that a stray one harms nobody, and hardly ever used for anything else.
SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)

_PACKAGE = __name__.partition(".")[0]


class Interruption(Protocol):
    """A way to stop the code under one lease, from another thread.

    Only between `arm` and `disarm` is anything raised, and what is raised names its owner.
    """

    def arm(self) -> None:
        """Called by the thread that is to be interrupted, before the code starts."""

    def send(self) -> None:
        """Called by another thread, as often as it takes. Blocks for nothing."""

    def was_delivered(self) -> bool:
        """Return whether an interrupt has been raised since this was last asked."""

    def is_over(self) -> bool:
        """Return whether the code has certainly ended, without leaving its lease."""

    def disarm(self) -> None:
        """Called after the code has ended, as often as it takes."""


def interruption_of_this_thread(lease: str, owner: str, frame: FrameType | None) -> Interruption:
    """Return the best way to interrupt code of the calling thread, which `frame` runs."""
    if SIGNAL is not None and threading.current_thread() is threading.main_thread():
        return MainThreadInterruption(lease, owner)
    return ThreadInterruption(lease, owner, frame)


class MainThreadInterruption:
    """Raises `LeaseInterrupt` from a signal handler: that ends a sleep or a socket call as well.

    Inside a running event loop what is raised stops the loop as a whole, as Ctrl-C does: a single
    task could swallow it while the others go on.
    """

    def __init__(
        self, lease: str, owner: str, is_under_lease: Callable[[], bool] | None = None
    ) -> None:
        self.is_sent = False
        self.is_delivered = False
        self._lease = lease
        self._owner = owner
        self._is_under_lease = is_under_lease
        self._thread = threading.get_ident()

    def arm(self) -> None:
        _signal_owner.arm(self)

    def send(self) -> None:
        assert SIGNAL is not None
        self.is_sent = True
        signal.pthread_kill(self._thread, SIGNAL)

    def was_delivered(self) -> bool:
        delivered, self.is_delivered = self.is_delivered, False
        return delivered

    def is_over(self) -> bool:
        return False

    def disarm(self) -> None:
        self.is_sent = False
        _signal_owner.disarm(self)

    def raise_if_due(self) -> None:
        """Raise what was sent, unless something else than this lease's code is running."""
        # Of a coroutine's lease: what else its loop runs is not to be stopped.
        if not self.is_sent or not (self._is_under_lease is None or self._is_under_lease()):
            return
        stops_loop = self._is_under_lease is None and _is_loop_running()
        kind = LoopInterrupt if stops_loop else LeaseInterrupt
        interrupt = kind("the lease is lost", self._lease, self._owner)
        self.is_sent = False
        self.is_delivered = True
        raise interrupt


class LoopInterrupt(LeaseInterrupt, KeyboardInterrupt):
    """An interrupt that no task keeps to itself: asyncio passes on nothing else."""


def _is_loop_running() -> bool:
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


class _SignalOwner:
    """This process's handler of the signal, set while anybody may be interrupted by it.

    Leases may be left in any order: what was there before the first comes back with the last.
    """

    def __init__(self) -> None:
        self._armed: list[MainThreadInterruption] = []
        self._previous: Any = None
        self._is_chaining = False

    def arm(self, interruption: MainThreadInterruption) -> None:
        assert SIGNAL is not None
        self._armed.append(interruption)
        if signal.getsignal(SIGNAL) != self._on_signal:
            self._previous = signal.signal(SIGNAL, self._on_signal)

    def disarm(self, interruption: MainThreadInterruption) -> None:
        assert SIGNAL is not None
        with suppress(ValueError):
            self._armed.remove(interruption)
        # Only the main thread may set handlers; until it does, this one just passes on.
        if self._armed or threading.current_thread() is not threading.main_thread():
            return
        # Somebody who has set a handler of their own meanwhile keeps it.
        if signal.getsignal(SIGNAL) == self._on_signal:
            signal.signal(SIGNAL, signal.SIG_DFL if self._previous is None else self._previous)
            self._previous = None

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if any(interruption.is_sent for interruption in self._armed):
            # Never in the middle of this package's own bookkeeping: it is sent again.
            if not _is_ours(frame) and not _swallows(frame):
                # The outermost first: its code is what runs longest.
                for interruption in list(self._armed):
                    interruption.raise_if_due()
        elif callable(self._previous) and not self._is_chaining:
            self._is_chaining = True
            try:
                self._previous(signum, frame)
            finally:
                self._is_chaining = False


_signal_owner = _SignalOwner()


def _is_ours(frame: FrameType | None) -> bool:
    module = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == _PACKAGE


def _swallows(frame: FrameType | None) -> bool:
    # What leaves a finalizer, or the callback of a weak reference, Python only prints.
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "__del__" or module in ("weakref", "_weakrefset"):
            return True
        frame = frame.f_back
    return False


class ThreadInterruption:
    """Raises `LeaseInterrupt` between two bytecodes: Python has no way into a blocking call."""

    def __init__(self, lease: str, owner: str, frame: FrameType | None) -> None:
        self._is_armed = False
        self._is_pending = False
        self._is_delivered = False
        self._is_first = True
        self._frame = _frame_of_block(frame)
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._lease = lease
        self._owner = owner

    def arm(self) -> None:
        self._is_armed = True

    def send(self) -> None:
        with self._lock:
            if self._is_armed and not _is_ours(sys._current_frames().get(self._thread)):
                self._is_pending = True
                self._set_exception(self._interrupt_type())

    def is_over(self) -> bool:
        # The first one may arrive between the block and its exit: no other may then follow.
        has_arrived = self._is_armed and self._frame is not None and not self._is_first
        return has_arrived and not self._is_in_block()

    def was_delivered(self) -> bool:
        delivered, self._is_delivered = self._is_delivered, False
        return delivered

    def disarm(self) -> None:
        # The exception may arrive at any bytecode, also at one of these.
        try:
            self._disarm()
        except LeaseInterrupt as stray:
            self._disarm()
            if stray.owner not in ("", self._owner):
                raise

    def _disarm(self) -> None:
        with self._lock:
            self._is_armed = False
            self._frame = None
            if self._is_pending and threading.get_ident() == self._thread:
                # It arrives here. Taken back by None, one that has been replaced by another lease's
                # would leave a flag of Python 3.11 set: under a tracer no call would ever begin.
                for _ in range(1000):
                    pass
            elif self._is_pending:
                self._set_exception(None)
            self._is_pending = False

    def _interrupt_type(self) -> type[LeaseInterrupt]:
        # Python makes the exception when it arrives; until then it can be taken back.
        def arrive(interrupt: LeaseInterrupt) -> None:
            LeaseInterrupt.__init__(interrupt, "the lease is lost", self._lease, self._owner)
            self._is_pending, self._is_first, self._is_delivered = False, False, True

        return type("LeaseInterrupt", (LoopInterrupt,), {"__init__": arrive})

    def _is_in_block(self) -> bool:
        frame = sys._current_frames().get(self._thread)
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def _set_exception(self, exception: type[BaseException] | None) -> None:
        import ctypes

        set_exception: Callable[..., int] = ctypes.pythonapi.PyThreadState_SetAsyncExc
        set_exception(ctypes.c_ulong(self._thread), exception and ctypes.py_object(exception))


def _frame_of_block(frame: FrameType | None) -> FrameType | None:
    """Return the frame that runs as long as the block does: not one that only enters it."""
    generator = 0x20
    while frame is not None and (
        frame.f_globals.get("__name__") == "contextlib"
        or frame.f_code.co_name == "__enter__"
        or frame.f_code.co_flags & generator
    ):
        frame = frame.f_back
    return frame


class TaskInterruption:
    """Cancels the task, in asyncio's way.

    A task that blocks the event loop cannot be cancelled: on the main thread the signal then
    interrupts what runs under its lease, also in a task that it has started.
    """

    def __init__(
        self,
        task: asyncio.Task[Any],
        lease: str,
        owner: str,
        is_under_lease: Callable[[], bool],
    ) -> None:
        self.cancellations = 0
        self._is_armed = False
        self._is_queued = False
        self._is_cancelled = False
        # Since the cancellation was queued, which then would be a second notice of the same loss.
        self._was_raised_in_task = False
        self._is_under_lease = is_under_lease
        # Neither is kept alive by the thread that watches them.
        self._task = weakref.ref(task)
        self._loop = weakref.ref(task.get_loop())
        self._signal: MainThreadInterruption | None = None
        if SIGNAL is not None and threading.current_thread() is threading.main_thread():
            self._signal = MainThreadInterruption(lease, owner, self._may_raise)

    def arm(self) -> None:
        self._is_armed = True
        if self._signal is not None:
            self._signal.arm()

    def send(self) -> None:
        loop = self._loop()
        if loop is not None and not self._is_queued:
            self._is_queued = True
            try:
                loop.call_soon_threadsafe(self._cancel)
            except Exception:
                # A loop that is closed runs nothing any more; any other is asked again.
                self._is_queued = False
        elif self._signal is not None:
            # What was queued the last time has not run: something blocks the loop.
            self._signal.send()

    def was_delivered(self) -> bool:
        delivered, self._is_cancelled = self._is_cancelled, False
        return (self._signal is not None and self._signal.was_delivered()) or delivered

    def is_over(self) -> bool:
        loop = self._loop()
        return loop is None or loop.is_closed()

    def disarm(self) -> None:
        self._is_armed = False
        if self._signal is not None:
            self._signal.disarm()

    def _may_raise(self) -> bool:
        from asyncio import current_task

        is_under_lease = self._is_under_lease()
        self._was_raised_in_task |= is_under_lease and current_task() is self._task()
        return is_under_lease

    def _cancel(self) -> None:
        task, self._is_queued = self._task(), False
        was_raised, self._was_raised_in_task = self._was_raised_in_task, False
        if self._signal is not None:
            self._signal.is_sent = False
        if self._is_armed and task is not None and not was_raised:
            self.cancellations += 1
            task.cancel("the lease is lost")
            self._is_cancelled = True
