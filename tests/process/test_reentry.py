"""Who takes a lease inside its own hold is told so, and does not wait for himself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseHeldError,
    Lock,
    MemoryStore,
    current_lease,
    singleton,
)

from .stores import ScriptedStore

SAYS_SO = r"already|again|twice|itself|inside|within|own"


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


def only_the_outer_was_taken(store: ScriptedStore) -> None:
    assert store.count("Acquire") == store.count("Release") == 1
    assert store.owner("x") is None


@pytest.mark.parametrize("on_held", ["raise", "skip", lambda event, context, error: "held"])
@pytest.mark.parametrize("wait", [0, 3])
def test_decorated_twice(store: ScriptedStore, on_held: Any, wait: float) -> None:
    guard: Any = singleton("x", 30, store=store, on_held=on_held, wait=wait)

    @guard
    @guard
    def handler(event: Any, context: Any) -> str:
        return "done"

    with pytest.raises(LeaseConfigError, match=SAYS_SO) as refused:
        handler({}, None)
    assert "'x'" in str(refused.value)
    only_the_outer_was_taken(store)


def test_an_async_handler_decorated_twice(store: ScriptedStore) -> None:
    guard: Any = singleton("x", 30, store=store, on_held="skip", wait=3)

    @guard
    @guard
    async def handler(event: Any, context: Any) -> str:
        return "done"

    with pytest.raises(LeaseConfigError, match=SAYS_SO):
        asyncio.run(handler({}, None))
    only_the_outer_was_taken(store)


def test_a_handler_that_calls_itself(store: ScriptedStore) -> None:
    @singleton("x", 30, store=store, on_held="skip")
    def handler(event: Any, context: Any) -> Any:
        return handler({}, None)

    with pytest.raises(LeaseConfigError, match=SAYS_SO):
        handler({}, None)
    only_the_outer_was_taken(store)


def the_same_lock(lock: Lock, store: MemoryStore) -> None:
    with lock:
        pass


def another_lock(lock: Lock, store: MemoryStore) -> None:
    with Lock("x", 10, store=store, wait=3):
        pass


def a_handler(lock: Lock, store: MemoryStore) -> None:
    singleton("x", 10, store=store, on_held="skip")(lambda event, context: None)({}, None)


def below_another(lock: Lock, store: MemoryStore) -> None:
    with Lock("between", 10, store=store), lock:
        pass


INSIDE = [the_same_lock, another_lock, a_handler]


@pytest.mark.parametrize("take", INSIDE)
def test_a_block_inside_its_own(
    store: ScriptedStore, take: Callable[[Lock, MemoryStore], None]
) -> None:
    lock = Lock("x", 30, store=store)
    with lock as lease:
        with pytest.raises(LeaseConfigError, match=SAYS_SO):
            take(lock, store)
        # It holds on.
        assert current_lease() is lease
        lease.check()
        assert store.owner("x") == lease.owner
    only_the_outer_was_taken(store)


def test_a_block_inside_its_own_is_refused_with_another_lease_between(store: ScriptedStore) -> None:
    lock = Lock("x", 30, store=store)
    with lock, pytest.raises(LeaseConfigError, match=SAYS_SO):
        below_another(lock, store)
    assert store.sent.count(("Acquire", "x")) == 1
    assert store.owner("between") is None
    assert store.owner("x") is None


def test_async_blocks(store: ScriptedStore) -> None:
    lock = Lock("x", 30, store=store, wait=3)

    async def nest() -> None:
        async with lock as lease:
            with pytest.raises(LeaseConfigError, match=SAYS_SO):
                async with lock:
                    pass
            # By hand one may ask who has it.
            with pytest.raises(LeaseHeldError):
                await lock.acquire_async(wait=0)
            assert current_lease() is lease

    asyncio.run(nest())
    # The second request is the one by hand.
    assert [kind for kind, _ in store.sent] == ["Acquire", "Acquire", "Release"]
    assert store.owner("x") is None


class TestWhatIsNoReentry:
    def test_another_thread_is_refused_as_usual(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store)
        assert self.in_a_thread(lock) == []
        with lock:
            assert self.in_a_thread(lock) == [LeaseHeldError]

    def test_a_thread_with_a_copied_context(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store)

        async def nest() -> None:
            async with lock:
                with pytest.raises(LeaseHeldError):
                    await asyncio.to_thread(lock.acquire)

        asyncio.run(nest())

    def test_another_thread_waits_as_usual(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store, wait=10)
        errors: list[type[Exception]] = []
        with lock:
            thread = threading.Thread(target=lambda: errors.extend(self.in_a_thread(lock)))
            thread.start()
            while not store.count("TakeTicket"):
                pass
        thread.join(10)
        assert not thread.is_alive()
        assert errors == []

    def test_another_task_is_refused_as_usual(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store)

        async def take() -> None:
            async with lock:
                pass

        async def nest() -> None:
            async with lock:
                with pytest.raises(LeaseHeldError):
                    await asyncio.create_task(take())
                with pytest.raises(LeaseHeldError):
                    await asyncio.gather(take())

        asyncio.run(nest())

    def test_tasks_that_meet_wait_for_each_other(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store, wait=10)
        inside = most = 0

        async def take() -> None:
            nonlocal inside, most
            async with lock:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        async def meet() -> None:
            await asyncio.gather(*(take() for _ in range(4)))

        asyncio.run(meet())
        assert most == 1
        assert store.count("Release") == 4

    def test_other_keys_names_and_stores(self, store: ScriptedStore) -> None:
        @singleton("x", 30, key=lambda event, context: event["key"], store=store)
        def handler(event: Any, context: Any) -> Any:
            with Lock("y", 30, store=store), Lock("x", 30, store=MemoryStore()):
                return handler({"key": "b"}, None) if event["key"] == "a" else current_lease().name

        with pytest.raises(LeaseConfigError, match=SAYS_SO):
            # `y` is taken by both of them.
            handler({"key": "a"}, None)

        @singleton("x", 30, key=lambda event, context: event["key"], store=store)
        def other(event: Any, context: Any, *, lease: Lease) -> Any:
            with Lock("x", 30, store=MemoryStore()):
                return other({"key": "b"}, None) if event["key"] == "a" else lease.name

        assert other({"key": "a"}, None) == "x#b"

    def test_one_after_the_other(self, store: ScriptedStore) -> None:
        lock = Lock("x", 30, store=store)
        tokens = []
        for _ in range(3):
            with lock as lease:
                tokens.append(lease.token)
        lease = lock.acquire()
        lease.release()
        with lock as lease:
            tokens.append(lease.token)
        assert tokens == sorted(set(tokens))

    @staticmethod
    def in_a_thread(lock: Lock) -> list[type[Exception]]:
        errors: list[type[Exception]] = []

        def take() -> None:
            try:
                with lock:
                    pass
            except Exception as error:
                errors.append(type(error))

        thread = threading.Thread(target=take)
        thread.start()
        thread.join(15)
        return errors
