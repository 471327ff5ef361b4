"""A row costs one unit: it has less than 1 KB, however long a function's names are."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from lambda_singleton import DynamoDBStore, singleton
from lambda_singleton._invocation import MOST_BYTES, describe_holder

from ..execution import Execution
from ..fakes import Context


def size(item: dict[str, Any]) -> int:
    """Return how much of a row DynamoDB counts, by its documentation."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + size(content) + len(content)
    return len(content) // 2 + 2 if kind == "N" else len(content.encode())


@pytest.fixture
def longest_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS allows, and a log stream as the runtime names it in a shared group."""
    function = "f" * 64
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/" + "g" * 511)
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", f"2026/11/25/{function}[$LATEST]{'0' * 32}")
    monkeypatch.setenv("AWS_REGION", "ap-southeast-1")


@pytest.mark.usefixtures("longest_names")
@pytest.mark.parametrize("options", [{}, {"on_held": "coalesce", "wait": 1}], ids=str)
def test_the_longest_names_of_a_function_leave_it_small(
    table: str, name: str, options: dict[str, Any]
) -> None:
    store = DynamoDBStore(table)
    long_name = name.ljust(261, "x")

    def handler(event: object, context: object) -> None:
        rows.append(row())

    def row() -> dict[str, Any]:
        key: Any = {"id": {"S": long_name}}
        return boto3.client("dynamodb").get_item(TableName=table, Key=key)["Item"]

    rows: list[dict[str, Any]] = []
    guarded: Any = singleton(long_name, 30, store=store, **options)(handler)
    # The second time, the row also tells about the run before.
    for _ in range(2):
        context = Context(60_000)
        context.aws_request_id = "8" * 36
        guarded({}, context)
        rows.append(row())
    assert max(map(size, rows)) < 1024
    assert len(rows[-1]["holder"]["M"]["log_stream"]["S"]) == 11 + 64 + 9 + 32
    assert len(rows[-1]["holder"]["M"]["log_group"]["S"]) > 64


def test_a_row_that_is_lent_is_small_with_usual_names(
    table: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reindex-pages")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/reindex-pages")
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", f"2026/11/25/[$LATEST]{'0' * 32}")
    store = DynamoDBStore(table)
    execution = Execution(store, name)
    assert execution.take()
    sizes = []

    @singleton(name, 30, borrow="execution", park=120, store=store)
    def handler(event: object, context: object) -> None:
        key: Any = {"id": {"S": name}}
        sizes.append(size(boto3.client("dynamodb").get_item(TableName=table, Key=key)["Item"]))

    context = Context(60_000)
    context.aws_request_id = "8" * 36
    handler({"execution": execution.id}, context)
    assert execution.give_up()
    assert execution.take()
    handler({"execution": execution.id}, context)
    assert max(sizes) < 1024


@pytest.mark.parametrize("fact", ["g" * 3000, "\N{SNOWMAN}" * 3000, "\udc80" * 3000])
@pytest.mark.parametrize("variable", ["AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_FUNCTION_NAME"])
def test_all_facts_together_have_a_limit(
    monkeypatch: pytest.MonkeyPatch, variable: str, fact: str
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reports")
    monkeypatch.setenv(variable, fact)
    facts = describe_holder(Context())
    total = sum(len(key.encode()) + len(value.encode()) for key, value in facts.items())
    assert MOST_BYTES - 20 < total <= MOST_BYTES


@pytest.mark.usefixtures("longest_names")
def test_what_fits_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/reports")
    facts = describe_holder(Context())
    assert facts["log_group"] == "/aws/lambda/reports"
    assert list(facts) == [
        "function", "version", "request_id", "log_group", "log_stream", "region",
    ]  # fmt: skip
