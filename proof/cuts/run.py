"""One run of a scenario, cut at one point."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lambda_singleton import LeaseInterrupt, current_lease

from .cut import Cut
from .point import Point
from .scenario import Scenario
from .stage import Stage
from .verdict import Run, Verdict, judge

#: A hang lasts until the run is over, or so long (seconds): it has to end without it.
LONGEST_HANG = 2.0

RAISED: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "LeaseInterrupt": LeaseInterrupt,
    "SystemExit": SystemExit,
    "MemoryError": MemoryError,
}
#: What is done at a point. The first is one `task.cancel()`, the second is followed by another.
KINDS = (*RAISED, "CancelledError", "CancelledTwice", "hang")


def applies(kind: str, scenario: Scenario, point: Point) -> bool:
    """Say whether that can happen there."""
    outside, holder = point.file == "outside.py", point.role == "holder"
    match kind:
        case "hang":
            return outside and point.first
        case "CancelledError" | "CancelledTwice":
            return scenario.where == "async" and holder
        case "KeyboardInterrupt":
            # Python raises it in the main thread only.
            return holder and scenario.where != "thread"
        case "LeaseInterrupt":
            return holder
        case "SystemExit":
            return holder or outside
    return True


def points(scenario: Scenario, *, fine: bool) -> list[Point]:
    """Run it uncut a few times, and return where it has been: threads differ a little.

    What only a process's first run comes to (imports, what is cached) is left out.
    """
    found: dict[tuple[str, str, int, int, int], Point] = {}
    play(scenario, Cut())
    for _ in range(3):
        cut = Cut(fine=fine)
        play(scenario, cut)
        for point in cut.points:
            found.setdefault(point.key, point)
    return list(found.values())


def run(scenario: Scenario, kind: str = "", at: Point | None = None) -> Verdict:
    """Run it with that at this point, and judge what is left."""
    task: list[asyncio.Task[Any]] = []
    stage = Stage()
    error = RAISED[kind]("cut") if kind in RAISED else None
    if error is not None:
        error.cut = True  # type: ignore[attr-defined]

    def act() -> None:
        if error is not None:
            raise error
        if kind == "hang":
            stage.outside.hang()
            return
        task[0].cancel()
        if kind == "CancelledTwice":
            task[0].get_loop().call_later(0.002, task[0].cancel)

    cut = Cut(at, act, fine=at is not None and at.offset >= 0)
    return play(scenario, cut, stage, kind, error, task)


def play(
    scenario: Scenario,
    cut: Cut,
    stage: Stage | None = None,
    kind: str = "",
    error: BaseException | None = None,
    task: list[asyncio.Task[Any]] | None = None,
) -> Verdict:
    stage = Stage() if stage is None else stage
    task = [] if task is None else task
    kept = Run(scenario, kind, cut, stage, error)
    before = surroundings()
    scenario.prepare(stage)
    alarm = threading.Timer(LONGEST_HANG, stage.outside.released.set)
    if kind == "hang":
        alarm.start()
    with watched(kept.noticed):
        cut.follow_new_threads()
        try:
            PLACES[scenario.where](kept, task)
        finally:
            threading.settrace(None)  # type: ignore[arg-type]
        cut.end()
        kept.ended = time.monotonic()
        alarm.cancel()
        stage.outside.released.set()
        task.clear()
        stage.end()
        verdict = judge(kept)
        after = surroundings()
    for what, value in before.items():
        if after[what] != value:
            verdict.violations.append(f"{what} was {value!r} and is {after[what]!r}")
    verdict.violations.extend(kept.unexpected())
    return verdict


def attempt(kept: Run) -> None:
    """Run it in this thread, note what leaves it, and what comes after."""
    cut = kept.cut
    cut.start()
    try:
        try:
            kept.result = kept.scenario.run(kept.stage)
        finally:
            cut.stop()
    except BaseException as error:
        kept.left(error)
    look_around(kept)


def look_around(kept: Run) -> None:
    """See that the thread, or task, is left as it was."""
    try:
        for _ in range(3):
            time.sleep(0.001)
        kept.lease_remains = is_lease_current()
    except BaseException as error:  # noqa: BLE001
        kept.stage.wrong.append(f"{error!r} was raised after the block")


def is_lease_current() -> bool:
    try:
        current_lease()
    except LookupError:
        return False
    return True


def in_main(kept: Run, task: list[asyncio.Task[Any]]) -> None:  # noqa: ARG001
    attempt(kept)


def in_thread(kept: Run, task: list[asyncio.Task[Any]]) -> None:  # noqa: ARG001
    thread = threading.Thread(target=attempt, args=(kept,), name="holder")
    thread.start()
    thread.join()


def in_loop(kept: Run, task: list[asyncio.Task[Any]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: kept.noticed.append(context))
        current = asyncio.current_task()
        assert current is not None
        task.append(current)
        del current
        kept.cut.start()
        try:
            kept.result = await kept.scenario.run(kept.stage)
        finally:
            kept.cut.stop()
            look_around(kept)

    try:
        asyncio.run(main())
    except BaseException as error:
        kept.left(error)
    kept.cut.stop()
    look_around(kept)


PLACES: dict[str, Callable[[Run, list[asyncio.Task[Any]]], None]] = {
    "main": in_main,
    "thread": in_thread,
    "async": in_loop,
}


def surroundings() -> dict[str, object]:
    """What the process has of its own."""
    return {
        "the handler of SIGURG": signal.getsignal(signal.SIGURG),
        "the collector's switch": gc.isenabled(),
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
