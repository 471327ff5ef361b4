"""What the command line and the timeline tell of a lease that an execution lends to its tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambda_singleton import MemoryStore, singleton
from lambda_singleton_cli.__main__ import main
from lambda_singleton_cli.changes import Kind, changes
from lambda_singleton_cli.status import Status
from lambda_singleton_cli.timeline.decision import Decision

from ..execution import ARN, Execution
from ..fakes import Context

Command = Callable[..., int]


@pytest.fixture
def execution(memory: MemoryStore) -> Execution:
    execution = Execution(memory, "reindex")
    assert execution.take()
    return execution


@pytest.fixture
def command(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr("lambda_singleton_cli.__main__.DynamoDBStore", lambda *_, **__: memory)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "pages")
    monkeypatch.setenv("SINGLETON_METRICS_DISABLED", "true")
    return lambda *arguments: main(list(arguments))


def during(store: MemoryStore, look: Callable[[], object]) -> list[Any]:
    """Look while a task has borrowed the lease; return what was seen."""
    seen = []

    @singleton("reindex", 30, borrow="execution", park=120, store=store)
    def handler(event: object, context: object) -> None:
        seen.append(look())

    handler({"execution": ARN}, Context())
    return seen


def status(store: MemoryStore) -> Status:
    record = store.get("reindex")
    assert record is not None
    return Status.of(record, store)


def test_show_tells_the_execution_and_the_task(
    memory: MemoryStore,
    execution: Execution,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    during(memory, lambda: command("show", "reindex"))
    shown = {line[:12].strip(): line[12:].strip() for line in capsys.readouterr().out.splitlines()}
    assert shown["holder"].startswith("pages")
    assert shown["request"] == "request-1"
    assert shown["execution"] == ARN
    assert shown["lent until"].startswith("2027-01-15 08:00:30 UTC, in 30 s")


def test_show_tells_the_execution_that_has_it_again(
    memory: MemoryStore,
    execution: Execution,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    during(memory, lambda: None)
    command("show", "reindex")
    out = capsys.readouterr().out
    assert "an execution" in out
    assert ARN in out
    assert "lent until" not in out


def test_json_tells_the_loan(
    memory: MemoryStore,
    execution: Execution,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    during(memory, lambda: command("show", "reindex", "--json"))
    command("show", "reindex", "--json")
    lent, parked = (
        json.loads(part) for part in capsys.readouterr().out.replace("}\n{", "}\0{").split("\0")
    )
    assert lent["loan"] == {"execution": ARN, "until": "2027-01-15T08:00:30.000Z"}
    assert "loan" not in parked


def test_a_loan_is_nobodys_death(memory: MemoryStore, execution: Execution) -> None:
    before = {"reindex": status(memory)}
    (lent,) = during(memory, lambda: {"reindex": status(memory)})
    assert [change.kind for change in changes(before, lent)] == [Kind.ACQUIRED]
    after = {"reindex": status(memory)}
    assert Kind.TAKEN_OVER not in [change.kind for change in changes(lent, after)]
    # Of two looks the first may have seen nothing.
    assert [change.kind for change in changes({}, lent)] == [Kind.ACQUIRED]


def test_a_stranger_that_comes_later_is_lent_nothing(
    memory: MemoryStore, execution: Execution
) -> None:
    during(memory, lambda: None)
    memory.force_release("reindex")
    assert Execution(memory, "reindex", "another").take()
    assert status(memory).lent_by is None


def test_the_timeline_names_the_execution() -> None:
    line = {
        "decision": "acquired",
        "lease": "reindex",
        "at": 1_800_000_000,
        "execution": ARN,
        "owner": "a",
    }
    decision = Decision.read(json.dumps(line))
    assert decision is not None
    assert decision.caller["Execution"] == ARN
