"""Stopping a handler that is running in another thread, whatever it is waiting for."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import LeaseInterrupt

if TYPE_CHECKING:
    import asyncio

#: Ignored by default, so that a stray one harms nobody, and hardly ever used for anything else.
SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)

_PACKAGE = __name__.partition(".")[0]


class Interruption(Protocol):
    """A way to stop the handler. Only between `arm` and `disarm` can it be interrupted."""

    #: Whether the interrupt has been raised inside the handler.
    delivered: bool

    def arm(self) -> None:
        """Called by the handler's thread, before it starts."""

    def send(self) -> None:
        """Called by another thread, as often as it takes."""

    def disarm(self) -> None:
        """Called by the handler's thread, after it ended."""


def interruption_of_this_thread() -> Interruption:
    """Return the best way to interrupt a handler that runs in the calling thread."""
    if SIGNAL is not None and threading.current_thread() is threading.main_thread():
        return MainThreadInterruption()
    return ThreadInterruption()


class MainThreadInterruption:
    """Raises `LeaseInterrupt` from a signal handler: that ends a sleep or a socket call as well."""

    def __init__(self) -> None:
        self.delivered = False
        self._armed = False
        self._sent = False
        self._thread = threading.get_ident()
        assert SIGNAL is not None
        self._signal = SIGNAL
        self._previous: Any = None
        self.may_raise: Callable[[], bool] = lambda: True

    def arm(self) -> None:
        self._previous = signal.signal(self._signal, self._on_signal)
        self._armed = True

    def send(self) -> None:
        self._sent = True
        signal.pthread_kill(self._thread, self._signal)

    def disarm(self) -> None:
        self._armed = False
        # Only the main thread may set handlers; left from elsewhere, this one just passes on.
        # Somebody who has set a handler of their own meanwhile keeps it.
        is_here = threading.get_ident() == self._thread
        if is_here and signal.getsignal(self._signal) == self._on_signal:
            signal.signal(
                self._signal, signal.SIG_DFL if self._previous is None else self._previous
            )

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._armed and self._sent:
            # Never in the middle of this package's own bookkeeping: it is sent again.
            if not _is_ours(frame) and self.may_raise():
                self._sent = False
                self.delivered = True
                raise LeaseInterrupt("the lease is lost")
        elif callable(self._previous):
            self._previous(signum, frame)


def _is_ours(frame: FrameType | None) -> bool:
    module = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == _PACKAGE


class ThreadInterruption:
    """Raises `LeaseInterrupt` between two bytecodes: Python has no way into a blocking call."""

    def __init__(self) -> None:
        self.delivered = False
        self._armed = False
        self._thread = threading.get_ident()
        self._lock = threading.Lock()

    def arm(self) -> None:
        self._armed = True

    def send(self) -> None:
        with self._lock:
            frame = sys._current_frames().get(self._thread)
            if self._armed and not _is_ours(frame):
                self.delivered = True
                self._set_exception(LeaseInterrupt)

    def disarm(self) -> None:
        # The exception may arrive at any bytecode, also at one of these.
        try:
            self._disarm()
        except LeaseInterrupt:
            self._disarm()

    def _disarm(self) -> None:
        with self._lock:
            self._armed = False
            if self.delivered:
                self._set_exception(None)

    def _set_exception(self, exception: type[BaseException] | None) -> None:
        import ctypes

        set_exception: Callable[..., int] = ctypes.pythonapi.PyThreadState_SetAsyncExc
        set_exception(ctypes.c_ulong(self._thread), exception and ctypes.py_object(exception))


class TaskInterruption:
    """Cancels the handler's task, in asyncio's way.

    A handler that blocks the event loop cannot be cancelled: it is interrupted by the signal, but
    only while it is its own task that runs.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.delivered = False
        self.cancellations = 0
        self._armed = False
        self._task = task
        self._loop = task.get_loop()
        self._thread = interruption_of_this_thread()
        if isinstance(self._thread, MainThreadInterruption):
            self._thread.may_raise = self._is_running

    def arm(self) -> None:
        self._armed = True
        if isinstance(self._thread, MainThreadInterruption):
            self._thread.arm()

    def send(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        if isinstance(self._thread, MainThreadInterruption):
            self._thread.send()

    def disarm(self) -> None:
        self._armed = False
        if isinstance(self._thread, MainThreadInterruption):
            self._thread.disarm()

    def _cancel(self) -> None:
        if self._armed and not self.delivered:
            self.delivered = True
            self.cancellations += 1
            self._task.cancel("the lease is lost")

    def _is_running(self) -> bool:
        import asyncio

        if asyncio.current_task(self._loop) is not self._task:
            return False
        self.delivered = True
        return True
