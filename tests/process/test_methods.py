"""Methods, callable objects, and threads that a handler starts."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseError,
    LeaseInterrupt,
    LeaseLostError,
    Lock,
    current_lease,
    singleton,
)
from lambda_singleton._decorator.handler import Handler

from .script import ROOT
from .stores import ScriptedStore, no_renewals

EVENT = {"tenant": "7"}


class Context:
    """Lambda's context, with so many seconds left."""

    aws_request_id = "request-1"

    def __init__(self, left: float = 60) -> None:
        self.left = left

    def get_remaining_time_in_millis(self) -> int:
        return round(self.left * 1000)


def tenant(event: Any, context: Any) -> str:
    return str(event["tenant"])


class Service:
    """Each of its handlers returns its lease's name, how long that lasts, and what it was given."""

    store = ScriptedStore()
    guard: Any = staticmethod(singleton("x", key=tenant, store=store))

    @guard
    def method(self, event: Any, context: Any) -> Any:
        return current_lease().name, current_lease().remaining(), event

    @guard
    def takes_lease(self, event: Any, context: Any, *, lease: Lease) -> Any:
        return lease.name, lease.remaining(), event

    @guard
    async def async_method(self, event: Any, context: Any) -> Any:
        return current_lease().name, current_lease().remaining(), event

    @staticmethod
    @guard
    def static(event: Any, context: Any) -> Any:
        return current_lease().name, current_lease().remaining(), event

    def __call__(self, event: Any, context: Any) -> Any:
        return current_lease().name, current_lease().remaining(), event

    def bare(self, event: Any, context: Any) -> Any:
        return current_lease().name, current_lease().remaining(), event


class Derived(Service):
    pass


CALLS: dict[str, Callable[[], Callable[..., Any]]] = {
    "method": lambda: Service().method,
    "method of a subclass": lambda: Derived().method,
    "method with a lease": lambda: Service().takes_lease,
    "async method": lambda: (
        lambda *args, **kwargs: asyncio.run(Service().async_method(*args, **kwargs))
    ),
    "static method": lambda: Service.static,
    "static method of an object": lambda: Service().static,
    "callable object": lambda: Service.guard(Service()),
    "bound method": lambda: Service.guard(Service().bare),
    "partial": lambda: Service.guard(partial(Service.bare, Service())),
}


def must_have_worked(answer: Any) -> None:
    name, remaining, event = answer
    assert name == "x#7"
    # The lease lasts as long as the invocation: 60 s, and 2 s that the platform may be late.
    assert 55 < remaining <= 62.1
    assert event is EVENT


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("way", ["by position", "by name"])
def test_event_and_context_are_found(kind: str, way: str) -> None:
    handler = CALLS[kind]()
    if way == "by position":
        must_have_worked(handler(EVENT, Context()))
    else:
        must_have_worked(handler(event=EVENT, context=Context()))


@pytest.mark.parametrize("kind", CALLS)
def test_the_deadline_is_respected(kind: str) -> None:
    with pytest.raises(LeaseDeadlineError):
        CALLS[kind]()(EVENT, Context(left=0.01))


def class_method() -> Any:
    class Other:
        @classmethod
        @Service.guard
        def handler(cls, event: Any, context: Any) -> Any:
            return current_lease().name, current_lease().remaining(), event

    handler: Any = Other.handler
    return handler(EVENT, Context())


def guarded_static_method() -> Any:
    class Other:
        @Service.guard
        @staticmethod
        def handler(event: Any, context: Any) -> Any:
            return current_lease().name, current_lease().remaining(), event

    handler: Any = Other().handler
    return handler(EVENT, Context())


def guarded_class_method() -> Any:
    class Other:
        @Service.guard
        @classmethod
        def handler(cls, event: Any, context: Any) -> Any:
            return current_lease().name, current_lease().remaining(), event

    handler: Any = Other().handler
    return handler(EVENT, Context())


def through_the_class() -> Any:
    method: Any = Service.method
    return method(Service(), EVENT, Context())


@pytest.mark.parametrize(
    "call", [class_method, guarded_static_method, guarded_class_method, through_the_class]
)
def test_what_cannot_work_is_refused_and_says_what_to_do(call: Callable[[], Any]) -> None:
    answer = refusal = None
    try:
        answer = call()
    except LeaseConfigError as error:
        refusal = error
    if refusal is None:
        must_have_worked(answer)
    else:
        assert re.search("method|self|cls", str(refusal))


def test_a_decorated_method_stays_a_function() -> None:
    assert inspect.iscoroutinefunction(Service.async_method)
    assert inspect.iscoroutinefunction(Service().async_method)
    assert Service.method.__name__ == "method"
    assert Service().method.__doc__ == Service.method.__doc__
    assert list(inspect.signature(Service().method).parameters) == ["event", "context"]


def test_each_object_is_its_own() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @singleton("x", 30, store=ScriptedStore())
        def handler(self, event: Any, context: Any) -> int:
            self.count += 1
            return self.count

    one, other = Counter(), Counter()
    assert [one.handler({}, None), one.handler({}, None), other.handler({}, None)] == [1, 2, 1]


class TestThreadsOfAHandler:
    """They are not interrupted: `lease.check()` tells them."""

    def test_they_can_ask(self) -> None:
        store = ScriptedStore()
        store.before = no_renewals()
        seen: list[str] = []
        going = threading.Event()

        def work(lease: Lease) -> None:
            try:
                lease.check()
                going.set()
                give_up_at = time.monotonic() + 5
                while time.monotonic() < give_up_at:
                    lease.check()
                    time.sleep(0.01)
            except LeaseLostError:
                seen.append("told")
            except BaseException as error:
                seen.append(repr(error))

        with pytest.raises(LeaseLostError), Lock("x", 0.8, store=store) as lease:
            thread = threading.Thread(target=work, args=(lease,))
            thread.start()
            try:
                assert going.wait(5)
                time.sleep(5)
            except LeaseInterrupt:
                # The lease ends a tenth of its duration later.
                thread.join(5)
                raise
        assert seen == ["told"]

    def test_they_hold_nothing_unless_they_are_given_it(self) -> None:
        with Lock("x", 30, store=ScriptedStore()) as lease, ThreadPoolExecutor(1) as pool:
            with pytest.raises(LookupError, match="no lease"):
                pool.submit(current_lease).result()
            run = contextvars.copy_context().run
            assert pool.submit(run, current_lease).result() is lease

    def test_the_end_of_the_block_is_the_end_for_them(self) -> None:
        with Lock("x", 30, store=ScriptedStore()) as lease, ThreadPoolExecutor(1) as pool:
            context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool, pytest.raises(LeaseError):
            pool.submit(context.run, lambda: current_lease().check()).result()
        with pytest.raises(LeaseLostError):
            lease.check()

    def test_it_is_said_where_it_is_promised(self) -> None:
        text = (ROOT / "docs" / "guarantees.md").read_text()
        paragraphs = re.split(r"\n\s*\n|\n(?=[-|] ?)", text)
        assert any("thread" in part and "lease.check()" in part for part in paragraphs)


def plain(event: Any, context: Any) -> None: ...
def takes_lease(event: Any, context: Any, *, lease: Any) -> None: ...
def method(self: Any, event: Any, context: Any) -> None: ...
def no_parameters() -> None: ...
def any_parameters(*args: Any, **kwargs: Any) -> None: ...
async def coroutine(event: Any, context: Any, lease: Any) -> None: ...


@pytest.mark.parametrize(
    "function", [plain, takes_lease, method, no_parameters, any_parameters, coroutine]
)
def test_a_plain_function_is_seen_as_inspect_sees_it(function: Any) -> None:
    def copy() -> Any:
        code = function.__code__
        return FunctionType(code, globals(), function.__name__, None, function.__closure__)

    marked = copy()
    marked.anything = "not plain any more"
    assert Handler.of(copy()) == Handler.of(marked)
