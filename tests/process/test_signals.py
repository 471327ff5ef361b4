"""The interrupt belongs to one hold, and is gone with it, in whatever order holds are left."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from lambda_singleton import (
    LeaseError,
    LeaseInterrupt,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    current_lease,
    singleton,
)

from .stores import ScriptedStore, lease_threads, no_renewals, wait_until

ORDERS = list(itertools.permutations(range(3)))


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before, threads = signal.getsignal(signal.SIGURG), lease_threads()
    yield
    try:
        assert signal.getsignal(signal.SIGURG) == before
        assert wait_until(lambda: set(lease_threads()) <= set(threads)), lease_threads()
    finally:
        signal.signal(signal.SIGURG, before)


class TestOverlappingHolds:
    @pytest.mark.parametrize("order", ORDERS)
    def test_tasks_leave_in_any_order(self, store: ScriptedStore, order: tuple[int, ...]) -> None:
        before = signal.getsignal(signal.SIGURG)

        async def hold(number: int, events: list[asyncio.Event], entered: asyncio.Event) -> None:
            async with Lock(f"{number}", 30, store=store) as lease:
                entered.set()
                await events[number].wait()
                assert current_lease() is lease

        async def overlap() -> None:
            events = [asyncio.Event() for _ in order]
            tasks = []
            for number in range(len(order)):
                entered = asyncio.Event()
                tasks.append(asyncio.create_task(hold(number, events, entered)))
                await entered.wait()
            for number in order:
                events[number].set()
                await tasks[number]

        asyncio.run(overlap())
        assert signal.getsignal(signal.SIGURG) == before

    @pytest.mark.parametrize("order", ORDERS)
    def test_blocks_leave_in_any_order(self, store: ScriptedStore, order: tuple[int, ...]) -> None:
        before = signal.getsignal(signal.SIGURG)
        locks = [Lock(f"{number}", 30, store=store) for number in order]
        for lock in locks:
            lock.__enter__()
        for number in order:
            locks[number].__exit__(None, None, None)
        assert signal.getsignal(signal.SIGURG) == before
        assert store.count("Release") == len(order)

    def test_nothing_of_a_thousand_loops_is_kept(self, store: ScriptedStore) -> None:
        loops = []

        async def hold(number: int, leave: asyncio.Event, entered: asyncio.Event) -> None:
            async with Lock(f"{number}", 30, store=store):
                entered.set()
                await leave.wait()

        async def overlap() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            leave = [asyncio.Event(), asyncio.Event()]
            tasks = []
            for number in range(2):
                entered = asyncio.Event()
                tasks.append(asyncio.create_task(hold(number, leave[number], entered)))
                await entered.wait()
            for event, task in zip(leave, tasks, strict=True):
                event.set()
                await task

        for _ in range(200):
            asyncio.run(overlap())
        gc.collect()
        assert [loop for loop in loops[:-1] if loop() is not None] == []
        # It would be as deep as there were loops.
        signal.raise_signal(signal.SIGURG)

    def test_a_handler_of_ones_own_is_called_and_comes_back(self, store: ScriptedStore) -> None:
        calls: list[int] = []

        def mine(number: int, frame: Any) -> None:
            calls.append(number)

        before = signal.signal(signal.SIGURG, mine)
        try:
            one, other = (Lock(name, 30, store=store) for name in "ab")
            one.__enter__()
            other.__enter__()
            signal.raise_signal(signal.SIGURG)
            one.__exit__(None, None, None)
            signal.raise_signal(signal.SIGURG)
            other.__exit__(None, None, None)
            assert signal.getsignal(signal.SIGURG) is mine
            assert calls == [signal.SIGURG] * 2
        finally:
            signal.signal(signal.SIGURG, before)

    def test_the_one_that_is_left_is_still_interrupted(self, store: ScriptedStore) -> None:
        store.before = no_renewals("b")
        one, other = Lock("a", 30, store=store), Lock("b", 0.8, store=store)
        with pytest.raises(LeaseLostError, match="'b'"):
            one.__enter__()
            with other:
                one.__exit__(None, None, None)
                time.sleep(5)


DURATION = 0.6


def sleeps(seconds: float) -> None:
    time.sleep(seconds)


def waits_for_a_lock(seconds: float) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=seconds)


def computes(seconds: float) -> None:
    # One long call that knows nothing of Python.
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 60_000)


def unpacks(seconds: float) -> None:
    # No bytecode looks for interrupts after this one, until the block is left.
    [*map(time.sleep, [seconds])]


def reads_to_the_end(seconds: float) -> None:
    # Nor after a loop that ends in a blocking call.
    reader, writer = os.pipe()
    timer = threading.Timer(seconds, os.close, (writer,))
    timer.start()
    with os.fdopen(reader) as lines:
        for _ in lines:
            pass
    timer.join()


CALLS = [unpacks, reads_to_the_end, sleeps, waits_for_a_lock, computes]


class TestWorkerThreads:
    @pytest.mark.parametrize(
        ("call", "how"), [*((call, "block") for call in CALLS), (unpacks, "handler")]
    )
    def test_a_lost_lease_ends_the_job_and_no_other(
        self, store: ScriptedStore, call: Callable[[float], None], how: str
    ) -> None:
        store.before = no_renewals()
        left: list[type[BaseException] | None] = []
        shot: list[BaseException] = []

        def jobs(number: int) -> None:
            try:
                # The call returns soon after the interrupt was sent, while others are sent theirs.
                seconds = DURATION + number * 0.04
                if how == "handler":
                    guard = singleton(f"{number}", DURATION, store=store)
                    guard(lambda event, context: call(seconds))({}, None)
                else:
                    with Lock(f"{number}", DURATION, store=store):
                        call(seconds)
                left.append(None)
            except BaseException as error:
                left.append(type(error))
            # The thread's later jobs hold nothing, and are not shot.
            give_up_at = time.monotonic() + 1.3
            while time.monotonic() < give_up_at:
                try:
                    for _ in range(1000):
                        pass
                except BaseException as error:
                    shot.append(error)

        count = 2
        threads = [threading.Thread(target=jobs, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
        assert shot == []
        # Nobody can guard the first instruction of the `__exit__` of a block.
        may_leave = (LeaseLostError, LeaseInterrupt) if how == "block" else LeaseLostError
        assert [issubclass(kind or object, may_leave) for kind in left] == [True] * count
        assert wait_until(lambda: not any(record.owner for record in store.records()))

    def test_a_stray_interrupt_in_the_exit_does_not_stop_it(self, store: ScriptedStore) -> None:
        strays = 0

        def interrupt_once(kind: str, name: str) -> None:
            nonlocal strays
            if kind == "Release" and not strays:
                strays += 1
                raise LeaseInterrupt("a stray one")

        store.before = interrupt_once
        left: list[BaseException] = []

        def job() -> None:
            try:
                with Lock("x", 30, store=store):
                    pass
            except BaseException as error:
                left.append(error)

        thread = threading.Thread(target=job)
        thread.start()
        thread.join(10)
        assert [type(error) for error in left if isinstance(error, LeaseInterrupt)] == []
        assert wait_until(lambda: store.owner("x") is None)

    def test_a_stray_interrupt_in_the_exit_does_not_stop_the_release_in_the_main_thread(
        self, store: ScriptedStore
    ) -> None:
        def interrupt_once(kind: str, name: str) -> None:
            if kind == "Release" and store.count("Release") == 1:
                raise LeaseInterrupt("a stray one")

        store.before = interrupt_once
        with suppress(LeaseError), Lock("x", 30, store=store):
            pass
        assert wait_until(lambda: store.owner("x") is None)

    def test_a_pool_goes_on(self, store: ScriptedStore) -> None:
        from concurrent.futures import ThreadPoolExecutor

        store.before = no_renewals()

        def job(number: int) -> int:
            with Lock(f"{number}", DURATION, store=store):
                time.sleep(0.55)
                for _ in range(20):
                    time.sleep(0.01)
            return number

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(job, number) for number in range(8)]
            errors = [future.exception() for future in futures]
            assert {type(error) for error in errors} == {LeaseLostError}
            assert list(pool.map(abs, range(200))) == list(range(200))


class TestNestedHolds:
    def test_the_outer_is_lost_while_the_inner_is_left(self, store: ScriptedStore) -> None:
        def act(kind: str, name: str) -> None:
            no_renewals("outer")(kind, name)
            if (kind, name) == ("Release", "inner"):
                # The outer's interrupt comes in the middle of it.
                time.sleep(1.2)

        store.before = act
        with pytest.raises(LeaseLostError) as lost, Lock("outer", 1, store=store):
            with Lock("inner", 30, store=store):
                pass
            time.sleep(5)
        assert lost.value.name == "outer"
        assert wait_until(lambda: store.owner("inner") is None)

    def test_the_outer_is_lost_and_the_inner_is_not(self, store: ScriptedStore) -> None:
        store.before = no_renewals("outer")
        through: list[type[BaseException]] = []
        with pytest.raises(LeaseLostError) as lost, Lock("outer", 0.8, store=store):
            try:
                with Lock("inner", 30, store=store):
                    time.sleep(5)
            except BaseException as error:
                through.append(type(error))
                raise
        assert through == [LeaseInterrupt]
        assert lost.value.name == "outer"
        assert store.owner("inner") is None

    def test_the_inner_is_lost_and_the_outer_is_not(self, store: ScriptedStore) -> None:
        store.before = no_renewals("inner")
        with Lock("outer", 3, store=store) as outer:
            with pytest.raises(LeaseLostError) as lost, Lock("inner", 0.6, store=store):
                time.sleep(5)
            assert lost.value.name == "inner"
            outer.check()
            assert current_lease() is outer
            # It is interrupted no more.
            time.sleep(1.2)
        assert not outer.lost

    @pytest.mark.parametrize("inner", [0.8, 1.0, 1.2])
    def test_both_are_lost_in_one_outage(self, store: ScriptedStore, inner: float) -> None:
        store.before = no_renewals()
        last_work = end = 0.0

        def outer_work() -> None:
            nonlocal last_work, end
            end = store.end_of("outer")
            give_up_at = time.monotonic() + 4
            while time.monotonic() < give_up_at:
                # Goes on after whatever is an Exception, as workers do.
                with suppress(Exception), Lock("inner", inner, store=store):
                    time.sleep(3)
                time.sleep(0.005)
                last_work = time.time()

        with pytest.raises(LeaseLostError) as lost, Lock("outer", 1, store=store):
            outer_work()
        assert lost.value.name == "outer"
        assert last_work <= end

    def test_both_are_lost_in_a_worker_thread(self, store: ScriptedStore) -> None:
        store.before = no_renewals()
        left: list[BaseException] = []
        last_work = 0.0
        ends: list[float] = []

        def job() -> None:
            nonlocal last_work
            try:
                with Lock("outer", 1, store=store):
                    ends.append(store.end_of("outer"))
                    give_up_at = time.monotonic() + 4
                    while time.monotonic() < give_up_at:
                        with suppress(Exception), Lock("inner", 1, store=store):
                            while time.monotonic() < give_up_at:
                                time.sleep(0.005)
                        last_work = time.time()
            except BaseException as error:
                left.append(error)

        thread = threading.Thread(target=job)
        thread.start()
        thread.join(10)
        assert [type(error) for error in left] == [LeaseLostError]
        assert last_work <= ends[0]

    def test_both_are_lost_in_a_task(self, store: ScriptedStore) -> None:
        store.before = no_renewals()
        last_work = end = 0.0

        async def work() -> None:
            nonlocal last_work, end
            async with Lock("outer", 1, store=store):
                end = store.end_of("outer")
                for _ in range(400):
                    with suppress(Exception):
                        async with Lock("inner", 1, store=store):
                            await asyncio.sleep(3)
                    await asyncio.sleep(0.01)
                    last_work = time.time()

        with pytest.raises(LeaseLostError) as lost:
            asyncio.run(work())
        assert lost.value.name == "outer"
        assert last_work <= end

    def test_a_decorated_handler_around_a_block(self, store: ScriptedStore) -> None:
        store.before = no_renewals("outer")

        @singleton("outer", 0.8, store=store)
        def handler(event: object, context: object) -> None:
            with suppress(Exception), Lock("inner", 30, store=store):
                time.sleep(5)

        with pytest.raises(LeaseLostError) as lost:
            handler({}, None)
        assert lost.value.name == "outer"
        assert store.owner("inner") is None

    def test_many_in_one_stack(self, store: ScriptedStore) -> None:
        store.before = no_renewals("2")

        async def work() -> None:
            async with AsyncExitStack() as stack:
                for number in range(5):
                    await stack.enter_async_context(
                        Lock(f"{number}", 0.8 if number == 2 else 30, store=store)
                    )
                await asyncio.sleep(5)

        with pytest.raises(LeaseLostError) as lost:
            asyncio.run(work())
        assert lost.value.name == "2"
        assert [record.name for record in store.records() if record.owner] == []

    def test_the_inner_cannot_be_taken_when_the_outer_is_lost(self, store: ScriptedStore) -> None:
        def act(kind: str, name: str) -> None:
            no_renewals("outer")(kind, name)
            if (kind, name) == ("Acquire", "inner"):
                time.sleep(1.2)
                raise LeaseStoreError("unreachable")

        store.before = act
        with pytest.raises(LeaseLostError) as lost, Lock("outer", 1, store=store):
            with suppress(Exception):
                Lock("inner", 30, store=store).acquire()
            time.sleep(5)
        assert lost.value.name == "outer"
