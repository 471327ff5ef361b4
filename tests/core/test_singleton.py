"""The decorator."""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    current_lease,
    singleton,
)
from lambda_singleton._holding.watch import Watch
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.store import Reply

from ..fakes import START, Context, FakeClock, FaultyStore


@pytest.fixture
def threads() -> int:
    """How many threads there are anyway."""
    return threading.active_count()


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


class TestTheHandler:
    def test_keeps_its_name_and_its_way_to_be_called(self, store: FaultyStore) -> None:
        def original(event: dict[str, int], context: object, extra: int, *, more: int) -> int:
            """What it does."""
            return event["a"] + extra + more

        guarded = singleton("x", 30, store=store)(original)
        assert guarded({"a": 1}, None, 2, more=3) == 6
        assert guarded(event={"a": 1}, context=None, extra=2, more=3) == 6
        assert guarded.__name__ == "original"
        assert guarded.__doc__ == "What it does."
        assert inspect.signature(guarded) == inspect.signature(original)
        assert guarded.__wrapped__ is original

    def test_is_given_its_lease_if_it_asks(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object, lease: Lease | None = None) -> int:
            assert lease is not None
            assert lease is current_lease()
            lease.check()
            return lease.token

        first, second = handler({}, None), handler({}, None, lease=None)
        assert second == first + 1

    def test_finds_its_lease_anywhere_below(self, store: FaultyStore) -> None:
        def deep() -> str:
            with Lock("inner", 30, store=store):
                assert current_lease().name == "inner"
            return current_lease().name

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> str:
            return deep()

        assert handler({}, None) == "x"
        with pytest.raises(LeaseError):
            current_lease()
        with pytest.raises(LookupError):
            current_lease()

    def test_releases_on_every_way_out(self, store: FaultyStore, threads: int) -> None:
        errors: list[BaseException] = [
            ValueError("mine"),
            SystemExit(3),
            KeyboardInterrupt(),
            GeneratorExit(),
        ]

        @singleton("x", 30, store=store)
        def handler(event: object, context: object, error: BaseException | None) -> None:
            if error is not None:
                raise error

        handler({}, None, None)
        for error in errors:
            with pytest.raises(type(error)) as raised:
                handler({}, None, error)
            assert raised.value is error
        assert store.sent == ["Acquire", "Release"] * 5
        assert threading.active_count() == threads

    @pytest.mark.parametrize(
        "fault", [LeaseStoreError("gone"), LeaseConfigError("denied"), OSError()]
    )
    def test_keeps_its_exception_when_the_release_fails_too(
        self, store: FaultyStore, caplog: pytest.LogCaptureFixture, fault: Exception
    ) -> None:
        def fails(operation: Operation) -> Reply:
            raise fault

        error = ValueError("mine")

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            store.faults = [fails] * 3
            raise error

        with pytest.raises(ValueError, match="mine") as raised:
            handler({}, None)
        assert raised.value is error
        assert raised.value.__cause__ is None
        assert "could not be released" in caplog.text

    def test_keeps_its_result_when_the_release_fails(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> str:
            store.faults = ["unreachable"] * 3
            return "done"

        assert handler({}, None) == "done"

    def test_does_not_run_where_no_thread_can_be_started(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(LeaseError, match="cannot be renewed"):
            handler({}, None)
        assert store.sent == ["Acquire", "Release"]

    def test_may_raise_a_held_error_of_its_own(self, store: FaultyStore) -> None:
        @singleton("x", 30, on_held="skip", store=store)
        def handler(event: object, context: object) -> None:
            raise LeaseHeldError("another lease that the handler wanted")

        with pytest.raises(LeaseHeldError, match="another lease"):
            handler({}, None)

    def test_a_generator_is_refused(self) -> None:
        with pytest.raises(LeaseConfigError, match="generator"):

            @singleton("x", 30)
            def handler(event: object, context: object) -> Any:
                yield 1


class TestTheLease:
    def test_lasts_as_long_as_the_invocation_without_a_duration(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @singleton("x", store=store)
        def handler(event: object, context: object) -> str:
            return "ran"

        monkeypatch.setattr(Watch, "start", lambda watch: pytest.fail("there is nothing to renew"))
        assert handler({}, Context(900_000)) == "ran"
        assert store.sent == ["Acquire", "Release"]
        (acquired, _) = store.requests
        assert acquired.in_use_until == round((START + 902) * 1000)

    def test_ends_with_the_invocation_if_the_duration_is_longer(
        self, store: FaultyStore, threads: int
    ) -> None:
        @singleton("x", 300, store=store)
        def handler(event: object, context: object) -> int:
            return threading.active_count()

        assert handler({}, Context(60_000)) == threads
        assert store.requests[0].in_use_until == round((START + 62) * 1000)

    def test_is_renewed_by_threads_that_end_with_the_handler(self, threads: int) -> None:
        store = FaultyStore(MemoryStore())

        @singleton("x", 0.3, store=store)
        def handler(event: object, context: object) -> int:
            time.sleep(0.5)
            return threading.active_count()

        # The one that watches; another one for each renewal, while that lasts.
        assert threads < handler({}, Context(60_000)) <= threads + 2
        assert threading.active_count() == threads
        assert store.sent[0] == "Acquire"
        assert store.sent[-1] == "Release"
        assert store.sent.count("Renew") >= 3

    def test_is_renewed_by_a_thread_that_keeps_no_process_alive(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> list[bool]:
            return [each.daemon for each in threading.enumerate() if each.name == "lease x"]

        assert handler({}, None) == [True]

    @pytest.mark.parametrize("duration", [timedelta(seconds=30), 30, 30.0])
    def test_takes_seconds_or_a_timedelta(
        self, store: FaultyStore, duration: float | timedelta
    ) -> None:
        @singleton("x", duration, store=store)
        def handler(event: object, context: object, lease: Lease | None = None) -> float:
            assert lease is not None
            return lease.remaining()

        assert handler({}, None) == 30

    @pytest.mark.parametrize(
        "remaining", [None, 1_609_409_415_355, float("nan"), float("inf"), "60000", True, object()]
    )
    def test_falls_back_to_the_duration_if_the_context_makes_no_sense(
        self, store: FaultyStore, remaining: object
    ) -> None:
        @singleton("x", 30, store=store)
        def with_duration(event: object, context: object) -> None: ...

        @singleton("x", store=store)
        def without(event: object, context: object) -> None: ...

        with_duration({}, Context(remaining))
        assert store.requests[0].in_use_until == round((START + 30) * 1000)
        with pytest.raises(LeaseConfigError, match="give a duration"):
            without({}, Context(remaining))
        assert len(store.sent) == 2

    @pytest.mark.parametrize("context", [None, object(), {}])
    def test_without_a_context_a_duration_is_required(
        self, store: FaultyStore, context: object
    ) -> None:
        @singleton("x", store=store)
        def handler(event: object, context: object) -> None: ...

        with pytest.raises(LeaseConfigError, match="give a duration"):
            handler({}, context)
        assert store.sent == []

    def test_looks_through_a_durable_functions_context(self, store: FaultyStore) -> None:
        class Durable:
            lambda_context = Context(60_000)

        @singleton("x", store=store)
        def handler(event: object, context: object) -> None: ...

        handler({}, Durable())
        assert store.requests[0].in_use_until == round((START + 62) * 1000)
        row = store.inner.get("x")
        assert row is not None
        assert row.holder is not None
        assert row.holder["request_id"] == "request-1"

    def test_names_its_holder(self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reports")
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
        monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/reports")
        monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> Any:
            row = store.inner.get("x")
            return row and row.holder

        assert handler({}, Context()) == {
            "function": "reports",
            "version": "7",
            "request_id": "request-1",
            "log_group": "/aws/lambda/reports",
            "log_stream": "stream",
            "region": "eu-central-1",
            "acquired_at": "2027-01-15T08:00:00.000Z",
        }

    def test_writes_down_how_the_run_went(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            if event:
                raise ValueError

        def outcome() -> str:
            row = store.inner.get("x")
            assert row is not None
            assert row.last_run is not None
            return row.last_run["outcome"]

        handler({}, None)
        assert outcome() == "succeeded"
        with pytest.raises(ValueError):  # noqa: PT011
            handler({"fail": 1}, None)
        assert outcome() == "failed"

    def test_a_minimum_hold_counts_from_the_start(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        @singleton("x", 30, min_hold=10, on_held="skip", store=store)
        def handler(event: object, context: object) -> str:
            clock.now += 4
            return "ran"

        assert handler({}, None) == "ran"
        clock.now += 5.9
        assert handler({}, None) != "ran"
        clock.now += 0.1
        assert handler({}, None) == "ran"
        clock.now += 60
        assert handler({}, None) == "ran"

    def test_a_minimum_hold_that_is_over_leaves_a_free_row(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        @singleton("x", 30, min_hold=10, store=store)
        def handler(event: object, context: object) -> None:
            clock.now += 11

        handler({}, None)
        row = store.inner.get("x")
        assert row is not None
        assert (row.owner, row.expires_at) == (None, None)


class TestOnHeld:
    @pytest.fixture(autouse=True)
    def held(self, store: FaultyStore, clock: FakeClock) -> None:
        self.lease = Lock("x", 30, store=store).acquire()
        store.requests.clear()

    def test_raises(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseHeldError):
            handler({}, Context())
        assert store.sent == ["Acquire"]

    def test_skips(self, store: FaultyStore, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")

        @singleton("x", 30, on_held="skip", store=store)
        def handler(event: object, context: object) -> str:
            pytest.fail("must not run")

        result = handler({}, Context())
        assert isinstance(result, dict)
        assert result["status"] == "skipped"
        lease = result["lease"]
        assert lease["name"] == "x"
        assert lease["held_until"] == START + 30
        assert lease["holder"] is not None
        assert json.loads(json.dumps(result)) == result
        assert [record.levelname for record in caplog.records] == ["INFO"]

    def test_calls(self, store: FaultyStore) -> None:
        def instead(event: Any, context: Any, error: LeaseHeldError) -> tuple[Any, Any, str]:
            return event, context, error.name

        @singleton("x", 30, on_held=instead, store=store)
        def handler(event: object, context: object) -> str:
            pytest.fail("must not run")

        context = Context()
        assert handler({"a": 1}, context) == ({"a": 1}, context, "x")

    def test_calls_for_an_async_handler(self, store: FaultyStore) -> None:
        async def instead(event: Any, context: Any, error: LeaseHeldError) -> str:
            return "instead"

        @singleton("x", 30, on_held=instead, store=store)
        async def handler(event: object, context: object) -> str:
            pytest.fail("must not run")

        assert asyncio.run(handler({}, None)) == "instead"


class TestBadArguments:
    """They are refused where the handler is decorated, and cost no request."""

    @pytest.mark.parametrize("name", ["", "  ", None, 7, "a#b", b"x", "x" * 2049, "\ud800"])
    def test_name(self, name: Any) -> None:
        with pytest.raises(LeaseConfigError, match="name"):
            singleton(name, 30)

    @pytest.mark.parametrize(
        "duration",
        [0, -1, float("nan"), float("inf"), 86_401, "30", True, timedelta(0), timedelta(days=400)],
    )
    def test_duration(self, duration: Any) -> None:
        with pytest.raises(LeaseConfigError, match="duration"):
            singleton("x", duration)
        with pytest.raises(LeaseConfigError, match="duration"):
            Lock("x", duration)

    def test_the_longest_name_and_duration_are_accepted(self, store: FaultyStore) -> None:
        assert Lock("x" * 2048, timedelta(days=1), store=store).acquire().remaining() == 86_400

    @pytest.mark.parametrize("value", [-1, float("nan"), "1", None])
    @pytest.mark.parametrize("parameter", ["wait", "min_hold"])
    def test_times(self, parameter: str, value: Any) -> None:
        with pytest.raises(LeaseConfigError, match=parameter):
            singleton("x", 30, **{parameter: value})

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [("on_held", "ignore"), ("on_lost", "raise"), ("key", 7), ("store", "a-table-name")],
    )
    def test_choices(self, parameter: str, value: Any) -> None:
        with pytest.raises(LeaseConfigError, match=parameter):
            singleton("x", 30, **{parameter: value})


class TestDisabled:
    def test_runs_without_a_lease(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Lock("x", 30, store=store).acquire()
        monkeypatch.setenv("SINGLETON_DISABLED", "true")

        @singleton("x", key="tenant", store=store)
        def handler(event: object, context: object, lease: Lease | None = None) -> str:
            assert lease is not None
            return lease.name

        with pytest.warns(UserWarning, match="SINGLETON_DISABLED"):
            assert handler({}, None) == "x"
        with pytest.warns(UserWarning, match="DISABLED"), Lock("x", 30, store=store) as lease:
            lease.check()
        assert store.sent == ["Acquire"]

    def test_makes_no_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SINGLETON_DISABLED", "TRUE")
        monkeypatch.setattr("boto3.client", lambda *_, **__: pytest.fail("made a client"))

        @singleton("x")
        def handler(event: object, context: object) -> str:
            return "ran"

        with pytest.warns(UserWarning, match="DISABLED"):
            assert handler({}, None) == "ran"

    @pytest.mark.parametrize("word", ["false", "False", "no", "off", "0", "", " "])
    def test_words_for_no(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch, word: str
    ) -> None:
        monkeypatch.setenv("SINGLETON_DISABLED", word)
        Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire"]

    @pytest.mark.parametrize("word", ["2", "maybe", "disabled"])
    def test_other_words_are_refused(self, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
        monkeypatch.setenv("SINGLETON_DISABLED", word)

        @singleton("x", 30)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseConfigError, match="SINGLETON_DISABLED must be true or false"):
            handler({}, None)


class TestKeys:
    @pytest.fixture
    def held(self, store: FaultyStore) -> Callable[..., str]:
        def name_of(event: object, key: Any) -> str:
            @singleton("sync", 30, key=key, store=store)
            def handler(event: object, context: object, lease: Lease | None = None) -> str:
                assert lease is not None
                return lease.name

            return handler(event, Context())

        return name_of

    @pytest.mark.parametrize(
        ("event", "key", "name"),
        [
            ({"tenant": "north"}, "tenant", "sync#north"),
            ({"detail": {"id": 7}}, "detail.id", "sync#7"),
            ({"tenant": "a#b"}, "tenant", "sync#a#b"),
            ({"flag": False}, "flag", "sync#false"),
            ({"tenant": "north"}, lambda event, context: event["tenant"], "sync#north"),
            ({}, lambda event, context: context.aws_request_id, "sync#request-1"),
        ],
    )
    def test_each_has_its_own_lease(
        self, held: Callable[..., str], event: object, key: Any, name: str
    ) -> None:
        assert held(event, key) == name

    @pytest.mark.parametrize(
        ("event", "key"),
        [
            ({}, "tenant"),
            ({"tenant": None}, "tenant"),
            ({"tenant": ""}, "tenant"),
            ({"tenant": "  "}, "tenant"),
            ({"tenant": ["a"]}, "tenant"),
            ({"tenant": {}}, "tenant"),
            (None, "tenant"),
            ({"tenant": "x" * 2048}, "tenant"),
            ({"tenant": "\ud800"}, "tenant"),
            ({}, lambda event, context: event["tenant"]),
            ({"tenant": 1}, "length(tenant)"),
        ],
    )
    def test_a_missing_one_is_never_a_shared_lease(
        self, held: Callable[..., str], store: FaultyStore, event: object, key: Any
    ) -> None:
        with pytest.raises(LeaseConfigError):
            held(event, key)
        assert store.sent == []

    @pytest.mark.parametrize(
        ("event", "found"),
        [
            ({}, "the event is empty"),
            ({"id": "secret", "Detail": {}}, "the event has 'id', 'Detail'"),
            (
                {"detail": {"tenant_id": "secret", "a b": 1}},
                "its 'detail' has 'tenant_id' and 1 more",
            ),
            ({"detail": ["secret"]}, "its 'detail' is of type list"),
            ({"detail": {"tenant": None}}, "its 'tenant' is of type NoneType"),
            ("secret", "the event is of type str"),
            (dict.fromkeys("abcdefghij", "secret"), "'g', 'h' and 2 more"),
            ({"s" * 100: 1}, "the event has 's"),
        ],
    )
    def test_one_that_is_not_found_says_what_is_there(
        self, held: Callable[..., str], event: object, found: str
    ) -> None:
        with pytest.raises(LeaseConfigError, match="is not in this event: ") as refusal:
            held(event, "detail.tenant")
        assert found in str(refusal.value)
        assert "secret" not in str(refusal.value)
        assert len(str(refusal.value)) < 300

    def test_of_a_pydantic_model(self, held: Callable[..., str]) -> None:
        class Detail(BaseModel):
            tenant: str | None
            since: date

        class Event(BaseModel):
            detail_type: str = Field(alias="detail-type")
            detail: Detail

        detail = {"tenant": "north", "since": "2027-01-15"}
        event = Event.model_validate({"detail-type": "Sync", "detail": detail})
        assert held(event, "detail.tenant") == "sync#north"
        assert held(event, "detail.since") == "sync#2027-01-15"
        assert held(event, '"detail-type"') == "sync#Sync"
        assert held(event, lambda event, context: event.detail.tenant) == "sync#north"
        event.detail.tenant = None
        with pytest.raises(LeaseConfigError, match="its 'tenant' is of type NoneType"):
            held(event, "detail.tenant")

    def test_an_expression_needs_jmespath(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "jmespath", None)
        with pytest.raises(LeaseConfigError, match="needs the package jmespath"):
            singleton("x", 30, key="tenant")

    def test_a_bad_expression_is_refused_at_once(self) -> None:
        with pytest.raises(LeaseConfigError, match="JMESPath"):
            singleton("x", 30, key="a[")


class TestAsync:
    def test_a_coroutine_function_stays_one(self, store: FaultyStore, threads: int) -> None:
        @singleton("x", 30, store=store)
        async def handler(event: object, context: object, lease: Lease | None = None) -> str:
            assert lease is current_lease()
            await asyncio.sleep(0)
            return "ran"

        assert inspect.iscoroutinefunction(handler)
        assert asyncio.run(handler({}, None)) == "ran"
        assert store.sent == ["Acquire", "Release"]
        assert threading.active_count() == threads

    def test_the_loop_runs_on_while_it_waits(self) -> None:
        store = FaultyStore(MemoryStore())
        holder = Lock("x", 30, store=store).acquire()

        async def main() -> int:
            async def release_soon() -> None:
                await asyncio.sleep(0.1)
                holder.release()

            releasing = asyncio.create_task(release_soon())
            lease = await Lock("x", 30, store=store).acquire_async(wait=10)
            await releasing
            return lease.token

        assert asyncio.run(main()) == holder.token + 1
        assert store.looks < 10

    def test_a_cancelled_wait_leaves_nothing_behind(self) -> None:
        store = MemoryStore()
        holder = Lock("x", 30, store=store).acquire()

        async def main() -> None:
            waiting = asyncio.create_task(Lock("x", 30, store=store).acquire_async(wait=10))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(main())
        holder.release()
        Lock("x", 30, store=store).acquire()

    def test_a_lease_that_comes_after_the_cancellation_is_given_back(self) -> None:
        inner = MemoryStore()
        store = FaultyStore(inner)
        reached = threading.Event()

        def slow(operation: Operation) -> Reply:
            reached.set()
            time.sleep(0.1)
            return inner.execute(operation, timeout=1)

        store.faults = [slow]

        async def main() -> None:
            acquiring = asyncio.create_task(Lock("x", 30, store=store).acquire_async())
            await asyncio.to_thread(reached.wait)
            acquiring.cancel()
            with pytest.raises(asyncio.CancelledError):
                await acquiring

        asyncio.run(main())
        assert store.sent == ["Acquire", "Release"]

    def test_a_lost_reply_is_asked_for_again(self, store: FaultyStore) -> None:
        store.faults = ["reply lost"]
        lease = asyncio.run(Lock("x", 30, store=store).acquire_async())
        assert store.sent == ["Acquire", "Acquire"]
        lease.check()

    def test_a_cancellation_is_not_replaced_by_the_stores_error(self, store: FaultyStore) -> None:
        reached, cancelled = threading.Event(), threading.Event()

        def fails(operation: Operation) -> Reply:
            reached.set()
            cancelled.wait()
            raise LeaseStoreError("unreachable")

        store.faults = [fails]

        async def main() -> None:
            acquiring = asyncio.create_task(Lock("x", 30, store=store).acquire_async())
            await asyncio.to_thread(reached.wait)
            acquiring.cancel()
            await asyncio.sleep(0)
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await acquiring

        asyncio.run(main())
        # Nobody knows whether it was applied, or still will be.
        assert store.sent[0] == "Acquire"
        assert set(store.sent[1:]) == {"Release"}

    def test_a_lease_that_cannot_be_renewed_is_given_back(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(watch: Watch) -> None:
            raise LeaseError("no thread")

        monkeypatch.setattr(Watch, "start", refuse)

        @singleton("x", 30, store=store)
        async def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseError, match="no thread"):
            asyncio.run(handler({}, None))
        assert store.sent == ["Acquire", "Release"]

    def test_a_cancelled_handler_gives_its_lease_back(self, store: FaultyStore) -> None:
        async def main() -> None:
            async def work() -> None:
                async with Lock("x", 30, store=store):
                    await asyncio.sleep(30)

            working = asyncio.create_task(work())
            await asyncio.sleep(0.05)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working

        asyncio.run(main())
        assert store.sent == ["Acquire", "Release"]

    def test_one_that_is_cancelled_while_it_does_so_finishes_that(self, store: FaultyStore) -> None:
        reached, cancelled = threading.Event(), threading.Event()

        def slow(operation: Operation) -> Reply:
            reached.set()
            cancelled.wait()
            return store.inner.execute(operation, timeout=1)

        async def work() -> None:
            async with Lock("x", 30, store=store):
                store.faults = [slow]

        async def main() -> None:
            working = asyncio.create_task(work())
            await asyncio.to_thread(reached.wait)
            working.cancel()
            await asyncio.sleep(0)
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await working
            row = store.inner.get("x")
            assert row is not None
            assert row.owner is None

        asyncio.run(main())

    def test_a_cancellation_is_not_replaced_by_a_loss(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        async def main() -> None:
            async def work() -> None:
                async with Lock("x", 30, store=store) as lease:
                    clock.now += 60
                    assert lease.lost
                    await asyncio.sleep(30)

            working = asyncio.create_task(work())
            await asyncio.sleep(0.05)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working

        asyncio.run(main())


class TestLock:
    def test_may_be_shared_by_threads(self) -> None:
        store = MemoryStore()
        lock = Lock("x", 30, wait=10, store=store)
        inside: list[int] = []
        most = 0

        def work() -> None:
            nonlocal most
            for _ in range(5):
                with lock:
                    inside.append(1)
                    most = max(most, len(inside))
                    time.sleep(0.001)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1
        record = store.get("x")
        assert record is not None
        assert record.owner is None

    def test_each_block_is_left_with_its_own_lease(self, store: FaultyStore) -> None:
        lock = Lock("x", 30, store=store)
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            first.submit(lock.__enter__).result()
            store.force_release("x")
            lease = second.submit(lock.__enter__).result()
            with pytest.raises(LeaseLostError):
                first.submit(lock.__exit__, None, None, None).result()
            lease.check()
            second.submit(lock.__exit__, None, None, None).result()
        record = store.inner.get("x")
        assert record is not None
        assert record.owner is None

    def test_may_be_left_in_another_context(self, threads: int) -> None:
        store = MemoryStore()
        lock = Lock("x", 30, store=store)
        previous = signal.getsignal(signal.SIGURG)
        lock.__enter__()
        thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        signal.signal(signal.SIGURG, previous)
        record = store.get("x")
        assert record is not None
        assert record.owner is None
        assert threading.active_count() == threads

    def test_reaches_a_tenants_lease_by_its_full_name(self, store: FaultyStore) -> None:
        with Lock("sync#north", 30, store=store) as lease:
            assert lease.name == "sync#north"
