"""What is done in event loops while a lease is lost, and what runs the loops."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

FOREVER = 4.0


class Diary:
    """When work was done last. Steps that compute for `spin` seconds hardly ever wait."""

    def __init__(self, spin: float = 0.0) -> None:
        self.last = 0.0
        self._spin = spin

    async def step(self) -> None:
        if self._spin:
            until = time.monotonic() + self._spin
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.005)
        self.last = time.time()

    async def work(self) -> None:
        give_up_at = time.monotonic() + FOREVER
        while time.monotonic() < give_up_at:
            await self.step()


async def sleeps(diary: Diary) -> None:
    await diary.work()


async def groups(diary: Diary) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(diary.work())


async def groups_and_waits(diary: Diary) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(diary.work())
        await asyncio.sleep(FOREVER)


async def groups_in_groups(diary: Diary) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(groups(diary))
        group.create_task(groups_and_waits(diary))


async def gathers(diary: Diary) -> None:
    await asyncio.gather(*(diary.work() for _ in range(3)), return_exceptions=True)


async def gathers_again_and_again(diary: Diary) -> None:
    async def short() -> None:
        await diary.step()

    give_up_at = time.monotonic() + FOREVER
    while time.monotonic() < give_up_at:
        await asyncio.gather(short(), short(), return_exceptions=True)


async def works_in_the_background(diary: Diary) -> None:
    tasks = [asyncio.create_task(diary.work()) for _ in range(3)]
    await asyncio.wait(tasks)


async def blocks_in_a_group(diary: Diary) -> None:
    async def block() -> None:
        give_up_at = time.monotonic() + FOREVER
        while time.monotonic() < give_up_at:
            diary.last = time.time()
            time.sleep(0.005)  # noqa: ASYNC251

    async with asyncio.TaskGroup() as group:
        group.create_task(block())
        group.create_task(diary.work())


async def times_out(diary: Diary) -> None:
    async with asyncio.timeout(FOREVER):
        await diary.work()


async def with_anyio(diary: Diary) -> None:
    anyio = importlib.import_module("anyio")
    async with anyio.create_task_group() as group:
        group.start_soon(diary.work)
        group.start_soon(diary.work)


Work = Callable[[Diary], Awaitable[None]]

WORK: list[Work] = [
    sleeps,
    groups,
    groups_and_waits,
    groups_in_groups,
    gathers,
    gathers_again_and_again,
    works_in_the_background,
    blocks_in_a_group,
    times_out,
    with_anyio,
]


Run = Callable[[Coroutine[Any, Any, None]], None]


def run_with_asyncio(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def run_with_a_runner(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(main)


def run_with_a_loop(main: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            # What a task ends with is not to keep the loop open.
            with suppress(BaseException):
                loop.run_until_complete(task)
        loop.close()


def run_with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    uvloop = importlib.import_module("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
