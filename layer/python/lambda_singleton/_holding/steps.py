"""Blocking steps, written once as a generator, and run with or without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._clock import Clock
from .background import in_background

if TYPE_CHECKING:
    import asyncio
    import threading

T = TypeVar("T")


class Pause(float):
    """A step that waits, for so many seconds."""


#: A step is a pause or a call that blocks. A generator of steps returns its result.
Step = Pause | Callable[[], Any]
Steps = Generator[Step, Any, T]


def run(steps: Steps[T], clock: Clock) -> T:
    """Run the steps in this thread."""
    result: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.send(result) if error is None else steps.throw(error)
        except StopIteration as end:
            value: T = end.value
            return value
        result, error = None, None
        try:
            if isinstance(step, Pause):
                clock.sleep(step)
            else:
                result = step()
        except Exception as raised:
            error = raised


async def run_async(steps: Steps[T], name: str, clean_up: Callable[[], None]) -> T:
    """Run the steps without blocking the event loop, nor any executor of the user's.

    Whatever cuts them off, `clean_up` runs once the call that was under way has come to its end: a
    thread cannot be called back. Only a second cancellation does not wait for that.
    """
    import asyncio

    call: Call | None = None
    try:
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                step = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
            result, error = None, None
            if isinstance(step, Pause):
                await asyncio.sleep(step)
                continue
            call = Call(step, name)
            try:
                result = await call.outcome
            except Exception as raised:
                error = raised
    except Exception:
        raise
    except BaseException as cut:
        finish = clean_up if call is None else call.then(clean_up)
        if isinstance(cut, asyncio.CancelledError):
            await Call(finish, name).outcome
        else:
            in_background(finish, name)
        raise


class Call:
    """A blocking call in a thread of its own, for a coroutine that waits for its `outcome`."""

    def __init__(self, call: Callable[[], Any], name: str) -> None:
        import asyncio
        from contextvars import copy_context

        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Any] = self._loop.create_future()
        self._call = call
        self._answer: tuple[Any, BaseException | None] | None = None
        self._context = copy_context()
        # Whatever cuts the call off, somebody waits for it.
        failed = partial(self._tell, None)
        # Set before as well: what follows may be cut off when the thread runs already.
        self.thread: threading.Thread | None = None
        self.thread = in_background(self._run, name, failed=failed)

    def then(self, clean_up: Callable[[], None]) -> Callable[[], None]:
        """Return what waits for the call's end, for another thread, and cleans up."""

        def finish() -> None:
            if self.thread is not None:
                self.thread.join()
            clean_up()

        return finish

    async def despite_cancellation(self) -> None:
        """Wait for the call's end, and be cancelled only then; a second time at once."""
        import asyncio

        try:
            await asyncio.shield(self.outcome)
        except asyncio.CancelledError:
            # What has ended the loop may have cut off the callback.
            self._settle()
            await asyncio.shield(self.outcome)
            raise

    def _run(self) -> None:
        self._tell(self._context.run(self._call), None)

    def _tell(self, result: Any, error: BaseException | None) -> None:
        self._answer = result, error
        # Once the loop is closed nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        try:
            self._settle_now()
        except Exception:
            # A loop goes on after it, and would wait for ever.
            self._settle_now()

    def _settle_now(self) -> None:
        if self._answer is None or self.outcome.done():
            return
        result, error = self._answer
        # It has nothing left to do: no thread is left behind.
        if self.thread is not None:
            self.thread.join()
        if error is None:
            self.outcome.set_result(result)
        else:
            self.outcome.set_exception(error)
