"""Jobs that happen: once for each slot, and never an older version over a newer one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lambda_singleton import (
    LeaseConfigError,
    LeaseEvent,
    LeaseHeldError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    current_lease,
    observe,
    singleton,
)
from lambda_singleton._decorator.order import order_of

from ..fakes import FakeClock, FaultyStore


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
def told() -> Any:
    events: list[LeaseEvent] = []
    end = observe(events.append)
    yield events
    end()


def hourly(store: FaultyStore, **options: Any) -> Any:
    """A handler that does what its event says, once for each slot."""

    @singleton("hourly", 30, key="time", once=True, store=store, **options)
    def handler(event: dict[str, Any], context: object) -> Any:
        if "error" in event:
            raise event["error"]
        return event.get("result", "written")

    return handler


def prices(store: FaultyStore, **options: Any) -> Any:
    """A handler that applies versions."""

    @singleton("prices", 30, key="sku", order="version", store=store, **options)
    def handler(event: dict[str, Any], context: object) -> str:
        if event.get("fails"):
            raise ValueError("fails")
        return "written"

    return handler


def skipped(result: Any, reason: str) -> bool:
    return (result["status"], result["reason"]) == ("skipped", reason)


SLOT = {"time": "2030-01-31T02:00:00Z"}


class TestOnce:
    def test_a_slot_is_done_once(self, store: FaultyStore, told: list[LeaseEvent]) -> None:
        handler = hourly(store)
        assert handler(SLOT, None) == "written"
        result = handler(SLOT, None)
        assert skipped(result, "done")
        assert result["lease"]["name"] == "hourly#2030-01-31T02:00:00Z"
        assert handler({"time": "2030-01-31T03:00:00Z"}, None) == "written"
        assert store.sent == ["Acquire", "Release", "Acquire", "Acquire", "Release"]
        assert [event.reason for event in told if event.kind == "skipped"] == ["done"]

    def test_async_handlers_are_as_others(self, store: FaultyStore) -> None:
        @singleton("hourly", 30, key="time", once=True, store=store)
        async def handler(event: dict[str, Any], context: object) -> Any:
            return event.get("result", "written")

        failed = {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert asyncio.run(handler({**SLOT, "result": failed}, None)) == failed
        assert asyncio.run(handler(SLOT, None)) == "written"
        assert skipped(asyncio.run(handler(SLOT, None)), "done")

    def test_what_failed_is_left_to_the_next_delivery(self, store: FaultyStore) -> None:
        handler = hourly(store)
        with pytest.raises(ValueError, match="half-way"):
            handler({**SLOT, "error": ValueError("half-way")}, None)
        assert handler(SLOT, None) == "written"
        assert skipped(handler(SLOT, None), "done")

    def test_what_died_is_left_to_the_next_delivery(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        store.faults = [None, "unreachable", "unreachable", "unreachable"]
        assert hourly(store)(SLOT, None) == "written"
        clock.now += 31.1
        assert hourly(store)(SLOT, None) == "written", "nobody has recorded the first one"

    def test_a_run_that_released_by_hand_is_no_success(self, store: FaultyStore) -> None:
        @singleton("hourly", 30, key="time", once=True, store=store)
        def handler(event: dict[str, Any], context: object) -> str:
            current_lease().release()
            return "written"

        assert handler(SLOT, None) == "written"
        assert handler(SLOT, None) == "written"

    def test_a_batch_that_is_partly_done_is_no_success(self, store: FaultyStore) -> None:
        handler = hourly(store)
        partly = {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert handler({**SLOT, "result": partly}, None) == partly
        wholly: dict[str, list[str]] = {"batchItemFailures": []}
        assert handler({**SLOT, "result": wholly}, None) == wholly
        assert skipped(handler(SLOT, None), "done")

    def test_a_waiter_is_told_while_somebody_else_has_it(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        handler = hourly(store, wait=20)
        name = f"hourly#{SLOT['time']}"
        # It is held as the waiter comes, and done when the waiter looks.
        Lock(name, 30, store=store).acquire()

        def somebody_succeeds() -> None:
            record = store.inner.get(name)
            assert record is not None
            store.inner._records[name] = record._replace(done=1)  # type: ignore[attr-defined]

        store.before_look = somebody_succeeds
        assert skipped(handler(SLOT, None), "done")
        assert store.sent == ["Acquire", "Acquire", "TakeTicket"]
        assert clock.now < 2

    def test_what_is_held_is_what_on_held_says(self, store: FaultyStore) -> None:
        Lock(f"hourly#{SLOT['time']}", 30, store=store).acquire()
        with pytest.raises(LeaseHeldError) as raised:
            hourly(store)(SLOT, None)
        assert raised.value.reason == "held"
        called = hourly(store, on_held=lambda event, context, error: error.reason)
        assert called(SLOT, None) == "held"

    def test_what_is_done_is_skipped_whatever_on_held_says(self, store: FaultyStore) -> None:
        handler = hourly(store, on_held=lambda event, context, error: "mine")
        assert handler(SLOT, None) == "written"
        assert skipped(handler(SLOT, None), "done")

    def test_a_lost_reply_to_the_release_is_a_success(
        self, store: FaultyStore, told: list[LeaseEvent]
    ) -> None:
        store.faults = [None, "reply lost"]
        assert hourly(store)(SLOT, None) == "written"
        assert skipped(hourly(store)(SLOT, None), "done")
        assert "unrecorded" not in [event.kind for event in told]

    def test_a_success_that_was_not_recorded_is_told(
        self, store: FaultyStore, told: list[LeaseEvent], caplog: pytest.LogCaptureFixture
    ) -> None:
        @singleton("hourly", 30, key="time", once=True, store=store)
        def handler(event: dict[str, Any], context: object) -> str:
            # Nobody answers the release, and when it is sent again the lease has been freed.
            name = current_lease().name
            store.faults = [lambda operation: _free(name), None]
            return "written"

        def _free(name: str) -> Any:
            store.inner.force_release(name)
            raise LeaseStoreError("gone")

        assert handler(SLOT, None) == "written"
        assert [event.kind for event in told if event.kind == "unrecorded"] == ["unrecorded"]
        assert "success not recorded" in caplog.text

    def test_a_release_that_nobody_answers_is_told(
        self, store: FaultyStore, told: list[LeaseEvent]
    ) -> None:
        store.faults = [None, "unreachable", "unreachable", "unreachable"]
        assert hourly(store)(SLOT, None) == "written"
        assert [event.kind for event in told][-2:] == ["release_failed", "unrecorded"]


class TestOrder:
    def test_an_older_version_does_not_overwrite_a_newer_one(self, store: FaultyStore) -> None:
        handler = prices(store)
        assert handler({"sku": "a", "version": 7}, None) == "written"
        assert skipped(handler({"sku": "a", "version": 7}, None), "done")
        assert skipped(handler({"sku": "a", "version": 6}, None), "done")
        assert handler({"sku": "b", "version": 6}, None) == "written"
        assert handler({"sku": "a", "version": 8}, None) == "written"

    def test_nor_one_that_has_begun_and_failed(self, store: FaultyStore) -> None:
        handler = prices(store)
        with pytest.raises(ValueError, match="fails"):
            handler({"sku": "a", "version": 7, "fails": True}, None)
        assert skipped(handler({"sku": "a", "version": 6}, None), "superseded")
        assert handler({"sku": "a", "version": 7}, None) == "written"

    def test_rests_only_after_a_success(self, store: FaultyStore) -> None:
        handler = prices(store, min_hold=60)
        with pytest.raises(ValueError, match="fails"):
            handler({"sku": "a", "version": 7, "fails": True}, None)
        assert handler({"sku": "a", "version": 7}, None) == "written"
        with pytest.raises(LeaseHeldError) as raised:
            handler({"sku": "a", "version": 8}, None)
        assert raised.value.reason == "resting"

    def test_times_are_compared_as_moments(self, store: FaultyStore) -> None:
        handler = prices(store)
        first = {"sku": "a", "version": "2030-01-31T12:00:00Z"}
        assert handler(first, None) == "written"
        later = {"sku": "a", "version": "2030-01-31T13:00:00.5+01:00"}
        assert handler(later, None) == "written", "half a second later"
        assert skipped(handler(first, None), "done")

    def test_a_number_and_a_time_are_not_compared(self, store: FaultyStore) -> None:
        handler = prices(store)
        assert handler({"sku": "a", "version": 7}, None) == "written"
        with pytest.raises(LeaseConfigError, match="was a number before and is a time now"):
            handler({"sku": "a", "version": "2030-01-31T12:00:00Z"}, None)

    @pytest.mark.parametrize(
        "value",
        [
            *(None, True, 1.0, -1, 10**38, "", "7", "v7", "1.9.0", b"7", []),
            *("2030-01-31", "2030-01-31T12:00:00", "2030-02-31T12:00:00Z"),
            *("0001-01-01T00:00:00+01:00", datetime(2030, 1, 31)),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, store: FaultyStore, value: Any) -> None:
        with pytest.raises(LeaseConfigError, match="give a whole number, such as a version, or"):
            prices(store)({"sku": "a", "version": value}, None)
        assert store.sent == []

    def test_a_callable_makes_an_order_of_anything(self, store: FaultyStore) -> None:
        @singleton("prices", 30, order=lambda event, context: int(event["hex"], 16), store=store)
        def handler(event: dict[str, Any], context: object) -> str:
            return "written"

        assert handler({"hex": "ff"}, None) == "written"
        assert skipped(handler({"hex": "fe"}, None), "done")
        with pytest.raises(LeaseConfigError, match="could not be computed from the event: KeyEr"):
            handler({}, None)

    def test_every_form_of_a_moment_is_one_order(self) -> None:
        moment = datetime(2030, 1, 31, 12, 0, 0, 120_000, tzinfo=UTC)
        same = [
            moment,
            moment.astimezone(timezone(timedelta(hours=-3, minutes=-30))),
            "2030-01-31T12:00:00.12Z",
            "2030-01-31t12:00:00.120000000z",
            "2030-01-31 14:00:00.12+02:00",
            "2030-01-31T08:30:00.12-0330",
        ]
        assert {order_of(value, "x") for value in same} == {"2030-01-31T12:00:00.120000000Z"}


class TestMisuse:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"once": True}, "once needs a key"),
            ({"once": 1, "key": "time"}, "once must be True or False"),
            ({"once": True, "key": "time", "order": "a"}, "exclude each other"),
            ({"once": True, "key": "time", "on_held": "skip"}, 'once cannot have on_held="skip"'),
            ({"once": True, "key": "time", "min_hold": 1}, "once cannot have a min_hold"),
            ({"order": "version", "on_held": "skip"}, 'order cannot have on_held="skip"'),
            ({"order": 7}, "order must be a JMESPath expression or a callable"),
            ({"order": "a["}, "no JMESPath expression"),
        ],
    )
    def test_is_refused_at_decoration(
        self, store: FaultyStore, options: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(LeaseConfigError, match=says.replace("(", r"\(")):
            singleton("x", 30, store=store, **options)(lambda event, context: None)
