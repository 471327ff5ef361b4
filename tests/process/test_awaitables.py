"""What a handler returns without having done it runs under the lease, or not at all."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

from lambda_singleton import LeaseConfigError, LeaseHeldError, current_lease, singleton

from .stores import ScriptedStore

Handler = Callable[..., Any]


class Body:
    """Tells whether it has run, and whether the lease was held then."""

    def __init__(self) -> None:
        self.ran = False
        self.made: list[Any] = []

    async def work(self, *args: Any) -> str:
        self.ran = True
        return "done"

    def steps(self, *args: Any) -> Iterator[int]:
        self.ran = True
        yield 1

    async def async_steps(self, *args: Any) -> AsyncIterator[int]:
        self.ran = True
        yield 1

    def keep(self, made: Any) -> Any:
        self.made.append(made)
        return made


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def __await__(self) -> Generator[Any, None, str]:
        return self.body.work().__await__()


def ignorant(handler: Handler) -> Handler:
    """Decorate like the many who do not know async."""

    @functools.wraps(handler)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    return wrapper


class Calls:
    """A callable object that hands over to a function."""

    def __init__(self, function: Handler) -> None:
        self.function = function

    def __call__(self, event: Any, context: Any) -> Any:
        return self.function(event, context)


REFUSED: dict[str, Callable[[Body], Handler]] = {
    "a wrapper that knows no async": lambda body: ignorant(lambda *args: body.keep(body.work())),
    "a lambda": lambda body: lambda event, context: body.keep(body.work()),
    "a partial of a lambda": lambda body: functools.partial(
        lambda more, event, context: body.keep(body.work()), 1
    ),
    "a callable object": lambda body: Calls(lambda *args: body.keep(body.work())),
    "an awaitable": lambda body: lambda event, context: Later(body),
    "a generator": lambda body: lambda event, context: body.keep(body.steps()),
    "a wrapped generator": lambda body: ignorant(lambda *args: body.keep(body.steps())),
    "an async generator": lambda body: lambda event, context: body.keep(body.async_steps()),
    "a generator's partial": lambda body: functools.partial(body.steps),
    "an async generator's partial": lambda body: functools.partial(body.async_steps),
    "an object that generates": lambda body: Calls(lambda *args: body.keep(body.steps())),
}


@pytest.mark.parametrize("way", ["no loop", "a loop"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_run_without_the_lease_is_refused(kind: str, way: str) -> None:
    body, store = Body(), ScriptedStore()

    def call() -> Any:
        return singleton("x", 30, store=store)(REFUSED[kind](body))({}, None)

    async def call_and_await() -> None:
        result = call()
        if inspect.isawaitable(result):
            await result
        elif inspect.isasyncgen(result):
            [_ async for _ in result]
        else:
            list(result)

    with pytest.raises(LeaseConfigError):
        if way == "no loop":
            result = call()
            # Not refused: close it, so that nothing else is complained about.
            getattr(result, "close", lambda: None)()
        else:
            asyncio.run(call_and_await())
    assert not body.ran
    assert store.owner("x") is None
    for made in body.made:
        assert is_closed(made)


def is_closed(made: Any) -> bool:
    if inspect.iscoroutine(made):
        return made.cr_frame is None
    if inspect.isgenerator(made):
        return made.gi_frame is None
    # Nobody has begun with it, and nobody can: an async generator is not closed without a loop.
    return bool(inspect.isasyncgen(made))


def test_the_run_counts_as_failed() -> None:
    body, store = Body(), ScriptedStore()
    with pytest.raises(LeaseConfigError):
        singleton("x", 30, store=store)(lambda event, context: body.keep(body.work()))({}, None)
    record = store.get("x")
    assert record is not None
    assert record.last_run is not None
    assert record.last_run["outcome"] == "failed"


def test_a_task_that_was_begun_is_stopped() -> None:
    body, store = Body(), ScriptedStore()

    @singleton("x", 30, store=store)
    def handler(event: Any, context: Any) -> Awaitable[str]:
        return asyncio.ensure_future(body.work())

    async def call() -> None:
        with pytest.raises(LeaseConfigError):
            await handler({}, None)
        await asyncio.sleep(0.01)

    asyncio.run(call())
    assert not body.ran
    assert store.owner("x") is None


def test_deferred_work_is_refused_with_on_held_skip() -> None:
    body, store = Body(), ScriptedStore()
    guard = singleton("x", 30, store=store, on_held="skip")
    with pytest.raises(LeaseConfigError):
        guard(lambda event, context: body.keep(body.work()))({}, None)
    assert not body.ran


class Worker:
    """Sees whether the lease is held, and that nobody else gets it meanwhile."""

    def __init__(self, store: ScriptedStore) -> None:
        self.store = store
        self.saw: list[str] = []
        self.again: Handler = lambda event, context: None

    async def __call__(self, *args: Any) -> str:
        return await self.work(*args)

    async def work(self, *args: Any) -> str:
        await asyncio.sleep(0)
        lease = current_lease()
        lease.check()
        assert self.store.owner("x") == lease.owner
        self.saw.append(lease.name)
        # Another task of the same loop, as another invocation.
        with pytest.raises(LeaseHeldError):
            await asyncio.create_task(self.again({}, None))
        return "done"


def marked(work: Worker) -> Handler:
    """Return a plain function that says of itself that it is async."""

    def wrapper(*args: Any) -> Any:
        return work(*args)

    return inspect.markcoroutinefunction(wrapper)  # type: ignore[attr-defined,no-any-return,unused-ignore]


ASYNC: dict[str, Callable[[Worker], Handler]] = {
    "an async function": operator.attrgetter("work"),
    "a partial": lambda work: functools.partial(work.work),
    "a partial of a partial": lambda work: functools.partial(functools.partial(work.work, 1)),
    "an object that is called": lambda work: work,
    "a partial of such an object": functools.partial,
    "marked as async": marked,
}


@pytest.mark.parametrize("kind", ASYNC)
def test_what_is_known_to_be_async_runs_under_the_lease(kind: str) -> None:
    if kind == "marked as async" and sys.version_info < (3, 12):
        pytest.skip("inspect.markcoroutinefunction is new in Python 3.12")
    store = ScriptedStore()
    work = Worker(store)
    handler = singleton("x", 30, store=store)(ASYNC[kind](work))
    work.again = handler
    assert inspect.iscoroutinefunction(handler)

    async def call() -> Any:
        return await handler({}, None)

    assert asyncio.run(call()) == "done"
    assert work.saw == ["x"]
    assert store.owner("x") is None


@pytest.mark.parametrize(
    "result", [None, [1], {"a": 1}, iter([1]), map(str, [1]), "text", object(), ValueError("x")]
)
def test_what_is_nothing_of_the_kind_is_returned_as_it_is(result: Any) -> None:
    handler = singleton("x", 30, store=ScriptedStore())(lambda event, context: result)
    assert handler({}, None) is result
