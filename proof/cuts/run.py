"""One run of a scenario, cut at one point."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lambda_singleton import LeaseError, LeaseInterrupt, LeaseLostError

from .cut import Cut
from .point import Point
from .scenario import Scenario
from .stage import Stage

RAISED: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "LeaseInterrupt": LeaseInterrupt,
    "SystemExit": SystemExit,
    "MemoryError": MemoryError,
}
#: Where what the package calls can hang: in its first line.
HANGING = (
    "Store.execute",
    "Store.get",
    "Handler.emit",
    "observer.<locals>.observe",
    "on_lost.<locals>.lost",
)
#: What is done at a point. The first is one `task.cancel()`, the second is followed by another.
KINDS = (*RAISED, "CancelledError", "CancelledTwice", "hang")


def applies(kind: str, scenario: Scenario, point: Point) -> bool:
    """Say whether that can happen there."""
    outside, holder = point.file == "outside.py", point.role == "holder"
    match kind:
        case "hang":
            return point.function in HANGING and point.first
        case "CancelledError" | "CancelledTwice":
            return scenario.where == "async" and holder
        case "KeyboardInterrupt":
            # Python raises it in the main thread only.
            return holder and scenario.where != "thread"
        case "LeaseInterrupt":
            return holder
        case "SystemExit":
            return holder or outside
        case "MemoryError":
            # Where a function begins nothing has run that could want memory.
            return not (point.first and point.idle)
    return True


class Run:
    """A scenario, what is done to it at one point, and what happened then."""

    def __init__(
        self, scenario: Scenario, kind: str = "", at: Point | None = None, *, fine: bool = False
    ) -> None:
        self.scenario = scenario
        self.kind = kind
        self.stage = Stage()
        self.cut = Cut(at, self._act, fine=fine or (at is not None and at.offset >= 0))
        self.result: object = None
        #: The task that holds the lease, while it runs.
        self.task: asyncio.Task[Any] | None = None
        #: Whether `current_lease()` returns one afterwards.
        self.lease_remains = False
        #: When all was over, on the monotonic clock.
        self.ended = 0.0
        #: What Python printed: contexts of loops, arguments of hooks.
        self.noticed: list[Any] = []
        self._error: BaseException | None = None
        if kind in RAISED:
            # An interrupt is another lease's.
            self._error = RAISED[kind]("cut", "outer", "another owner")
            self._error.cut = True  # type: ignore[attr-defined]
        self._left = ""
        self._is_the_cut = False
        self._is_fine = True

    def _act(self) -> None:
        if self.kind == "LeaseInterrupt" and _is_in_callback():
            # In a callback of a loop it would be the loop that is interrupted: a KeyboardInterrupt.
            self.cut.happened = False
            return
        if self._error is not None:
            raise self._error
        if self.kind == "hang":
            self.stage.outside.hang()
        elif self.task is not None:
            loop = self.task.get_loop()
            # Nobody cancels from within a callback of the package's.
            loop.call_soon(self.task.cancel) if _is_in_callback() else self.task.cancel()
            if self.kind == "CancelledTwice":
                loop.call_later(0.002, self.task.cancel)

    @property
    def outcome(self) -> str:
        """What left the scenario, as text."""
        return self._left or str(self.result)

    def left(self, error: BaseException) -> None:
        """Note what left the scenario, and keep none of it: it would keep the lease."""
        self._left = f"{type(error).__name__}: {error}"
        self._is_the_cut = self._is_what_was_done(error)
        self._is_fine = isinstance(error, LeaseError) and (
            self.scenario.may_refuse
            or self.kind == "hang"
            or (isinstance(error, LeaseLostError) and self._may_lose)
        )
        if isinstance(error, LeaseError | BaseExceptionGroup) and not self._is_the_cut:
            self._is_the_cut = any(map(self._is_what_was_done, chain(error)))
        error.__traceback__ = error.__context__ = error.__cause__ = None

    @property
    def _may_lose(self) -> bool:
        return self.scenario.loses or self.scenario.may_lose

    def _is_what_was_done(self, error: BaseException) -> bool:
        if self.kind.startswith("Cancelled"):
            return type(error).__name__ == "CancelledError"
        return error is self._error

    def outcome_is_wrong(self) -> str | None:
        """Say why what left is not what should have."""
        returned = self.result == "worked" and not self._left
        if self._is_the_cut and self.cut.happened:
            return None
        if self._must_leave:
            return f"{self.kind} did not leave: {self._left or self.result!r}"
        if self._left:
            return None if self._is_fine or self._is_the_cut else f"{self._left} left"
        if self.scenario.loses and not self.scenario.may_refuse:
            return f"it returned {self.result!r} although the lease was lost"
        return None if returned or self.scenario.loses else f"it returned {self.result!r}"

    @property
    def _must_leave(self) -> bool:
        # An Exception inside a release, or an observer, is told and goes nowhere. A loss that is
        # on its way may be quicker than anything else.
        if not self.cut.happened or self.cut.role != "holder" or self.cut.in_finalizer:
            return False
        if self.kind in ("", "hang", "MemoryError"):
            return False
        return not (self._may_lose and self._is_fine and self._left)

    @property
    def hangs_elsewhere(self) -> bool:
        """Whether something hangs that the holder's thread need not wait for."""
        # A log handler that hangs holds its lock, and whoever logs waits for that.
        is_log = self.cut.function == "Handler.emit"
        return self.kind == "hang" and self.cut.role == "other" and self._may_lose and not is_log

    def unexpected(self) -> list[str]:
        """Say what Python printed and should not have."""
        return [text for text in map(self._text_of, self.noticed) if text]

    def _text_of(self, notice: Any) -> str:
        is_context = isinstance(notice, dict)
        error = notice.get("exception") if is_context else notice.exc_value
        where = notice.get("message") if is_context else getattr(notice, "object", "a thread")
        # An exception in a finalizer, or in a callback of the loop, has nowhere else to go.
        if error is not None and error is self._error:
            return ""
        # A coroutine of asyncio's that was never awaited, a loop that was cut off at its end, and
        # a loss that came beside what ended the loop: asyncio says so.
        is_of_loop = "BaseEventLoop" in str(where) or "asyncio.run() shutdown" in str(where)
        if (isinstance(where, Coroutine) and isinstance(error, KeyError)) or is_of_loop:
            return ""
        return f"{error!r} was printed: {where}"

    def forget(self) -> None:
        """Drop all that could keep a lease alive."""
        error = self._error
        if error is not None:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        for notice in self.noticed:
            known = getattr(notice, "exc_value", None)
            if known is not None:
                known.__traceback__ = None
        self.result = str(self.result)
        self.stage.forget()


def _is_in_callback() -> bool:
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return False


def chain(error: BaseException) -> list[BaseException]:
    """Return what the error came from."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        last = waiting.pop()
        if last in found:
            continue
        found.append(last)
        waiting += [cause for cause in (last.__cause__, last.__context__) if cause is not None]
        waiting += getattr(last, "exceptions", ())
    return found
