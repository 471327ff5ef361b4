"""Sharing a run: whoever waits returns when a run that began after it came has succeeded."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from lambda_singleton import (
    LeaseConfigError,
    LeaseEvent,
    LeaseHeldError,
    Lock,
    MemoryStore,
    current_lease,
    observe,
    singleton,
)
from lambda_singleton._decorator.coalesce import work_of
from lambda_singleton._protocol.store import Reply
from lambda_singleton.stores import Acquire, LaterSuccess, LeaseRecord, Operation, Release, Success

from ..fakes import START, FakeClock, FaultyStore, acquire

NAME = "index"


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
def told() -> Any:
    events: list[LeaseEvent] = []
    end = observe(events.append)
    yield events
    end()


def rebuild(event: dict[str, Any], context: object) -> Any:
    """Rebuild the index from what there is."""
    if "error" in event:
        raise event["error"]
    return event.get("result", "rebuilt")


def rebuilding(store: FaultyStore, **options: Any) -> Any:
    return singleton(NAME, 30, on_held="coalesce", wait=20, store=store, **options)(rebuild)


WORK = work_of(rebuild)


class Other:
    """Another caller, whose run the test ends when it likes."""

    def __init__(self, store: FaultyStore, owner: str = "other") -> None:
        self._store = store.inner
        self._clock = store.clock
        self._owner = owner
        now = self._clock.time() - START
        reply = self._store.execute(acquire(NAME, owner, now=now), timeout=1)
        assert reply.applied
        assert reply.record is not None
        self.token = reply.record.token

    def end(self, success: Success | None) -> None:
        now = round(self._clock.time() * 1000)
        run = {"outcome": "succeeded"}
        release = Release(NAME, self._owner, now, None, run, success=success)
        assert self._store.execute(release, timeout=1).applied

    def succeed(self, work: str = WORK) -> None:
        self.end(Success(self.token, work))


def looks(store: FaultyStore, *actions: Callable[[], object]) -> None:
    """Have one of these happen before each look."""
    left = list(actions)

    def before_look() -> None:
        if left:
            left.pop(0)()

    store.before_look = before_look


def row(store: FaultyStore) -> LeaseRecord:
    record = store.inner.get(NAME)
    assert record is not None
    return record


class TestTheHolder:
    def test_a_success_is_left_with_its_own_token_and_its_work(self, store: FaultyStore) -> None:
        assert rebuilding(store)({}, None) == "rebuilt"
        assert row(store).success == Success(row(store).token, WORK)
        assert store.sent == ["Acquire", "Release"]

    def test_its_own_token_also_where_a_copy_of_its_request_has_raised_the_rows(
        self, store: FaultyStore
    ) -> None:
        def handler(event: object, context: object) -> int:
            copy = store.requests[0]
            assert store.inner.execute(copy, timeout=1).applied
            return current_lease().token

        wrapped: Any = singleton(NAME, 30, on_held="coalesce", wait=20, store=store)(handler)
        token = wrapped({}, None)
        assert row(store).token == token + 1
        assert row(store).success == Success(token, work_of(handler))

    def test_a_failure_leaves_nothing(self, store: FaultyStore) -> None:
        handler = rebuilding(store)
        with pytest.raises(ValueError, match="half-way"):
            handler({"error": ValueError("half-way")}, None)
        assert row(store).success is None

    def test_nor_does_a_batch_that_is_partly_done(self, store: FaultyStore) -> None:
        partly = {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert rebuilding(store)({"result": partly}, None) == partly
        assert row(store).success is None

    def test_nor_a_run_that_released_by_hand(self, store: FaultyStore) -> None:
        def handler(event: object, context: object) -> None:
            current_lease().release()

        singleton(NAME, 30, on_held="coalesce", wait=20, store=store)(handler)({}, None)
        assert row(store).success is None

    def test_a_lost_reply_to_the_release_is_a_success(
        self, store: FaultyStore, told: list[LeaseEvent]
    ) -> None:
        store.faults = [None, "reply lost"]
        assert rebuilding(store)({}, None) == "rebuilt"
        assert row(store).success is not None
        assert "unrecorded" not in [event.kind for event in told]

    def test_a_success_that_was_not_recorded_is_told(
        self, store: FaultyStore, told: list[LeaseEvent]
    ) -> None:
        store.faults = [None, "unreachable", "unreachable", "unreachable"]
        assert rebuilding(store)({}, None) == "rebuilt"
        assert [event.kind for event in told][-2:] == ["release_failed", "unrecorded"]

    def test_who_does_not_coalesce_leaves_no_success_and_keeps_that_of_others(
        self, store: FaultyStore
    ) -> None:
        assert rebuilding(store)({}, None) == "rebuilt"
        before = row(store).success
        singleton(NAME, 30, store=store)(rebuild)({}, None)
        with Lock(NAME, 30, store=store):
            pass
        store.force_release(NAME)
        assert row(store).success == before

    def test_a_minimum_hold_rests_after_a_failure_as_well(self, store: FaultyStore) -> None:
        handler = rebuilding(store, min_hold=60)
        with pytest.raises(ValueError, match="half-way"):
            handler({"error": ValueError("half-way")}, None)
        with pytest.raises(LeaseHeldError) as raised:
            handler({}, None)
        assert raised.value.reason == "resting"


class TestTheWaiter:
    def test_shares_a_run_that_began_after_it_came(
        self, store: FaultyStore, told: list[LeaseEvent], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "lambda_singleton")
        first = Other(store)

        def ends_and_another_begins() -> None:
            first.succeed()
            looks(store, Other(store, "next").succeed)

        looks(store, ends_and_another_begins)
        result = rebuilding(store)({}, None)
        assert result == {
            "status": "coalesced",
            "lease": {"name": NAME, "token": first.token + 1},
        }
        assert json.loads(json.dumps(result)) == result
        assert store.sent == ["Acquire"], "no ticket: they all wait for the same run"
        assert [event.kind for event in told] == ["waiting", "coalesced"]
        assert told[-1].token == first.token + 1
        assert "needs no run: a later one has succeeded (token" in caplog.text

    def test_does_not_share_the_run_that_was_there_as_it_came(self, store: FaultyStore) -> None:
        looks(store, Other(store).succeed)
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_nor_one_that_failed(self, store: FaultyStore) -> None:
        first = Other(store)

        def fails_and_another_fails() -> None:
            first.end(None)
            looks(store, lambda: Other.end(second, None))
            second = Other(store, "next")

        looks(store, fails_and_another_fails)
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_nor_one_that_did_something_else(self, store: FaultyStore) -> None:
        first = Other(store)

        def ends_and_other_work_begins() -> None:
            first.succeed()
            looks(store, lambda: second.succeed("/other.work"))
            second = Other(store, "next")

        looks(store, ends_and_other_work_begins)
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_nor_one_of_a_holder_that_says_nothing(self, store: FaultyStore) -> None:
        first = Other(store)

        def ends_and_an_old_version_runs() -> None:
            first.succeed()
            Other(store, "old").end(None)

        looks(store, ends_and_an_old_version_runs)
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_is_refused_by_a_success_between_its_look_and_its_request(
        self, store: FaultyStore
    ) -> None:
        first = Other(store)

        def somebody_is_faster(operation: Operation) -> Reply:
            second = Other(store, "next")
            second.succeed()
            return store.inner.execute(operation, timeout=1)

        def ends() -> None:
            first.succeed()
            store.faults = [somebody_is_faster]

        looks(store, ends)
        result = rebuilding(store)({}, None)
        assert result["lease"]["token"] == first.token + 1
        assert store.sent == ["Acquire", "Acquire"]
        assert row(store).token == first.token + 1, "and there was no run too many"

    def test_only_who_was_refused_once_asks_for_that(self, store: FaultyStore) -> None:
        first = Other(store)
        looks(store, first.succeed)
        assert rebuilding(store)({}, None) == "rebuilt"
        asked = [request for request in store.requests if isinstance(request, Acquire)]
        assert [request.unless for request in asked] == [None, LaterSuccess(first.token, WORK)]

    def test_counts_from_the_first_row_where_a_refusal_brings_none(
        self, store: FaultyStore
    ) -> None:
        first = Other(store)
        store.faults = [lambda operation: Reply(applied=False)]

        def another_begins() -> None:
            looks(store, first.succeed)

        looks(store, another_begins)
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_a_row_that_is_gone_is_taken(self, store: FaultyStore) -> None:
        Other(store)
        looks(store, store.inner._records.clear)  # type: ignore[attr-defined]
        assert rebuilding(store)({}, None) == "rebuilt"

    def test_gives_up_after_its_patience(self, store: FaultyStore, clock: FakeClock) -> None:
        Other(store)
        with pytest.raises(LeaseHeldError) as raised:
            rebuilding(store)({}, None)
        assert raised.value.reason == "held"
        assert clock.now == pytest.approx(20, abs=1)

    def test_is_told_in_its_last_moment(self, store: FaultyStore, clock: FakeClock) -> None:
        first = Other(store)

        def both_in_the_last_moment() -> None:
            if clock.now > 19.5:
                first.succeed()
                Other(store, "next").succeed()
                store.before_look = lambda: None

        store.before_look = both_in_the_last_moment
        assert rebuilding(store)({}, None)["status"] == "coalesced"

    def test_async_handlers_are_as_others(self, store: FaultyStore) -> None:
        async def handler(event: object, context: object) -> str:
            return "rebuilt"

        wrapped: Any = singleton(NAME, 30, on_held="coalesce", wait=20, store=store)(handler)
        first = Other(store)

        def ends_and_another_succeeds() -> None:
            first.succeed()
            Other(store, "next").succeed(work_of(handler))

        # A task sleeps in real time: the first request sees it all.
        store.faults = [lambda operation: refused_then(ends_and_another_succeeds, operation)]

        def refused_then(action: Callable[[], None], operation: Operation) -> Reply:
            reply = store.inner.execute(operation, timeout=1)
            action()
            return reply

        assert asyncio.run(wrapped({}, None))["status"] == "coalesced"

    def test_a_waiter_with_progress_goes_on_where_another_failed(self, store: FaultyStore) -> None:
        seen: list[Any] = []

        def handler(event: dict[str, Any], context: object) -> None:
            lease = current_lease()
            seen.append(lease.progress)
            lease.checkpoint("page 2")
            if "fails" in event:
                raise ValueError("half-way")

        wrapped = singleton(NAME, 30, on_held="coalesce", wait=20, store=store)(handler)
        with pytest.raises(ValueError, match="half-way"):
            wrapped({"fails": True}, None)
        wrapped({}, None)
        assert seen == [None, "page 2"]
        assert row(store).success == Success(row(store).token, work_of(handler))


class TestTheWork:
    def test_is_named_by_function_module_and_definition(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "search")
        for function in (rebuild, Other.end):
            monkeypatch.setattr(function, "__module__", "app")
        assert work_of(rebuild) == "search/app.rebuild"
        assert work_of(Other.end) == "search/app.Other.end"

    def test_a_long_name_has_a_short_form(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f" * 140)
        assert len(work_of(rebuild)) == 24
        assert work_of(rebuild) != work_of(Other.end)


class TestMisuse:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({}, "needs a wait, of twice as long as a run takes"),
            ({"wait": 5, "once": True, "key": "time"}, 'once cannot have on_held="coalesce"'),
            ({"wait": 5, "order": "version"}, 'order cannot have on_held="coalesce"'),
        ],
    )
    def test_is_refused_at_decoration(
        self, store: FaultyStore, options: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(LeaseConfigError, match=says):
            singleton("x", 30, store=store, on_held="coalesce", **options)

    def test_a_handler_without_a_name_is_refused(self, store: FaultyStore) -> None:
        import functools

        decorate = singleton("x", 30, store=store, on_held="coalesce", wait=5)
        for handler in (lambda event, context: None, functools.partial(rebuild)):
            with pytest.raises(LeaseConfigError, match="needs a function with a name"):
                decorate(handler)
