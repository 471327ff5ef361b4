"""Usage that the strict type checker has to accept, and to see through. It is never run."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, assert_type

import boto3

from lambda_singleton import (
    Coalesced,
    DynamoDBStore,
    Lease,
    LeaseHeldError,
    LeaseRecord,
    LeaseStore,
    Lock,
    MemoryStore,
    Skipped,
    current_lease,
    fenced,
    singleton,
)

Event = dict[str, str]


@singleton("plain", duration=60)
def plain(event: Event, context: object) -> int:
    return 1


assert_type(plain({"a": "b"}, None), int)
plain(1, None)  # type: ignore[arg-type]


@singleton("no-duration")
def with_extras(event: Event, context: object, retries: int, *, dry_run: bool = False) -> str:
    return "done"


assert_type(with_extras({}, None, 3, dry_run=True), str)
with_extras({}, None)  # type: ignore[call-arg]


@singleton("skips", timedelta(minutes=1), on_held="skip", min_hold=timedelta(minutes=5))
def skips(event: Event, context: object) -> int:
    return 1


result = skips({}, None)
assert_type(result, int | Skipped)
if isinstance(result, dict):
    assert_type(result["lease"]["holder"], dict[str, str] | None)
    assert_type(result["lease"]["held_until"], float | None)


def busy(event: Event, context: object, error: LeaseHeldError) -> bytes:
    return error.name.encode()


@singleton("calls", 60, on_held=busy, on_lost=lambda lease: print(lease.token))
def calls(event: Event, context: object) -> int:
    return 1


assert_type(calls({}, None), int | bytes)


@singleton("hourly", 60, key="time", once=True)
def once(event: Event, context: object, lease: Lease) -> int:
    lease.checkpoint({"page": 1}, effects=[], margin=5)
    assert_type(lease.checkpoint_item([1]), dict[str, Any])
    assert_type(lease.checkpoint_was_applied(), bool)
    assert_type(lease.time_left(), float)
    return lease.progress or 1


assert_type(once({}, None), int | Skipped)


@singleton("hourly", 60, key="time", once=True, on_held=busy)
def once_or_busy(event: Event, context: object) -> int:
    return 1


assert_type(once_or_busy({}, None), int | Skipped | bytes)


@singleton("prices", 60, order="detail.version", min_hold=5)
def ordered(event: Event, context: object) -> int:
    return 1


assert_type(ordered({}, None), int | Skipped)


@singleton("prices", 60, order=lambda event, context: 7, on_held=busy)
def ordered_or_busy(event: Event, context: object) -> int:
    return 1


assert_type(ordered_or_busy({}, None), int | Skipped | bytes)


@singleton("index", 60, on_held="coalesce", wait=120, min_hold=5)
def coalesces(event: Event, context: object) -> int:
    return 1


shared = coalesces({}, None)
assert_type(shared, int | Coalesced)
if isinstance(shared, dict):
    assert_type(shared["lease"]["name"], str)
    assert_type(shared["lease"]["token"], int)


@singleton("index", 60, on_held="coalesce", wait=timedelta(minutes=2))
async def coalesces_later(event: Event, context: object) -> int:
    return 1


async def awaits_either() -> None:
    assert_type(await coalesces_later({}, None), int | Coalesced)


# What cannot work together is told where it is written.
singleton("hourly", 60, once=True)  # type: ignore[call-overload]
singleton("hourly", 60, key="time", once=True, on_held="skip")  # type: ignore[call-overload]
singleton("hourly", 60, key="time", once=True, min_hold=5)  # type: ignore[call-overload]
singleton("hourly", 60, key="time", once=True, order="v")  # type: ignore[call-overload]
singleton("prices", 60, order="version", on_held="skip")  # type: ignore[call-overload]
singleton("index", 60, on_held="coalesce")  # type: ignore[call-overload]
singleton("index", 60, on_held="coalesce", wait=5, order="v")  # type: ignore[call-overload]
singleton("index", 60, key="a", on_held="coalesce", wait=5, once=True)  # type: ignore[call-overload]


@singleton("async", 60)
async def awaits(event: Event, context: object, lease: Lease) -> int:
    return 1


as_it_is_called: Callable[[Event, object], Coroutine[Any, Any, int]] = awaits


@singleton("async-skips", 60, on_held="skip")
async def awaits_or_skips(event: Event, context: object, *, lease: Lease) -> int:
    return 1


async def asks() -> None:
    assert_type(await awaits({}, None), int)
    assert_type(await awaits_or_skips({}, None), int | Skipped)


@singleton("keyed", 60, key="detail.tenant", wait=2.5, on_lost="report")
def keyed(event: Event, context: object, lease: Lease) -> None:
    assert_type(lease.token, int)
    assert_type(lease.lost, bool)
    assert_type(lease.remaining(), float)
    assert_type(current_lease(), Lease)


keyed({}, None)
keyed({}, None, None)  # type: ignore[call-overload]


@singleton("third", 60)
def third_is_no_lease(event: Event, context: object, extra: Any) -> int:
    return 1


third_is_no_lease({}, None, 3)
third_is_no_lease({}, None)  # type: ignore[call-arg]

singleton("keyed", 60, key=lambda event, context: event["tenant"])
singleton("x", 60, on_held="ignore")  # type: ignore[call-overload]
singleton("x", "60")  # type: ignore[call-overload]
singleton("x", 60, unknown=1)  # type: ignore[call-overload]


def by_hand(store: LeaseStore) -> None:
    lock = Lock("by-hand", 30, wait=timedelta(seconds=5), store=store)
    with lock as lease:
        assert_type(lease, Lease)
    assert_type(lock.acquire(wait=0), Lease)


async def by_hand_async(lock: Lock) -> None:
    async with lock as lease:
        assert_type(lease, Lease)
    assert_type(await lock.acquire_async(), Lease)


by_hand(MemoryStore(clock=time))
by_hand(DynamoDBStore("leases", client=boto3.client("dynamodb"), retention=timedelta(days=1)))


def inspect(store: DynamoDBStore) -> None:
    assert_type(store.get("x"), LeaseRecord | None)
    assert_type(store.records(), Iterator[LeaseRecord])
    assert_type(store.force_release("x"), LeaseRecord)


def guarded_writes(lease: Lease) -> None:
    table = boto3.resource("dynamodb").Table("reports")
    table.put_item(**fenced(lease, Item={"id": "report"}))
    table.put_item(**fenced(lease.token, attribute="token", Item={"id": "report"}))
