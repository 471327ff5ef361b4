"""Event loops: the right task is stopped, or the whole loop, and it gets its time to clean up."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambda_singleton import (
    LeaseConfigError,
    LeaseLostError,
    Lock,
    MemoryStore,
    current_lease,
    singleton,
)

from . import script
from .loops import (
    FOREVER,
    WORK,
    Diary,
    Run,
    Work,
    as_coroutine,
    blocks_in_a_group,
    gathers,
    groups,
    run_with_a_loop,
    run_with_a_runner,
    run_with_asyncio,
    sleeps,
    works_in_the_background,
)
from .stores import ScriptedStore, no_renewals, wait_until

DURATION = 1.5


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


class TestLoss:
    @pytest.mark.parametrize(("work", "spin"), [*((work, 0.01) for work in WORK), (gathers, 0)])
    def test_of_a_handler_around_a_loop(
        self, store: ScriptedStore, work: Work, spin: float
    ) -> None:
        self.around_a_loop(store, work, spin, run_with_asyncio)

    @pytest.mark.parametrize("run", [run_with_a_runner, run_with_a_loop])
    @pytest.mark.parametrize("work", [groups, gathers])
    def test_around_other_loops(self, store: ScriptedStore, work: Work, run: Run) -> None:
        self.around_a_loop(store, work, 0.005, run)

    @staticmethod
    def around_a_loop(store: ScriptedStore, work: Work, spin: float, run: Run) -> None:
        store.before = no_renewals()
        diary = Diary(spin)
        end = 0.0

        @singleton("x", DURATION, store=store)
        def handler(event: object, context: object) -> None:
            nonlocal end
            end = store.end_of("x")
            run(as_coroutine(work(diary)))

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert 0 < diary.last <= end

    @pytest.mark.parametrize(("work", "spin"), [*((work, 0.01) for work in WORK), (gathers, 0)])
    def test_of_an_async_handler(self, store: ScriptedStore, work: Work, spin: float) -> None:
        store.before = no_renewals()
        diary = Diary(spin)
        end = 0.0

        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            nonlocal end
            end = store.end_of("x")
            await work(diary)

        with pytest.raises(LeaseLostError):
            asyncio.run(handler({}, None))
        # What a handler has left running in its loop is its own.
        if work is not works_in_the_background:
            assert 0 < diary.last <= end

    def test_tasks_that_swallow_it_do_not_work_on(self, store: ScriptedStore) -> None:
        # The interrupt may hit any of them, so it is tried several times.
        for _ in range(4):
            self.test_of_an_async_handler(store, gathers, 0.01)

    @pytest.mark.parametrize("kind", ["sync", "async"])
    @pytest.mark.parametrize("work", [sleeps, groups, gathers, blocks_in_a_group])
    def test_under_uvloop(self, kind: str, work: Work) -> None:
        pytest.importorskip("uvloop")
        # A process of its own: nothing gets into a loop of uvloop's that hangs.
        facts = script.run("lost_in_uvloop", kind, work.__name__, timeout=15)
        assert facts == {"left": "LeaseLostError", "in time": True}

    def test_what_else_went_wrong_is_not_hidden(self, store: ScriptedStore) -> None:
        store.before = no_renewals()

        async def fails_when_cancelled() -> None:
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                raise ValueError("the handler's own") from None

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails_when_cancelled())
                group.create_task(asyncio.sleep(FOREVER))

        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            await both()

        with pytest.raises(BaseException) as left:  # noqa: PT011
            asyncio.run(handler({}, None))
        assert any("the handler's own" in str(error) for error in everything_in(left.value))

    def test_the_other_tasks_of_the_loop_live_on(self, store: ScriptedStore) -> None:
        store.before = no_renewals()

        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            await asyncio.sleep(FOREVER)

        async def main() -> str:
            other = asyncio.create_task(asyncio.sleep(1.5, "the other's result"))
            with pytest.raises(LeaseLostError):
                await handler({}, None)
            assert not other.done()
            return await other

        assert asyncio.run(main()) == "the other's result"


def everything_in(error: BaseException | None) -> list[BaseException]:
    if error is None:
        return []
    parts = [error, *everything_in(error.__cause__), *everything_in(error.__context__)]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            parts += everything_in(part)
    return parts


class TestASyncBlockInALoop:
    def test_is_refused(self, store: ScriptedStore) -> None:
        async def main() -> None:
            with pytest.raises(LeaseConfigError, match="async with"), Lock("x", 30, store=store):
                pytest.fail("it goes on")

        asyncio.run(main())
        assert store.sent == []

    def test_in_a_task_and_below_a_function(self, store: ScriptedStore) -> None:
        def deep() -> None:
            with Lock("x", 30, store=store):
                pass

        async def task() -> None:
            deep()

        async def main() -> None:
            with pytest.raises(LeaseConfigError, match="async with"):
                await asyncio.gather(task(), asyncio.sleep(0))

        asyncio.run(main())
        assert store.sent == []

    def test_by_hand_and_in_threads_it_is_not(self, store: ScriptedStore) -> None:
        def in_a_thread() -> int:
            with Lock("y", 30, store=store) as lease:
                return lease.token

        async def main() -> None:
            lease = Lock("x", 30, store=store).acquire()
            lease.renew()
            lease.release()
            assert await asyncio.to_thread(in_a_thread)

        asyncio.run(main())
        assert store.owner("x") is None
        # And outside of the loop it is as ever.
        with Lock("x", 30, store=store):
            pass

    def test_one_around_a_loop_is_not(self, store: ScriptedStore) -> None:
        async def main() -> str:
            return current_lease().name

        with Lock("x", 30, store=store):
            assert asyncio.run(main()) == "x"


class Refuses(ThreadPoolExecutor):
    """Cannot start a thread."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("can't start new thread")


class TestTheLoopsExecutor:
    """It is the user's: neither taking nor giving back needs it."""

    @staticmethod
    async def take_and_give_back(store: MemoryStore) -> str:
        lock = Lock("x", 30, store=store)
        lease = await lock.acquire_async()
        lease.release()

        @singleton("x", 30, store=store)
        async def handler(event: object, context: object) -> str:
            return "result"

        async with lock:
            pass
        return str(await handler({}, None))

    def test_when_it_is_full(self, store: ScriptedStore) -> None:
        done = threading.Event()

        async def main() -> str:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            loop.run_in_executor(None, done.wait, 10)
            await asyncio.sleep(0.01)
            try:
                return await asyncio.wait_for(self.take_and_give_back(store), 3)
            finally:
                done.set()

        assert asyncio.run(main()) == "result"
        assert store.owner("x") is None

    def test_when_it_gets_full_meanwhile(self, store: ScriptedStore) -> None:
        done = threading.Event()

        async def main() -> bool:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            async with Lock("x", 30, store=store):
                loop.run_in_executor(None, done.wait, 3)
            was_left_before = not done.is_set() and store.owner("x") is None
            done.set()
            return was_left_before

        assert asyncio.run(main()), "it was left while the executor was full"

    def test_when_it_cannot_start_a_thread(self, store: ScriptedStore) -> None:
        async def main() -> str:
            asyncio.get_running_loop().set_default_executor(Refuses())
            return await self.take_and_give_back(store)

        assert asyncio.run(main()) == "result"
        assert store.owner("x") is None

    def test_when_it_is_shut_down(self, store: ScriptedStore) -> None:
        async def main() -> str:
            executor = ThreadPoolExecutor(1)
            asyncio.get_running_loop().set_default_executor(executor)
            executor.shutdown()
            return await self.take_and_give_back(store)

        assert asyncio.run(main()) == "result"
        assert store.owner("x") is None

    def test_it_is_not_even_made(self, store: ScriptedStore) -> None:
        def names() -> list[str]:
            return [thread.name for thread in threading.enumerate()]

        async def main() -> list[str]:
            await self.take_and_give_back(store)
            return names()

        before = names()
        assert [name for name in asyncio.run(main()) if name.startswith("asyncio")] == []
        # Nor is any thread of the package's left, a moment later.
        assert wait_until(lambda: set(names()) <= set(before)), names()

    def test_when_the_system_has_no_thread_left(
        self, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        @singleton("x", 30, store=store)
        async def handler(event: object, context: object) -> str:
            monkeypatch.setattr(threading.Thread, "start", refuse)
            return "result"

        try:
            assert asyncio.run(handler({}, None)) == "result"
        finally:
            monkeypatch.undo()


class TestCleanUp:
    """One notice, then the promised second."""

    @pytest.mark.parametrize("seconds", [0.1, 0.6])
    @pytest.mark.parametrize("way", ["waits", "blocks", "computes"])
    def test_of_an_async_handler(self, store: ScriptedStore, way: str, seconds: float) -> None:
        store.before = no_renewals()
        seen: list[str] = []

        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            try:
                if way == "waits":
                    await asyncio.sleep(FOREVER)
                elif way == "blocks":
                    time.sleep(FOREVER)  # noqa: ASYNC251
                else:
                    give_up_at = time.monotonic() + FOREVER
                    while time.monotonic() < give_up_at:
                        pass
            finally:
                try:
                    # Longer than it takes to send another notice.
                    time.sleep(0.1)  # noqa: ASYNC251
                    await asyncio.sleep(seconds)
                    seen.append("cleaned up")
                except BaseException as error:
                    seen.append(repr(error))
                    raise

        with pytest.raises(LeaseLostError):
            asyncio.run(handler({}, None))
        assert seen == ["cleaned up"]

    def test_of_a_block(self, store: ScriptedStore) -> None:
        store.before = no_renewals()
        steps = 0

        async def work() -> None:
            nonlocal steps
            async with Lock("x", DURATION, store=store):
                try:
                    time.sleep(FOREVER)  # noqa: ASYNC251
                finally:
                    for _ in range(5):
                        await asyncio.sleep(0.1)
                        steps += 1

        with pytest.raises(LeaseLostError):
            asyncio.run(work())
        assert steps == 5

    def test_no_cancellation_is_left_behind(self, store: ScriptedStore) -> None:
        store.before = no_renewals("x")

        async def work() -> int:
            with pytest.raises(LeaseLostError):
                async with Lock("x", DURATION, store=store):
                    try:
                        time.sleep(FOREVER)  # noqa: ASYNC251
                    finally:
                        await asyncio.sleep(0.2)
            task = asyncio.current_task()
            assert task is not None
            # Nothing of it comes later either.
            await asyncio.sleep(1.2)
            return task.cancelling()

        assert asyncio.run(work()) == 0
