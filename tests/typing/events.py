"""Events and handlers of every kind, with and without a lease, as both type checkers see them.

It is never run. A line that must not be accepted says so; both checkers find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from lambda_singleton import Lease, LeaseHeldError, Skipped, singleton


class Order(BaseModel):
    tenant: str


class Detail(TypedDict):
    tenant: str


# dict[str, Any], the event of most handlers.


@singleton("any", 60)
def any_event(event: dict[str, Any], context: object) -> int:
    return 1


@singleton("any-lease", 60)
def any_event_lease(event: dict[str, Any], context: object, lease: Lease) -> int:
    return lease.token


@singleton("any-keyword", 60)
def any_event_keyword(event: dict[str, Any], context: object, *, lease: Lease) -> int:
    return lease.token


@singleton("any-skips", 60, on_held="skip")
def any_event_skips(event: dict[str, Any], context: object, lease: Lease) -> int:
    return lease.token


@singleton("untyped", 60)
def untyped(event: Any, context: Any, lease: Lease) -> str:
    return lease.name


@singleton("returns-any", 60, on_held="skip")
def returns_any(event: dict[str, Any], context: object, lease: Lease) -> Any:
    return lease.name


assert_type(any_event({}, None), int)
assert_type(any_event_lease({}, None), int)
assert_type(any_event_keyword({}, None), int)
assert_type(any_event_skips({}, None), int | Skipped)
assert_type(untyped({}, None), str)
assert_type(returns_any({}, None), Any)
any_event(1, None)  # type: ignore[arg-type]
any_event({})  # type: ignore[call-arg]
any_event_lease(1, None)  # type: ignore[call-overload]
any_event_lease({}, None, None)  # type: ignore[call-overload]

# They are still what they were to whoever takes a handler.
handler: Callable[[dict[str, Any], object], int] = any_event_lease
handler = any_event
wrong: Callable[[dict[str, Any], object], str] = any_event_lease  # type: ignore[assignment]
assert_type(any_event.__wrapped__({}, None), int)
assert_type(any_event.__name__, str)


# Pydantic models and typed dicts.


@singleton("order", 60, key=lambda event, context: event.tenant)
def order(event: Order, context: object, lease: Lease) -> Order:
    return event


@singleton("detail", 60, on_held=lambda event, context, error: error.name)
def detail(event: Detail, context: object, lease: Lease) -> Detail:
    return event


assert_type(order(Order(tenant="a"), None), Order)
assert_type(detail({"tenant": "a"}, None), Detail | str)
order({"tenant": "a"}, None)  # type: ignore[call-overload]
detail({"tenant": 1}, None)  # type: ignore[call-overload]


# Coroutines.


@singleton("async-any", 60)
async def waits(event: dict[str, Any], context: object, lease: Lease) -> int:
    return 1


@singleton("async-any-skips", 60, on_held="skip")
async def waits_or_skips(event: dict[str, Any], context: object, lease: Lease) -> int:
    return 1


def busy(event: Any, context: Any, error: LeaseHeldError) -> bytes:
    return error.name.encode()


@singleton("async-any-calls", 60, on_held=busy)
async def waits_or_calls(event: dict[str, Any], context: object) -> int:
    return 1


async def asks() -> None:
    assert_type(await waits({}, None), int)
    assert_type(await waits_or_skips({}, None), int | Skipped)
    assert_type(await waits_or_calls({}, None), int | bytes)


# Methods.


class Service:
    @singleton("method", 60)
    def method(self, event: dict[str, Any], context: object) -> int:
        return 1

    @singleton("method-lease", 60)
    def method_lease(self, event: dict[str, Any], context: object, lease: Lease) -> int:
        return lease.token

    @singleton("method-skips", 60, on_held="skip")
    def method_skips(self, event: Order, context: object, *, lease: Lease) -> int:
        return lease.token

    @singleton("method-async", 60, on_held="skip")
    async def method_async(self, event: Detail, context: object, lease: Lease) -> int:
        return lease.token

    @staticmethod
    @singleton("static", 60)
    def static(event: dict[str, Any], context: object, lease: Lease) -> int:
        return lease.token

    @classmethod
    @singleton("class", 60)
    def of_class(cls, event: dict[str, Any], context: object, lease: Lease) -> int:
        return lease.token


service = Service()
assert_type(service.method({}, None), int)
assert_type(service.method_lease({}, None), int)
assert_type(service.method_skips(Order(tenant="a"), None), int | Skipped)
assert_type(Service.static({}, None), int)
assert_type(service.of_class({}, None), int)
service.method_lease(1, None)  # type: ignore[call-overload]
service.method_skips({}, None)  # type: ignore[call-overload]


async def asks_a_method() -> None:
    assert_type(await service.method_async({"tenant": "a"}, None), int | Skipped)
