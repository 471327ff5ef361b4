"""A run that ends by LeaseDeadlineError is continued by what retries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambda_singleton import DynamoDBStore
from local_lambda import Function, Outcome

from .state_machine import retrier_for

HANDLERS = Path(__file__).parents[1] / "handlers"
#: Lambda's for an asynchronous invocation whose function fails.
ASYNCHRONOUS_RETRIES = 2
#: What a state machine says of such a task.
TASK = {
    "Retry": [
        {"ErrorEquals": ["LeaseDeadlineError"], "IntervalSeconds": 1, "MaxAttempts": 99_999_999},
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1},
    ]
}


@pytest.fixture
def function(lambda_variables: Mapping[str, str], name: str) -> Iterator[Function]:
    variables = {**lambda_variables, "LEASE": name}
    with Function("pages.handler", variables=variables, task_root=HANDLERS) as function:
        yield function


def invoke_asynchronously(function: Function, event: Any) -> list[Outcome]:
    """Deliver it as Lambda does: again while it fails, and not more often than that."""
    outcomes = [function.invoke(event)]
    while outcomes[-1].error_type is not None and len(outcomes) <= ASYNCHRONOUS_RETRIES:
        outcomes.append(function.invoke(event))
    return outcomes


def run_state(function: Function, event: Any) -> list[Outcome]:
    """Run the task as Step Functions does, by the first retrier that has the error's name."""
    outcomes = [function.invoke(event)]
    while outcomes[-1].error_type is not None:
        retrier = retrier_for(TASK, outcomes[-1].error_type)
        assert retrier is not None
        assert retrier["ErrorEquals"] == ["LeaseDeadlineError"]
        outcomes.append(function.invoke(event))
    return outcomes


def test_asynchronous_retries_go_on_where_it_stopped(
    function: Function, dynamodb: DynamoDBStore, name: str
) -> None:
    outcomes = invoke_asynchronously(function, {"pages": 20, "at_a_time": 7})
    assert [outcome.error_type for outcome in outcomes] == ["LeaseDeadlineError"] * 2 + [None]
    assert outcomes[-1].result == [15, 16, 17, 18, 19, 20]
    record = dynamodb.get(name)
    assert record is not None
    assert (record.owner, record.progress) == (None, None)


def test_it_is_told_as_unfinished_and_there_are_two_retries_only(
    function: Function, dynamodb: DynamoDBStore, name: str
) -> None:
    outcomes = invoke_asynchronously(function, {"pages": 20, "at_a_time": 5})
    assert [outcome.error_type for outcome in outcomes] == ["LeaseDeadlineError"] * 3
    assert "the run is unfinished, and the next one goes on" in outcomes[-1].error_message
    record = dynamodb.get(name)
    assert record is not None
    assert record.owner is None, "it was given back: a retry need not wait"
    assert record.last_run is not None
    assert record.last_run["outcome"] == "unfinished"
    assert record.progress is not None
    assert record.progress.text == "15"


def test_a_state_machines_retry_by_name_has_no_such_end(
    function: Function, dynamodb: DynamoDBStore, name: str
) -> None:
    outcomes = run_state(function, {"pages": 20, "at_a_time": 3})
    assert [outcome.error_type for outcome in outcomes] == ["LeaseDeadlineError"] * 6 + [None]
    assert outcomes[-1].result == [19, 20]
    record = dynamodb.get(name)
    assert record is not None
    assert record.progress is None
