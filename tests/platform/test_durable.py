"""Durable functions of AWS's own SDK, in its own test runner."""

from __future__ import annotations

import functools
import gc
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration
from aws_durable_execution_sdk_python.lambda_service import InvocationStatus
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

from lambda_singleton import LeaseConfigError, Lock, MemoryStore, singleton
from lambda_singleton._decorator.durable import refuse_durable, refuse_durable_handler

from ..fakes import Context

INSTEAD = "take the lease inside a step"
OPTIONS: list[dict[str, Any]] = [
    {"on_held": "raise"},
    {"on_held": "skip"},
    {"on_held": "skip", "min_hold": 300},
    {"on_held": lambda event, context, error: "held"},
]


def run(handler: Callable[[Any, Any], Any], event: str = "{}", *, has_threads: bool = False) -> Any:
    before = set(threading.enumerate())
    # The runner leaves its event loop unclosed: it is collected here, and in nobody else's test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        # A line with a traceback would keep the runner until pytest forgets it.
        logging.disable(logging.CRITICAL)
        try:
            with DurableFunctionTestRunner(handler=handler) as runner:
                result = runner.run(input=event, execution_timeout=60)
        finally:
            logging.disable(logging.NOTSET)
        del runner
        gc.collect()
    # And its threads, which end soon: others count theirs.
    # Unless the handler is run by something that has threads of its own.
    for thread in set() if has_threads else set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread
    return result


def two_halves(done: list[str]) -> Callable[[Any, Any], str]:
    def work(event: Any, context: DurableContext) -> str:
        def first(_: StepContext) -> None:
            done.append("first half")

        def second(_: StepContext) -> None:
            done.append("second half")

        context.step(first)
        context.wait(Duration.from_seconds(1))
        context.step(second)
        return "all of it"

    return work


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("duration", [None, 60])
def test_singleton_below_durable_execution_fails_before_anything_is_taken(
    options: dict[str, Any], duration: float | None
) -> None:
    done: list[str] = []
    store = MemoryStore()
    handler = durable_execution(
        singleton("report", duration, store=store, **options)(two_halves(done))
    )
    result = run(handler)
    assert result.status is InvocationStatus.FAILED
    assert result.error.type.endswith("LeaseConfigError")
    assert INSTEAD in result.error.message
    assert done == []
    assert store.get("report") is None


@pytest.mark.parametrize("options", OPTIONS)
def test_singleton_above_durable_execution_is_refused_where_it_is_written(
    options: dict[str, Any],
) -> None:
    durable = durable_execution(two_halves([]))
    with pytest.raises(LeaseConfigError, match=INSTEAD):
        singleton("report", 60, store=MemoryStore(), **options)(durable)


def test_singleton_above_durable_execution_is_refused_with_another_decorator_between() -> None:
    durable = durable_execution(two_halves([]))

    @functools.wraps(durable)
    def traced(event: Any, context: Any) -> Any:
        return durable(event, context)

    with pytest.raises(LeaseConfigError, match=INSTEAD):
        singleton("report", 60, store=MemoryStore())(traced)


SENT_BY_LAMBDA = {"DurableExecutionArn": "arn", "CheckpointToken": "t", "InitialExecutionState": {}}


@pytest.mark.parametrize("options", OPTIONS)
def test_a_decorator_that_hides_it_is_found_out_when_it_is_called(options: dict[str, Any]) -> None:
    done: list[str] = []
    sent: list[Any] = [SENT_BY_LAMBDA]
    store = MemoryStore()
    durable = durable_execution(two_halves(done))

    def hides(event: Any, context: Any) -> Any:
        sent.append(event)
        return durable(event, context)

    assert run(hides).status is InvocationStatus.SUCCEEDED
    done.clear()
    guarded = singleton("report", 60, store=store, **options)(hides)
    for event in sent[:2]:
        with pytest.raises(LeaseConfigError, match=INSTEAD):
            guarded(event, Context())
    assert done == []
    assert store.get("report") is None


def test_a_class_of_the_users_around_a_durable_context_is_recognised() -> None:
    class Wrapped:
        lambda_context = None

        def step(self, work: Callable[[], Any]) -> Any:
            return work()

    with pytest.raises(LeaseConfigError, match=INSTEAD):
        refuse_durable({}, Wrapped())


@pytest.mark.parametrize("context", [Context(), MagicMock(), None, object()])
@pytest.mark.parametrize("event", [{}, [], "text", None, {"DurableExecutionArn": "in a message"}])
def test_anybody_else_is_left_alone(event: Any, context: Any) -> None:
    refuse_durable(event, context)
    refuse_durable_handler(lambda event, context: None)
    refuse_durable_handler(functools.partial(print))
    refuse_durable_handler(MagicMock(__wrapped__=None))


def test_what_the_error_says_to_do_works() -> None:
    """A lease inside a step: taken and given back, with waits before and after."""
    store = MemoryStore()
    seen: list[bool] = []

    @durable_execution
    def handler(event: Any, context: DurableContext) -> str:
        def report(_: StepContext) -> None:
            with Lock("report", 60, store=store):
                record = store.get("report")
                seen.append(record is not None and record.owner is not None)

        context.wait(Duration.from_seconds(1))
        context.step(report)
        context.wait(Duration.from_seconds(1))
        return "all of it"

    result = run(handler)
    assert result.status is InvocationStatus.SUCCEEDED
    assert seen == [True]
    record = store.get("report")
    assert record is not None
    assert record.owner is None
    assert record.last_run is not None
    assert record.last_run["outcome"] == "succeeded"
