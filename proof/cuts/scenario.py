"""The ways to use a lease that are cut."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

from lambda_singleton import Lease, LeaseError, LeaseInterrupt, current_lease, singleton

from .outside import on_lost
from .stage import Context, Stage

Where = Literal["main", "thread", "async"]

#: A lease that is renewed or lost while it is looked at (seconds).
SHORT = 0.4


class Scenario(NamedTuple):
    """One way to use leases. Its `run` returns, or raises `LeaseLostError` if it `loses`."""

    name: str
    where: Where
    run: Callable[[Stage], Any]
    prepare: Callable[[Stage], object] = lambda stage: None
    loses: bool = False
    #: It may be lost: the renewals are what is cut.
    may_lose: bool = False
    #: It may be refused by a `LeaseError`.
    may_refuse: bool = False
    #: Whoever holds the lease by hand gives it back by hand, or drops it.
    by_hand: bool = False


SCENARIOS: dict[str, Scenario] = {}


def scenario(where: Where, **facts: Any) -> Callable[[Callable[[Stage], Any]], None]:
    """Add the function to the scenarios, by its name."""

    def add(run: Callable[[Stage], Any]) -> None:
        SCENARIOS[run.__name__] = Scenario(run.__name__, where, run, **facts)

    return add


# Held and given back.


@scenario("main")
def lock(stage: Stage) -> str:
    with stage.lock() as lease:
        return stage.look(lease)


@scenario("main")
def handler(stage: Stage) -> Any:
    @singleton("a", store=stage.store)
    def handle(event: object, context: object) -> str:
        return stage.look(current_lease())

    return handle({}, Context())


def slow_requests(stage: Stage) -> None:
    """Give a task time to be cancelled twice."""
    for kind in ("Acquire", "Release"):
        stage.outside.be_slow(kind, "a", 0.006)


@scenario("async", prepare=slow_requests)
async def lock_async(stage: Stage) -> str:
    async with stage.lock() as lease:
        await asyncio.sleep(0)
        return stage.look(lease)


@scenario("async", prepare=slow_requests)
async def handler_async(stage: Stage) -> Any:
    @singleton("a", duration=30, store=stage.store)
    async def handle(event: object, context: object) -> str:
        await asyncio.sleep(0)
        return stage.look(current_lease())

    return await handle({}, Context())


@scenario("thread")
def thread(stage: Stage) -> str:
    with stage.lock() as lease:
        return stage.look(lease)


@scenario("main")
def nested(stage: Stage) -> str:
    with stage.lock("a") as outer:
        with stage.lock("b") as inner:
            stage.look(inner)
        return stage.look(outer)


@scenario("main", by_hand=True)
def by_hand(stage: Stage) -> str:
    lease = stage.lock().acquire()
    try:
        lease.check()
        lease.renew()
    finally:
        lease.release()
    return "worked"


@scenario("async", by_hand=True)
async def by_hand_async(stage: Stage) -> str:
    lease = await stage.lock().acquire_async()
    try:
        lease.check()
        await asyncio.sleep(0)
    finally:
        lease.release()
    return "worked"


@scenario("main", prepare=Stage.tell_everybody)
def told(stage: Stage) -> str:
    with stage.lock() as lease:
        return stage.look(lease)


# Waited for.


@scenario("main", prepare=lambda stage: stage.held_by_another("a", 0.05))
def waiting(stage: Stage) -> str:
    with stage.lock(wait=5) as lease:
        return stage.look(lease)


@scenario("async", prepare=lambda stage: stage.held_by_another("a", 0.05))
async def waiting_async(stage: Stage) -> str:
    async with stage.lock(wait=5) as lease:
        return stage.look(lease)


# Renewed.


@scenario("main", may_lose=True)
def renewed(stage: Stage) -> str:
    with stage.lock(duration=SHORT):
        return stage.work(until=stage.renewed(2))


@scenario("async", may_lose=True)
async def renewed_async(stage: Stage) -> str:
    async with stage.lock(duration=SHORT):
        return await stage.work_async(until=stage.renewed(2))


@scenario("main", may_lose=True, prepare=Stage.tell_everybody)
def renewed_told(stage: Stage) -> str:
    with stage.lock(duration=SHORT):
        return stage.work(until=stage.renewed(2))


# Lost.


@scenario("main", loses=True)
def stolen(stage: Stage) -> str:
    with stage.lock(duration=SHORT):
        stage.steal()
        return stage.work()


@scenario("main", loses=True, prepare=Stage.tell_everybody)
def expired(stage: Stage) -> Any:
    @singleton("a", SHORT, store=stage.store)
    def handle(event: object, context: object) -> str:
        stage.outside.unreachable = True
        return stage.work()

    return handle({}, None)


@scenario("main", loses=True, prepare=Stage.tell_everybody)
def reported(stage: Stage) -> Any:
    lost = threading.Event()
    note = on_lost(stage.outside)

    def tell(lease: Lease) -> None:
        try:
            note(lease)
        finally:
            lost.set()

    @singleton("a", SHORT, store=stage.store, on_lost=tell)
    def handle(event: object, context: object) -> str:
        stage.steal()
        # A hung or failed call of `on_lost` tells nobody: look for oneself as well.
        lease = current_lease()
        return stage.work(until=lambda: lost.is_set() or lease.lost)

    return handle({}, None)


@scenario("thread", loses=True)
def stolen_in_thread(stage: Stage) -> str:
    with stage.lock(duration=SHORT):
        stage.steal()
        return stage.work()


@scenario("async", loses=True)
async def stolen_async(stage: Stage) -> str:
    async with stage.lock(duration=SHORT):
        stage.steal()
        return await stage.work_async()


@scenario("async", loses=True)
async def stolen_from_busy_loop(stage: Stage) -> str:
    async with stage.lock(duration=SHORT):
        stage.steal()
        return stage.work()


@scenario("async", loses=True)
async def stolen_from_group(stage: Stage) -> Any:
    @singleton("a", SHORT, store=stage.store)
    async def handle(event: object, context: object) -> None:
        stage.steal()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(stage.work_busily())

    return await handle({}, None)


@scenario("main", loses=True)
def stolen_from_inner_group(stage: Stage) -> Any:
    @singleton("a", SHORT, store=stage.store)
    def handle(event: object, context: object) -> None:
        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(stage.work_busily())

        stage.steal()
        asyncio.run(both())

    return handle({}, None)


@scenario("main", loses=True)
def stolen_from_inner_gather(stage: Stage) -> Any:
    @singleton("a", SHORT, store=stage.store)
    def handle(event: object, context: object) -> None:
        async def both() -> None:
            work = (stage.work_busily() for _ in range(2))
            await asyncio.gather(*work, return_exceptions=True)

        stage.steal()
        asyncio.run(both())

    return handle({}, None)


@scenario("main", loses=True)
def outer_lost(stage: Stage) -> str:
    with stage.lock("a", SHORT):
        try:
            with stage.lock("b"):
                # The inner one's loss is not noticed before it is given back.
                stage.steal("b")
                stage.steal("a")
                stage.work("a")
        except Exception as error:
            if _is_cut(error):
                raise
            stage.wrong.append(f"the inner block raised {error!r}")
        stage.steal("a")
        return stage.work("a")


@scenario("main", loses=True, prepare=lambda stage: stage.outside.be_slow("Release", "b", 0.25))
def outer_lost_while_inner_leaves(stage: Stage) -> str:
    with stage.lock("a", SHORT):
        with stage.lock("b"):
            stage.steal("a")
        return stage.work("a")


@scenario("main", loses=True)
def both_lost(stage: Stage) -> str:
    with stage.lock("a", SHORT):
        try:
            with stage.lock("b", SHORT):
                stage.outside.unreachable = True
                stage.work("b")
        except LeaseError:
            pass
        stage.outside.unreachable = True
        return stage.work("a")


# Loops.


@scenario("async")
async def overlapping(stage: Stage) -> str:
    first_is_in, first_is_out = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with stage.lock("a"):
            first_is_in.set()
            await asyncio.sleep(0.002)
        first_is_out.set()

    task = asyncio.ensure_future(first())
    waits = asyncio.ensure_future(first_is_in.wait())
    await asyncio.wait([task, waits], return_when="FIRST_COMPLETED")
    waits.cancel()
    try:
        async with stage.lock("b") as lease:
            await task
            return stage.look(lease)
    finally:
        await asyncio.wait([task])


@scenario("main", may_refuse=True)
def dropped(stage: Stage) -> str:
    is_in = threading.Event()

    async def hold() -> None:
        async with stage.lock():
            is_in.set()
            await asyncio.sleep(60)

    async def until_in() -> None:
        while not is_in.is_set() and not task.done():
            await asyncio.sleep(0.001)

    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(hold())
        loop.run_until_complete(until_in())
    finally:
        loop.close()
    if task.done():
        task.result()
    # It is meant to be dropped, and asyncio would say so.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return "worked"


@scenario("async")
async def full_executor(stage: Stage) -> str:
    over = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    blocked = loop.run_in_executor(None, over.wait, 1.0)
    try:
        async with stage.lock() as lease:
            result = stage.look(lease)
        if blocked.done() and not stage.outside.has_hung:
            stage.wrong.append("it waited for the user's executor")
        return result
    finally:
        over.set()
        await asyncio.wait([blocked])


@scenario("async", loses=True, may_refuse=True)
async def sync_in_coroutine(stage: Stage) -> str:
    over = False

    async def bystander() -> None:
        try:
            while not over:
                await asyncio.sleep(0)
        except LeaseInterrupt:
            stage.wrong.append("another task was interrupted")

    task = asyncio.ensure_future(bystander())
    try:
        with stage.lock(duration=SHORT):
            stage.steal()
            return await stage.work_async()
    finally:
        over = True
        await asyncio.wait([task])


def _is_cut(error: BaseException) -> bool:
    return bool(getattr(error, "cut", False))
