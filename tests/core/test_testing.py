"""What is given to users for their own tests."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import boto3
import pytest
from moto import mock_aws

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseConfigError,
    LeaseHeldError,
    LeaseLostError,
    LeasesDisabledWarning,
    LeaseStore,
    Lock,
    MemoryStore,
    current_lease,
    singleton,
)
from lambda_singleton.testing import FakeClock, FakeContext, hold, lose, use_store

pytest_plugins = ["pytester"]

own_store = MemoryStore()
module_lock = Lock("module-lock", 30)
during: Callable[[], object] = lambda: None  # noqa: E731


def _during() -> object:
    return during()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """What the handlers of this module call while they run."""
    return lambda call: monkeypatch.setattr(f"{__name__}.during", call)


@singleton("plain", duration=60, on_held="skip")
def plain(event: object, context: object, lease: Lease) -> str:
    _during()
    return lease.name


@singleton("own", duration=60, store=own_store)
def own(event: object, context: object) -> str:
    return current_lease().name


@singleton("keyed", duration=60, key="tenant")
def keyed(event: object, context: object) -> str:
    return current_lease().name


@singleton("whole", on_lost="report")
def whole(event: object, context: object, lease: Lease) -> bool:
    _during()
    return lease.lost


@singleton("reports", duration=60, on_lost="report")
def reports(event: object, context: object, lease: Lease) -> bool:
    _during()
    seen.append(lease.lost)
    return lease.lost


seen: list[bool] = []


@singleton("sleeps", duration=60)
def sleeps(event: object, context: object) -> str:
    _during()
    time.sleep(60)
    return "was not interrupted"


@singleton("sleeps-async", duration=60)
async def sleeps_async(event: object, context: object) -> str:
    _during()
    await asyncio.sleep(60)
    return "was not interrupted"


class TestUseStore:
    def test_handlers_that_are_decorated_and_locks_that_are_made_use_it(self) -> None:
        with use_store() as store:
            assert plain({}, FakeContext()) == "plain"
            assert own({}, FakeContext()) == "own"
            with module_lock as lease:
                assert lease.name == "module-lock"
            assert {record.name for record in store.records()} == {"plain", "own", "module-lock"}
        assert list(own_store.records()) == []

    def test_the_store_of_before_counts_afterwards(self) -> None:
        given = MemoryStore()
        with use_store(given) as outer:
            assert outer is given
            with use_store() as inner, pytest.raises(ZeroDivisionError), use_store():
                raise ZeroDivisionError
            own({}, FakeContext())
        assert [record.name for record in given.records()] == ["own"]
        assert list(inner.records()) == []
        own({}, FakeContext())
        assert own_store.get("own") is not None
        own_store.__init__()  # type: ignore[misc]

    def test_no_client_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("boto3.client", lambda *_, **__: pytest.fail("made a client"))
        with use_store():
            assert plain({}, FakeContext()) == "plain"

    def test_what_is_no_store_is_refused(self) -> None:
        with pytest.raises(LeaseConfigError, match="must be a LeaseStore"), use_store("leases"):  # type: ignore[arg-type]
            pytest.fail("must not get here")

    def test_threads_see_it(self) -> None:
        with use_store() as store:
            thread = threading.Thread(target=lambda: plain({}, FakeContext()))
            thread.start()
            thread.join()
            assert store.get("plain") is not None

    def test_works_under_moto(self) -> None:
        with mock_aws():
            client = boto3.client(
                "dynamodb", endpoint_url="https://dynamodb.us-east-1.amazonaws.com"
            )
            store = DynamoDBStore("under-moto", client=client)
            store.create_table()
            with use_store(store):
                assert plain({}, FakeContext()) == "plain"
                with hold("plain"):
                    assert plain({}, FakeContext())["status"] == "skipped"  # type: ignore[index]
                with pytest.raises(LeaseConfigError, match="nobody holds"):
                    lose("plain")


class TestWithoutBoto3:
    def test_works(self) -> None:
        program = (
            "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
            "from lambda_singleton import singleton\n"
            "from lambda_singleton.testing import *\n"
            "handler = singleton('x', 30, on_held='skip')(lambda event, context: 'ran')\n"
            "with use_store():\n"
            "    assert handler({}, FakeContext()) == 'ran'\n"
            "    with hold('x'): print(handler({}, FakeContext())['status'])\n"
        )
        shown = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        assert shown.stdout == "skipped\n"


class TestHold:
    def test_somebody_else_holds_it_meanwhile(self) -> None:
        with use_store():
            with hold("keyed#north", holder={"function": "the-other"}) as record:
                assert record.owner is not None
                with pytest.raises(LeaseHeldError) as refusal:
                    keyed({"tenant": "north"}, FakeContext())
                assert refusal.value.reason == "held"
                assert refusal.value.holder is not None
                assert refusal.value.holder["function"] == "the-other"
                assert keyed({"tenant": "south"}, FakeContext()) == "keyed#south"
            assert keyed({"tenant": "north"}, FakeContext()) == "keyed#north"

    def test_they_count_as_dead_after_their_duration(self) -> None:
        clock = FakeClock()
        with use_store(MemoryStore(clock=clock)), hold("plain", 60):
            clock.advance(60.9)
            assert plain({}, FakeContext(clock=clock))["status"] == "skipped"  # type: ignore[index]
            clock.advance(0.1)
            assert plain({}, FakeContext(clock=clock)) == "plain"

    def test_a_handler_waits_for_them_without_losing_time(self) -> None:
        clock = FakeClock()
        began = time.monotonic()
        patient = Lock("waited-for", 30, wait=1000)
        with use_store(MemoryStore(clock=clock)), hold("waited-for", 500), patient as lease:
            assert lease.taken_from is not None
        assert time.monotonic() - began < 60

    def test_is_refused_where_it_could_reach_a_real_table(self) -> None:
        with pytest.raises(LeaseConfigError, match="use_store"), hold("plain"):
            pytest.fail("must not get here")
        with pytest.raises(LeaseConfigError, match="use_store"):
            lose("plain")

    def test_nobody_else_can_hold_what_is_held(self) -> None:
        with use_store(), hold("x"):
            refusal = pytest.raises(LeaseConfigError, match="held already")
            with refusal, hold("x"):
                pytest.fail("must not get here")


class TestLose:
    def test_the_handler_is_interrupted_at_once(
        self, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        meanwhile(lambda: lose("sleeps"))
        began = time.monotonic()
        with use_store() as store, pytest.raises(LeaseLostError) as loss:
            sleeps({}, FakeContext())
        # A renewal would have noticed after 16 seconds at the earliest.
        assert time.monotonic() - began < 14
        assert loss.value.reason == "stolen"
        record = store.get("sleeps")
        assert record is not None
        assert record.owner is None

    def test_an_async_handler_is_interrupted_at_once(
        self, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        meanwhile(lambda: lose("sleeps-async"))
        with use_store(), pytest.raises(LeaseLostError):
            asyncio.run(sleeps_async({}, FakeContext()))

    def test_from_another_thread(self, meanwhile: Callable[[Callable[[], object]], None]) -> None:
        started = threading.Event()
        meanwhile(started.set)
        with use_store():

            def take_away() -> None:
                started.wait()
                lose("sleeps")

            thread = threading.Thread(target=take_away)
            thread.start()
            with pytest.raises(LeaseLostError):
                sleeps({}, FakeContext())
            thread.join()

    @pytest.mark.parametrize("handler", [reports, whole])
    def test_a_handler_that_looks_sees_it(
        self, handler: Callable[..., bool], meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        name = handler.__name__
        meanwhile(lambda: lose(name))
        with use_store(), pytest.raises(LeaseLostError):
            handler({}, FakeContext())

    def test_in_a_lock(self) -> None:
        def work() -> None:
            with module_lock:
                lose("module-lock")
                time.sleep(60)

        with use_store(), pytest.raises(LeaseLostError):
            work()

    def test_only_what_is_held_can_be_lost(self) -> None:
        with use_store(), pytest.raises(LeaseConfigError, match="nobody holds"):
            lose("nobodys")


class TestFakeClock:
    def test_turned_beyond_the_leases_end_the_handler_is_interrupted(
        self, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        clock = FakeClock()
        meanwhile(lambda: clock.advance(61))
        with use_store(MemoryStore(clock=clock)), pytest.raises(LeaseLostError) as loss:
            sleeps({}, FakeContext(900, clock=clock))
        assert loss.value.reason == "expired"

    def test_turned_by_less_the_lease_is_renewed(
        self, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        clock = FakeClock()
        store = MemoryStore(clock=clock)
        ends: list[float] = []

        def turn() -> None:
            before = current_lease().remaining()
            clock.advance(30)
            while current_lease().remaining() <= before - 30:
                time.sleep(0.01)
            ends.append(current_lease().remaining())

        meanwhile(turn)
        with use_store(store):
            assert plain({}, FakeContext(900, clock=clock)) == "plain"
        assert ends == [60]

    def test_a_minimum_hold(self) -> None:
        clock = FakeClock()
        with use_store(MemoryStore(clock=clock)):
            rests = Lock("rests", 30, min_hold=300)
            with rests:
                pass
            with pytest.raises(LeaseHeldError) as refusal, rests:
                pytest.fail("must not get here")
            assert refusal.value.reason == "resting"
            clock.advance(300)
            with rests:
                pass


class TestFakeContext:
    def test_counts_down(self) -> None:
        clock = FakeClock()
        context = FakeContext(10, request_id="r-1", clock=clock)
        assert context.aws_request_id == "r-1"
        assert context.get_remaining_time_in_millis() == 10_000
        clock.advance(9.999)
        assert context.get_remaining_time_in_millis() == 1
        clock.advance(60)
        assert context.get_remaining_time_in_millis() == 0

    def test_has_what_lambdas_own_has(self) -> None:
        known = {
            *("aws_request_id", "function_name", "function_version", "invoked_function_arn"),
            *("memory_limit_in_mb", "log_group_name", "log_stream_name"),
        }
        assert [name for name in known if not isinstance(getattr(FakeContext(), name), str)] == []
        assert FakeContext().aws_request_id != FakeContext().aws_request_id
        assert FakeContext().get_remaining_time_in_millis() > 59_000


def test_a_double_of_a_lease_has_its_attributes() -> None:
    double = create_autospec(Lease, instance=True)
    public = {name for name, _ in inspect.getmembers(Lease) if not name.startswith("_")}
    assert public >= {"name", "token", "owner", "taken_from", "lost", "remaining", "check"}
    for name in public:
        assert getattr(double, name) is not None
    with pytest.raises(AttributeError):
        double.expires_in  # noqa: B018


class TestDisabled:
    @pytest.mark.parametrize("word", ["1", " 1 ", "true"])
    def test_warns_with_the_callers_line(self, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
        monkeypatch.setenv("SINGLETON_DISABLED", word)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            plain({}, FakeContext())
            asyncio.run(sleepless({}, FakeContext()))
            module_lock.acquire()
            with module_lock:
                pass

            async def in_a_task() -> None:
                await module_lock.acquire_async()
                async with module_lock:
                    pass

            asyncio.run(in_a_task())
        assert [one.category for one in told] == [LeasesDisabledWarning] * 6
        lines = Path(__file__).read_text().splitlines()
        shown = [lines[one.lineno - 1].strip() for one in told if one.filename == __file__]
        assert [line.split("(")[0] for line in shown] == [
            "plain",
            "module_lock.acquire",
            "with module_lock:",
            "await module_lock.acquire_async",
            "async with module_lock:",
        ]

    def test_0_is_a_word_for_no(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SINGLETON_DISABLED", "0")
        with use_store() as store:
            plain({}, FakeContext())
            assert store.get("plain") is not None


@singleton("sleepless", 30)
async def sleepless(event: object, context: object) -> None: ...


class TestFixtures:
    def test_load_themselves_nowhere_and_work_when_asked_for(
        self, pytester: pytest.Pytester
    ) -> None:
        pytester.makepyfile(
            """
            from lambda_singleton import singleton
            from lambda_singleton.testing import hold

            handler = singleton("job", 60, on_held="skip")(lambda event, context: "ran")

            def test_it(lease_store, lease_clock, lambda_context):
                with hold("job", 30):
                    assert handler({}, lambda_context)["reason"] == "held"
                    lease_clock.advance(31)
                    assert handler({}, lambda_context) == "ran"
                assert [record.name for record in lease_store.records()] == ["job"]
            """
        )
        without = pytester.runpytest_subprocess("-p", "no:cacheprovider")
        without.assert_outcomes(errors=1)
        without.stdout.fnmatch_lines("*fixture 'lease_store' not found*")
        asked = ("-p", "lambda_singleton_testkit.fixtures", "-p", "no:cacheprovider")
        pytester.runpytest_subprocess(*asked).assert_outcomes(passed=1)


def test_a_stand_in_must_be_a_store_as_the_protocol_says() -> None:
    with use_store() as store:
        assert isinstance(store, LeaseStore)
