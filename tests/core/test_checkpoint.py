"""A run that died, failed or ran out of time is continued by the next one."""

from __future__ import annotations

import uuid
from math import inf
from typing import Any

import boto3
import pytest

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)

from ..fakes import Context, FakeClock, FaultyStore


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


def pages(store: Any, last: int = 5, **options: Any) -> Any:
    """A handler that does pages up to the last one, and fails after the page that it is told."""

    guard: Any = singleton("pages", 30, store=store, **options)

    def handler(event: dict[str, Any], context: Any, lease: Lease) -> list[int]:
        done = []
        for page in range((lease.progress or 0) + 1, last + 1):
            done.append(page)
            if page == event.get("fails_in"):
                raise ValueError("half-way")
            lease.checkpoint(page)
        return done

    return guard(handler)


class TestProgress:
    def test_a_run_goes_on_where_a_failed_one_stopped(self, store: FaultyStore) -> None:
        handler = pages(store)
        with pytest.raises(ValueError, match="half-way"):
            handler({"fails_in": 3}, None)
        assert handler({}, None) == [3, 4, 5]
        assert handler({}, None) == [1, 2, 3, 4, 5], "success removes it"

    def test_a_run_goes_on_where_a_dead_one_stopped(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        Lock("pages", 30, store=store).acquire().checkpoint(2)
        clock.now += 31.1
        assert pages(store)({}, None) == [3, 4, 5]

    def test_none_of_it_costs_anything_who_does_without(self, store: FaultyStore) -> None:
        with Lock("x", 30, store=store) as lease:
            assert lease.progress is None
        assert store.sent == ["Acquire", "Release"]
        assert not store.requests[-1].clears  # type: ignore[attr-defined]

    def test_a_checkpoint_is_one_request_and_renews(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        lease = Lock("x", 30, store=store).acquire()
        clock.now += 20
        lease.checkpoint({"cursor": "a"})
        assert store.sent == ["Acquire", "Checkpoint"]
        assert lease.remaining() == 30
        assert lease.progress == {"cursor": "a"}

    def test_a_lost_reply_is_asked_again_as_the_same_step(self, store: FaultyStore) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.faults = ["reply lost"]
        lease.checkpoint(1)
        lease.checkpoint(2)
        record = store.inner.get("x")
        assert record is not None
        assert record.progress == ("2", lease.token, 2)

    def test_a_late_one_does_not_go_back(self, store: FaultyStore) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.faults = ["applied late", None]
        lease.checkpoint(1)
        lease.checkpoint(2)
        store.apply_late()
        record = store.inner.get("x")
        assert record is not None
        assert record.progress == ("2", lease.token, 2)

    def test_who_has_lost_the_lease_writes_nothing(self, store: FaultyStore) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.inner.force_release("x")
        with pytest.raises(LeaseLostError):
            lease.checkpoint(1)
        record = store.inner.get("x")
        assert record is not None
        assert record.progress is None

    @pytest.mark.parametrize("value", ["x" * 399, {1, 2}, float("nan"), b"x", "é" * 80])
    def test_what_is_too_large_or_no_json_is_refused(self, store: FaultyStore, value: Any) -> None:
        lease = Lock("x", 30, store=store).acquire()
        with pytest.raises(LeaseConfigError, match="progress m"):
            lease.checkpoint(value)
        assert store.sent == ["Acquire"]


class TestDeadline:
    def test_an_unfinished_run_says_so_and_is_continued(self, store: FaultyStore) -> None:
        handler = pages(store, min_hold=60)
        context = Context(5_000)
        with pytest.raises(LeaseDeadlineError, match="the run is unfinished"):
            handler({}, context)
        record = store.inner.get("pages")
        assert record is not None
        assert (record.last_run or {})["outcome"] == "unfinished"
        assert record.expires_at is None, "it does not rest"
        assert handler({}, None) == [2, 3, 4, 5]
        with pytest.raises(LeaseHeldError) as raised:
            handler({}, None)
        assert raised.value.reason == "resting"

    def test_what_is_left_is_told(self, store: FaultyStore) -> None:
        assert Lock("x", 30, store=store).acquire().time_left() == inf
        lock = Lock("y", 30, store=store, context=Context(5_000))
        assert lock.acquire().time_left() == pytest.approx(5)


class TestEffects:
    EFFECT = {"Put": {"TableName": "t", "Item": {"id": {"S": "1"}}}}  # noqa: RUF012

    def test_are_applied_once_whatever_is_lost(
        self, store: FaultyStore, memory: MemoryStore
    ) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.faults = ["reply lost", "unreachable"]
        lease.checkpoint(1, effects=[self.EFFECT])
        assert memory.effects == [self.EFFECT]
        assert store.sent == ["Acquire", "Advance", "Advance", "Advance"]

    def test_are_applied_once_if_the_same_step_is_asked_for_again(
        self, store: FaultyStore, memory: MemoryStore
    ) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.faults = ["reply lost", "unreachable", "unreachable"]
        with pytest.raises(LeaseStoreError):
            lease.checkpoint(1, effects=[self.EFFECT])
        lease.checkpoint(1, effects=[self.EFFECT])
        assert memory.effects == [self.EFFECT]

    def test_are_not_applied_for_somebody_who_lost_the_lease(
        self, store: FaultyStore, memory: MemoryStore
    ) -> None:
        lease = Lock("x", 30, store=store).acquire()
        store.inner.force_release("x")
        with pytest.raises(LeaseLostError):
            lease.checkpoint(1, effects=[self.EFFECT])
        assert memory.effects == []
        assert lease.lost

    def test_need_a_store_with_transactions(
        self, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FaultyStore, "transact", None)
        lease = Lock("x", 30, store=store).acquire()
        with pytest.raises(LeaseConfigError, match="effects= needs a store with transactions"):
            lease.checkpoint(1, effects=[self.EFFECT])
        with pytest.raises(LeaseConfigError, match="needs a DynamoDBStore"):
            lease.checkpoint_item(1)


class TestEngine:
    """The same on an engine that knows transactions."""

    @pytest.fixture
    def effects(self, table: str) -> list[Any]:
        # Any table with the key `id` will do.
        return [
            {
                "Update": {
                    "TableName": table,
                    "Key": {"id": {"S": f"count-{uuid.uuid4().hex}"}},
                    "UpdateExpression": "ADD steps :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}},
                }
            }
        ]

    def count(self, table: str, effects: list[Any]) -> int:
        key = effects[0]["Update"]["Key"]
        item = boto3.client("dynamodb").get_item(TableName=table, Key=key).get("Item", {})
        return int(item.get("steps", {"N": "0"})["N"])

    def test_effects_and_progress_are_written_together(
        self, dynamodb: DynamoDBStore, table: str, name: str, effects: list[Any]
    ) -> None:
        with Lock(name, 30, store=dynamodb) as lease:
            for step in range(1, 6):
                lease.checkpoint(step, effects=effects)
            # Sent again, as after a lost reply.
            lease.checkpoint(5, effects=effects)
            record = dynamodb.get(name)
            assert record is not None
            assert record.progress == ("5", lease.token, 5)
        assert self.count(table, effects) == 5
        record = dynamodb.get(name)
        assert record is not None
        assert record.progress is None

    def test_an_effect_that_is_refused_is_the_handlers_to_know(
        self, dynamodb: DynamoDBStore, table: str, name: str, effects: list[Any]
    ) -> None:
        effects[0]["Update"]["ConditionExpression"] = "attribute_exists(steps)"
        client = boto3.client("dynamodb")
        with Lock(name, 30, store=dynamodb) as lease:
            with pytest.raises(client.exceptions.TransactionCanceledException):
                lease.checkpoint(1, effects=effects)
            record = dynamodb.get(name)
            assert record is not None
            assert record.progress is None
            del effects[0]["Update"]["ConditionExpression"]
            lease.checkpoint(1, effects=effects)
        assert self.count(table, effects) == 1

    def test_a_former_holder_applies_nothing(
        self, dynamodb: DynamoDBStore, table: str, name: str, effects: list[Any]
    ) -> None:
        lease = Lock(name, 30, store=dynamodb).acquire()
        dynamodb.force_release(name)
        Lock(name, 30, store=dynamodb).acquire()
        with pytest.raises(LeaseLostError):
            lease.checkpoint(1, effects=effects)
        assert self.count(table, effects) == 0

    def test_an_item_for_a_transaction_of_ones_own(
        self, dynamodb: DynamoDBStore, table: str, name: str, effects: list[Any]
    ) -> None:
        client: Any = boto3.client("dynamodb")
        lease = Lock(name, 30, store=dynamodb).acquire()
        item = lease.checkpoint_item("a")
        assert item == lease.checkpoint_item("a"), "the same value is the same step"
        client.transact_write_items(TransactItems=[item, *effects])
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=[item, *effects])
        assert self.count(table, effects) == 1
        record = dynamodb.get(name)
        assert record is not None
        assert record.progress == ('"a"', lease.token, 1)

    def test_a_transaction_of_ones_own_can_be_judged(
        self, dynamodb: DynamoDBStore, table: str, name: str, effects: list[Any]
    ) -> None:
        client: Any = boto3.client("dynamodb")
        lease = Lock(name, 30, store=dynamodb).acquire()
        assert not lease.checkpoint_was_applied(), "there was none"
        item = lease.checkpoint_item("a")
        assert not lease.checkpoint_was_applied()
        client.transact_write_items(TransactItems=[item, *effects])
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=[item, *effects])
        assert lease.checkpoint_was_applied()
        # Refused for its effect, and not applied.
        effects[0]["Update"]["ConditionExpression"] = "attribute_not_exists(id)"
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=[lease.checkpoint_item("b"), *effects])
        assert not lease.checkpoint_was_applied()
        dynamodb.force_release(name)
        Lock(name, 30, store=dynamodb).acquire()
        with pytest.raises(LeaseLostError):
            lease.checkpoint_was_applied()
        assert lease.lost


class TestOrders:
    def test_a_run_of_an_order_has_no_checkpoints(self, store: FaultyStore) -> None:
        @singleton("prices", 30, order="version", store=store)
        def handler(event: dict[str, Any], context: Any, lease: Lease) -> None:
            if "effects" in event:
                lease.checkpoint(1, effects=[{}])
            lease.checkpoint_item(1) if "item" in event else lease.checkpoint(1)

        for number, how in enumerate(({}, {"effects": True}, {"item": True})):
            with pytest.raises(
                LeaseConfigError, match=r'key="\.\.\." that names the version and once'
            ):
                handler({"version": number, **how}, None)
        assert "Checkpoint" not in store.sent

    def test_a_slots_run_has(self, store: FaultyStore) -> None:
        @singleton("hourly", 30, key="time", once=True, store=store)
        def handler(event: dict[str, Any], context: Any, lease: Lease) -> None:
            lease.checkpoint(1)

        handler({"time": "2030-01-31T02:00:00Z"}, None)
        assert store.sent == ["Acquire", "Checkpoint", "Release"]


class TestConflicts:
    """A transaction on the row keeps out other updates for some milliseconds."""

    class Client:
        def __init__(self, client: Any, conflicts: int) -> None:
            self.client, self.conflicts, self.calls = client, conflicts, 0
            self.meta, self.exceptions = client.meta, client.exceptions

        def __getattr__(self, name: str) -> Any:
            return getattr(self.client, name)

        def update_item(self, **arguments: Any) -> Any:
            self.calls += 1
            if self.calls <= self.conflicts:
                from botocore.exceptions import ClientError

                code: Any = {"Code": "TransactionConflictException", "Message": "under way"}
                raise ClientError({"Error": code}, "UpdateItem")
            return self.client.update_item(**arguments)

    @pytest.mark.parametrize(("conflicts", "requests"), [(0, 1), (1, 2), (9, 10)])
    def test_are_tried_again_at_once(
        self, table: str, name: str, conflicts: int, requests: int
    ) -> None:
        client = self.Client(boto3.client("dynamodb"), conflicts)
        store = DynamoDBStore(table, client=client)  # type: ignore[arg-type]
        assert store.get(name) is None
        Lock(name, 30, store=store).acquire()
        assert client.calls == requests

    def test_that_last_are_told_in_time(self, table: str, name: str) -> None:
        clock = FakeClock()
        client = self.Client(boto3.client("dynamodb"), 99)
        store = DynamoDBStore(table, client=client, clock=clock)  # type: ignore[arg-type]
        with pytest.raises(LeaseStoreError, match="under way"):
            Lock(name, 30, store=store).acquire()
        assert 0 < clock.now < 3 * 2.5
        assert client.calls == 3 * 12
