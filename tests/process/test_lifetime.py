"""What nobody holds is renewed no more, and given back: after a cut, and when it is garbage."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lambda_singleton import (
    DynamoDBStore,
    LeaseInterrupt,
    LeaseLostError,
    Lock,
    current_lease,
    singleton,
)
from local_lambda import Engine

from . import script
from .endpoints import Gate
from .stores import ScriptedStore, lease_threads, no_renewals, wait_until


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads = lease_threads()
    yield
    assert wait_until(lambda: set(lease_threads()) <= set(threads)), lease_threads()
    with pytest.raises(LookupError):
        current_lease()


def must_be_given_back(store: ScriptedStore, name: str = "x") -> None:
    assert wait_until(lambda: store.owner(name) is None), f"{name} is taken, and nobody holds it"
    renewals = store.count("Renew")
    time.sleep(0.3)
    assert store.count("Renew") == renewals
    # And it can be taken.
    Lock(name, 5, store=store).acquire().release()


class Cut(BaseException):
    """Nothing that anybody expects."""


class TestAnAcquireThatIsCutOff:
    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, Cut])
    @pytest.mark.parametrize("how", ["with", "hand", "decorator"])
    def test_after_its_request_was_applied(
        self, store: ScriptedStore, kind: type[BaseException], how: str
    ) -> None:
        def cut(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                raise kind

        store.after = cut
        lock = Lock("x", 30, store=store)
        calls: dict[str, Callable[[], Any]] = {
            "with": lock.__enter__,
            "hand": lock.acquire,
            "decorator": lambda: singleton("x", 30, store=store)(lambda *args: None)({}, None),
        }
        with pytest.raises(kind):
            calls[how]()
        must_be_given_back(store)

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_by_a_signal(self, store: ScriptedStore, kind: type[BaseException]) -> None:
        def handle(number: int, frame: Any) -> None:
            raise kind

        def cut(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(1)

        store.after = cut
        before = signal.signal(signal.SIGTERM, handle)
        try:
            with pytest.raises(kind), Lock("x", 30, store=store):
                pytest.fail("it goes on")
        finally:
            signal.signal(signal.SIGTERM, before)
        must_be_given_back(store)

    def test_in_a_thread(self, store: ScriptedStore) -> None:
        def cut(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                raise SystemExit

        store.after = cut

        def take() -> None:
            with suppress(SystemExit):
                Lock("x", 30, store=store).acquire()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join(10)
        must_be_given_back(store)

    def test_while_it_waits(self, store: ScriptedStore) -> None:
        held = Lock("x", 30, store=store).acquire()

        def cut(what: str, name: str) -> None:
            if what == "Acquire" and store.owner("x") != held.owner:
                raise KeyboardInterrupt

        store.after = cut
        threading.Timer(0.3, held.release).start()
        with pytest.raises(KeyboardInterrupt):
            Lock("x", 30, store=store).acquire(wait=10)
        store.after = lambda what, name: None
        must_be_given_back(store)

    def test_because_the_outer_lease_is_lost(self, store: ScriptedStore) -> None:
        def hold_up(what: str, name: str) -> None:
            if (what, name) == ("Acquire", "inner"):
                time.sleep(3)

        store.before = no_renewals("outer")
        store.after = hold_up
        outer, inner = Lock("outer", 0.8, store=store), Lock("inner", 30, store=store)
        with pytest.raises(LeaseLostError) as lost, outer, inner:
            pytest.fail("it goes on")
        assert lost.value.name == "outer"
        store.after = lambda what, name: None
        must_be_given_back(store, "inner")

    def test_what_was_refused_is_not_given_back(self, store: ScriptedStore) -> None:
        held = Lock("x", 30, store=store).acquire()

        def cut(what: str, name: str) -> None:
            if what == "Acquire":
                raise KeyboardInterrupt

        store.after = cut
        with pytest.raises(KeyboardInterrupt):
            Lock("x", 30, store=store).acquire()
        time.sleep(0.3)
        held.check()
        assert store.owner("x") == held.owner
        store.after = lambda what, name: None
        held.release()


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.01)


class TestATaskThatIsCancelled:
    """While the reply to its request is on its way."""

    @pytest.mark.parametrize("times", [1, 2, 5])
    @pytest.mark.parametrize("how", ["async with", "by hand", "decorator"])
    def test_it_gives_back(self, store: ScriptedStore, times: int, how: str) -> None:
        applied = threading.Event()

        def hold_up(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                applied.set()
                time.sleep(0.5)

        store.after = hold_up
        lock = Lock("x", 30, store=store)

        @singleton("x", 30, store=store)
        async def handler(event: object, context: object) -> None:
            pytest.fail("it goes on")

        async def enter() -> None:
            if how == "async with":
                async with lock:
                    pytest.fail("it goes on")
            elif how == "by hand":
                await lock.acquire_async()
            else:
                await handler({}, None)

        async def main() -> bool:
            task = asyncio.create_task(enter())
            await until(applied)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0.02)
            await asyncio.wait([task])
            return task.cancelled()

        assert asyncio.run(main())
        must_be_given_back(store)

    def test_by_a_timeout(self, store: ScriptedStore) -> None:
        def hold_up(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                time.sleep(0.5)

        store.after = hold_up

        async def main() -> None:
            async with asyncio.timeout(0.1), Lock("x", 30, store=store):
                pytest.fail("it goes on")

        with pytest.raises(TimeoutError):
            asyncio.run(main())
        must_be_given_back(store)

    def test_because_its_loop_fails(self, store: ScriptedStore) -> None:
        applied = threading.Event()

        def hold_up(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                applied.set()
                time.sleep(0.5)

        store.after = hold_up

        async def main() -> None:
            task = asyncio.create_task(Lock("x", 30, store=store).acquire_async())
            await until(applied)
            # Cancelled here, and again by asyncio.run.
            task.cancel()
            await asyncio.sleep(0.01)
            raise ValueError("the loop's own")

        with pytest.raises(ValueError, match="the loop's own"):
            asyncio.run(main())
        must_be_given_back(store)

    def test_ctrl_c(self, store: ScriptedStore) -> None:
        def hold_up(what: str, name: str) -> None:
            if what == "Acquire" and store.count("Acquire") == 1:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)

        store.after = hold_up

        async def main() -> None:
            async with Lock("x", 30, store=store):
                await asyncio.sleep(5)

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
        must_be_given_back(store)


class TestAProcessThatEnds:
    """A real one, with a real engine, whose reply is on its way."""

    @pytest.mark.parametrize("how", ["sync", "async"])
    @pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
    def test_by_a_signal_gives_back(
        self,
        engine: Engine,
        lambda_variables: Mapping[str, str],
        dynamodb: DynamoDBStore,
        name: str,
        how: str,
        sent: signal.Signals,
        tmp_path: Path,
    ) -> None:
        with Gate(engine.endpoint) as gate:
            gate.slow = lambda action, number: 0.7 if action == "UpdateItem" and not number else 0
            variables = {**lambda_variables, "AWS_ENDPOINT_URL": gate.endpoint}
            command = [sys.executable, "-m", "tests.process.scripts.ended_while_taking"]
            code, out, err = script.finish([*command, name, how, str(int(sent))], variables, 20)
        assert code == (3 if sent == signal.SIGTERM else 130), err
        assert "it goes on" not in out
        record = dynamodb.get(name)
        # On a slow machine it may have been cut off before its request went out.
        assert record is None or record.owner is None


class TestGarbage:
    """A hold that nobody can leave any more."""

    @pytest.mark.parametrize(
        "how",
        [
            "loop closed",
            "loop closed in a thread",
            "coroutine dropped",
            "generator dropped",
            "generator dropped elsewhere",
            "async generator dropped",
            "generator in a cycle",
            "thread's generator",
        ],
    )
    def test_is_renewed_no_more_and_given_back(self, tmp_path: Path, how: str) -> None:
        facts = script.run("garbage", how, tmp_path / "notes", timeout=20)
        assert facts == {"was renewed": True, "free": True, "renewed": 0, "threads": []}

    def test_what_somebody_still_holds_is_kept(self, store: ScriptedStore) -> None:
        import gc

        lock = Lock("x", 1.5, store=store)
        lock.__enter__()
        try:
            gc.collect()
            time.sleep(1.6)
            assert store.owner("x") is not None
        finally:
            lock.__exit__(None, None, None)
        assert store.owner("x") is None

    def test_a_lease_by_hand_lasts_as_long_as_it_says(self, store: ScriptedStore) -> None:
        # Nobody renews it, and whoever drops it has perhaps its token.
        lease = Lock("x", 5, store=store).acquire()
        lease.check()
        lease.release()
        assert store.sent == [("Acquire", "x"), ("Release", "x")]

    def test_a_generator_that_is_closed_is_left(self, store: ScriptedStore) -> None:
        def steps() -> Generator[int, None, None]:
            with Lock("x", 0.6, store=store):
                yield 1
                yield 2

        generator = steps()
        assert next(generator) == 1
        generator.close()
        assert store.owner("x") is None

    def test_one_that_ends_by_an_interrupt_of_the_users_own(self, store: ScriptedStore) -> None:
        with pytest.raises(LeaseInterrupt), Lock("x", 30, store=store):
            raise LeaseInterrupt("the user's own")
        must_be_given_back(store)
