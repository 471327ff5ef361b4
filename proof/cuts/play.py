"""Playing a run: in the main thread, in another one, or in an event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lambda_singleton import current_lease

from .point import Point
from .run import Run
from .scenario import Scenario
from .verdict import Verdict, judge, surroundings

#: A hang lasts until the run is over, or so long (seconds): it has to end without it.
LONGEST_HANG = 2.0


def points(scenario: Scenario, *, fine: bool) -> list[Point]:
    """Play it uncut a few times, and return where it has been: threads differ a little.

    What only a process's first run comes to (imports, what is cached) is left out.
    """
    found: dict[tuple[str, str, int, int, int], Point] = {}
    play(Run(scenario))
    for _ in range(3):
        run = Run(scenario, fine=fine)
        play(run)
        for point in run.cut.points:
            found.setdefault(point.key, point)
    return list(found.values())


def play(run: Run) -> Verdict:
    """Play it, and judge what is left."""
    before = surroundings()
    outside = run.stage.outside
    run.scenario.prepare(run.stage)
    alarm = threading.Timer(LONGEST_HANG, outside.released.set)
    if run.kind == "hang":
        alarm.start()
    with watched(run.noticed):
        run.cut.follow_new_threads()
        try:
            PLACES[run.scenario.where](run)
        finally:
            threading.settrace(None)
        run.cut.end()
        run.task = None
        run.ended = time.monotonic()
        alarm.cancel()
        outside.released.set()
        run.stage.end()
        verdict = judge(run, before)
    verdict.violations.extend(run.unexpected())
    return verdict


def attempt(run: Run) -> None:
    """Run it in this thread, note what leaves it, and what comes after."""
    cut = run.cut
    cut.start()
    try:
        try:
            run.result = run.scenario.run(run.stage)
        finally:
            cut.stop()
    except BaseException as error:
        run.left(error)
    look_around(run)


def look_around(run: Run) -> None:
    """See that the thread, or task, is left as it was."""
    try:
        for _ in range(3):
            time.sleep(0.001)
        run.lease_remains = is_lease_current()
    except BaseException as error:
        run.stage.wrong.append(f"{error!r} was raised after the block")


def is_lease_current() -> bool:
    """Say whether this thread, or task, seems to hold one."""
    try:
        current_lease()
    except LookupError:
        return False
    return True


def in_main(run: Run) -> None:
    """Play it in this thread, the main one."""
    attempt(run)


def in_thread(run: Run) -> None:
    """Play it in another thread."""
    thread = threading.Thread(target=attempt, args=(run,), name="holder")
    thread.start()
    thread.join()


def in_loop(run: Run) -> None:
    """Play it as the main task of an event loop."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: run.noticed.append(context))
        run.task = asyncio.current_task()
        run.cut.start()
        try:
            run.result = await run.scenario.run(run.stage)
        finally:
            run.cut.stop()
            look_around(run)

    try:
        asyncio.run(main())
    except BaseException as error:
        run.left(error)
    run.cut.stop()
    look_around(run)


PLACES: dict[str, Callable[[Run], None]] = {
    "main": in_main,
    "thread": in_thread,
    "async": in_loop,
}


@contextmanager
def watched(noticed: list[Any]) -> Iterator[None]:
    """Note what Python can only print: exceptions that end a thread, or a finalizer."""
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = noticed.append
    sys.unraisablehook = noticed.append
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks
