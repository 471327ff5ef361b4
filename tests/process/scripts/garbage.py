"""A hold that nobody can leave any more.

Arguments: how that comes about, the path of the store's notes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from lambda_singleton import Lock

from ..stores import NotedStore, lease_threads

HOW, PATH = sys.argv[1:]
DURATION = 0.5
store = NotedStore(PATH)


async def hold_for_ever() -> None:
    async with Lock("x", DURATION, store=store):
        await asyncio.sleep(3600)


def close_a_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    task = loop.create_task(hold_for_ever())
    loop.run_until_complete(asyncio.sleep(DURATION))
    loop.close()
    del task, loop


async def take_and_yield() -> AsyncIterator[int]:
    async with Lock("x", DURATION, store=store):
        yield 1


def drop_an_async_generator() -> None:
    async def begin() -> Any:
        generator = take_and_yield()
        await anext(generator)
        await asyncio.sleep(DURATION)
        return generator

    loop = asyncio.new_event_loop()
    generator = loop.run_until_complete(begin())
    # Nobody shuts its generators down.
    loop.close()
    del generator, loop


def drop_a_coroutine() -> None:
    class Suspend:
        def __await__(self) -> Iterator[None]:
            yield

    async def hold() -> None:
        async with Lock("x", DURATION, store=store):
            await asyncio.sleep(DURATION)
            holding.set()
            await asyncio.Event().wait()

    holding = threading.Event()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    task = loop.create_task(hold())
    while not holding.is_set():
        loop.run_until_complete(asyncio.sleep(0.01))
    # The loop is dropped as it is, and its tasks with it.
    del task, loop


def steps() -> Iterator[int]:
    with Lock("x", DURATION, store=store):
        time.sleep(DURATION)
        yield 1


def drop_a_generator() -> None:
    generator = steps()
    next(generator)
    del generator


def drop_a_generator_elsewhere() -> None:
    generators = [steps()]
    next(generators[0])
    thread = threading.Thread(target=generators.clear)
    thread.start()
    thread.join()


def drop_a_cycle() -> None:
    class Knot:
        pass

    knot: Any = Knot()
    knot.knot = knot
    knot.generator = steps()
    next(knot.generator)
    del knot


def end_a_thread() -> None:
    def begin() -> None:
        generators.append(steps())
        next(generators[0])

    generators: list[Iterator[int]] = []
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    generators.clear()


def close_a_loop_in_a_thread() -> None:
    thread = threading.Thread(target=close_a_loop)
    thread.start()
    thread.join()


def main() -> None:
    {
        "loop closed": close_a_loop,
        "loop closed in a thread": close_a_loop_in_a_thread,
        "coroutine dropped": drop_a_coroutine,
        "generator dropped": drop_a_generator,
        "generator dropped elsewhere": drop_a_generator_elsewhere,
        "async generator dropped": drop_an_async_generator,
        "generator in a cycle": drop_a_cycle,
        "thread's generator": end_a_thread,
    }[HOW]()
    gc.collect()
    was_renewed = store.count("Renew") > 0
    # It is given back now, or by a thread that begins with it now.
    time.sleep(0.5)
    gc.collect()
    free = store.owner("x") is None
    before = store.count("Renew")
    time.sleep(DURATION)
    facts = {
        "was renewed": was_renewed,
        "free": free,
        "renewed": store.count("Renew") - before,
        "threads": [thread.name for thread in lease_threads()],
    }
    print(json.dumps(facts), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
