"""The state machines against the library, and against AWS's rules for their language."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from lambda_singleton import DynamoDBStore, MemoryStore
from lambda_singleton import _errors as errors
from lambda_singleton._protocol.execution import Keep, Return
from lambda_singleton._protocol.operations import Release

from ..fakes import START, acquire
from .cloudformation import ROOT
from .state_machine import average_wait, borrowed, catcher_for, natively, reindex, retrier_for

# What a killed function is called: by Lambda's runtimes today, and by Step Functions' own page.
KILLED = ["Sandbox.Timedout", "Runtime.OutOfMemory", "Runtime.ExitError", "Lambda.Unknown"]
HELD = "DynamoDB.ConditionalCheckFailedException"


def transient() -> list[str]:
    """What DynamoDB's model calls an error that another try may mend, and what Step Functions does.

    Step Functions gives a name of its own to what is not in the model.
    """
    model = botocore.session.get_session().get_service_model("dynamodb")
    named = [
        shape.name
        for shape in model.operation_model("UpdateItem").error_shapes
        if re.search("Throughput|Throttling|LimitExceeded|InternalServer|Conflict", shape.name)
    ]
    assert "ProvisionedThroughputExceededException" in named
    return ["DynamoDB.AmazonDynamoDBException", *(f"DynamoDB.{name}" for name in named)]


def states_of(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from states_of(branch)


MACHINES = {
    "reindex": reindex(),
    "reindex_natively": natively(),
    "reindex_borrowed": borrowed(),
}
NATIVE_CALLS = [
    (name, state)
    for machine in (natively(), borrowed())
    for name, state in states_of(machine)
    if ":dynamodb:" in state.get("Resource", "")
]


# ---- the language's rules ----


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_every_state_is_reached_and_every_next_exists(machine: dict[str, Any]) -> None:
    def scopes(scope: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield scope
        for state in scope["States"].values():
            for branch in state.get("Branches", []):
                yield from scopes(branch)

    for scope in scopes(machine):
        reached = {scope["StartAt"]}
        for state in scope["States"].values():
            entries = [state, *state.get("Catch", []), *state.get("Choices", [])]
            reached |= {entry["Next"] for entry in entries if "Next" in entry}
            reached |= {state["Default"]} if "Default" in state else set()
            is_last = state["Type"] in ("Succeed", "Fail", "Choice") or state.get("End") is True
            assert ("Next" in state) != is_last
        assert reached == set(scope["States"])


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_only_states_that_may_retry_and_catch_do(machine: dict[str, Any]) -> None:
    for _, state in states_of(machine):
        if "Retry" in state or "Catch" in state:
            assert state["Type"] in ("Task", "Parallel", "Map")
        for entry in [*state.get("Retry", []), *state.get("Catch", [])]:
            names = entry["ErrorEquals"]
            assert names == ["States.ALL"] or "States.ALL" not in names
            reserved = {name for name in names if name.startswith("States.")}
            assert reserved <= {"States.ALL", "States.TaskFailed", "States.Timeout"}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_all_of_it_is_jsonata(machine: dict[str, Any]) -> None:
    paths = {"Parameters", "ResultPath", "InputPath", "OutputPath", "ResultSelector"}
    assert machine["QueryLanguage"] == "JSONata"
    for _, state in states_of(machine):
        assert not paths & set(state)
        assert not [key for key in state if key.endswith((".$", "Path"))]


# What a mistake looks like: a file of its own is not looked into by the linter.
def linted(machine: dict[str, Any], folder: Path) -> str:
    """Return what cfn-lint says of a definition that stands in a template."""
    template = folder / "template.json"
    properties = {"RoleArn": ROLE, "Definition": machine}
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template.write_text(json.dumps({"Resources": {"Machine": resource}}))
    linter = ROOT / ".venv-sam" / "bin" / "cfn-lint"
    done = subprocess.run([linter, "--", template], capture_output=True, text=True, check=False)
    return done.stdout


ROLE = "arn:aws:iam::123456789012:role/machine"


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_linter_knows_all_of_it(machine: dict[str, Any], tmp_path: Path) -> None:
    assert linted(machine, tmp_path) == ""
    wrong = copy.deepcopy(machine)
    for _, state in states_of(wrong):
        if "Retry" in state:
            state["Retry"][0]["MaxAttempts"] = "often"
    assert "'often' is not of type 'number'" in linted(wrong, tmp_path)


@pytest.mark.parametrize(("name", "state"), NATIVE_CALLS, ids=[name for name, _ in NATIVE_CALLS])
def test_dynamodb_takes_what_a_native_call_sends(name: str, state: dict[str, Any]) -> None:
    arguments = state["Arguments"]
    operation = state["Resource"].rpartition(":")[2]
    model = botocore.session.get_session().get_service_model("dynamodb")
    shape: Any = model.operation_model(operation[0].upper() + operation[1:]).input_shape
    assert not ParamValidator().validate(arguments, shape).has_errors()
    # It refuses names and values that are not used, and those that are not given.
    text = f"{arguments.get('ConditionExpression')} {arguments.get('UpdateExpression')}"
    for sign, given in (("#", "ExpressionAttributeNames"), (":", "ExpressionAttributeValues")):
        assert set(re.findall(rf"{sign}\w+", text)) == set(arguments.get(given, {}))


# ---- the errors that come on AWS ----


@pytest.mark.parametrize("error", KILLED)
def test_a_killed_task_is_retried_after_its_lease_and_then_caught(error: str) -> None:
    rebuild = reindex()["States"]["Rebuild"]
    retrier, catcher = retrier_for(rebuild, error), catcher_for(rebuild, error)
    assert retrier is not None
    # LEASE_SECONDS of the function, the clock skew, and one second more.
    assert retrier["IntervalSeconds"] >= 30 + 1 + 1
    assert catcher is not None
    assert catcher["Next"] == "Killed"


def test_the_names_of_the_librarys_errors_are_its_own() -> None:
    rebuild = reindex()["States"]["Rebuild"]
    named = {name for entry in rebuild["Retry"] + rebuild["Catch"] for name in entry["ErrorEquals"]}
    ours = {name for name in named if name.startswith("Lease")}
    assert ours == {"LeaseHeldError", "LeaseStoreError", "LeaseLostError"}
    assert all(hasattr(errors, name) for name in ours)


def test_waiters_wait_for_as_long_as_the_comment_says() -> None:
    retrier = retrier_for(reindex()["States"]["Rebuild"], "LeaseHeldError")
    assert retrier is not None
    assert 3.5 * 60 <= average_wait(retrier) <= 4.5 * 60


@pytest.mark.parametrize(("name", "state"), NATIVE_CALLS, ids=[name for name, _ in NATIVE_CALLS])
@pytest.mark.parametrize("error", transient())
def test_each_native_call_is_tried_again(name: str, state: dict[str, Any], error: str) -> None:
    retrier = retrier_for(state, error)
    assert retrier is not None
    assert retrier["MaxAttempts"] >= 3
    assert retrier["JitterStrategy"] == "FULL"


@pytest.mark.parametrize("name", ["TakeLease", "ReturnLease"])
def test_a_refusal_is_an_answer_and_not_tried_again(name: str) -> None:
    state = natively()["States"][name]
    retrier = retrier_for(state, HELD)
    assert retrier is not None
    assert retrier["MaxAttempts"] == 0
    assert catcher_for(state, HELD) is not None


def test_the_lease_is_returned_whatever_the_work_fails_with() -> None:
    catcher = catcher_for(natively()["States"]["Work"], "Anything")
    assert catcher is not None
    assert catcher["Next"] == "ReturnLease"


# ---- the same protocol as the library's ----


def native(name: str) -> dict[str, Any]:
    arguments: dict[str, Any] = natively()["States"][name]["Arguments"]
    return arguments


@pytest.mark.parametrize(
    ("state", "operation"),
    [
        ("TakeLease", acquire("reindex", "me")),
        ("ReturnLease", Release("reindex", "me", 0, None, {})),
    ],
    ids=["TakeLease", "ReturnLease"],
)
def test_the_native_state_machine_asks_what_the_library_asks(state: str, operation: Any) -> None:
    arguments = native(state)
    assert arguments["ConditionExpression"] == operation.condition
    assert arguments["UpdateExpression"] == operation.update
    names = arguments["ExpressionAttributeNames"]
    assert names == {f"#{name}": name for name in names.values()}
    assert set(arguments["ExpressionAttributeValues"]) == {*operation.values, ":expiration"}
    assert arguments["Key"] == {"id": {"S": operation.name}}


def constant(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])


def test_the_native_state_machines_constants_are_the_librarys() -> None:
    store = DynamoDBStore("leases")
    taken, returned = native("TakeLease"), native("ReturnLease")
    values = taken["ExpressionAttributeValues"]
    skew_ms = constant(values[":dead"]["N"], r"\$now_ms - (\d+)")
    assert skew_ms == 1000 * store.clock_skew == 1000 * MemoryStore().clock_skew

    # When a row may go: counted from the lease's end while it is held, from now once it is free.
    bid = acquire("reindex", "me", duration=120)
    expiration = int(
        store._rows.request(bid, bid.in_use_until // 1000 + store._retention)[
            "ExpressionAttributeValues"
        ][":expiration"]["N"]
    )
    days = 86_400 * constant(values[":expiration"]["N"], r"\+ (\d+) \* 86400")
    assert expiration == int(START + 120 + days)
    assert "($now_ms + $lease_ms) / 1000" in values[":expiration"]["N"]
    assert values[":expires_at"]["N"] == "{% $string($now_ms + $lease_ms) %}"
    assert (
        86_400
        * constant(
            returned["ExpressionAttributeValues"][":expiration"]["N"],
            r"\$millis\(\) / 1000\) \+ (\d+)",
        )
        == store._retention
    )
    assert (values[":one"], bid.values[":one"]) == ({"N": "1"}, 1)


# ---- the machine that lends its lease ----


def of_the_lender(name: str) -> dict[str, Any]:
    state: dict[str, Any] = dict(states_of(borrowed()))[name]
    return state


@pytest.mark.parametrize(
    ("state", "operation"),
    [
        ("TakeLease", acquire("reindex", "me")),
        ("KeepLease", Keep("reindex", "me", {}, 0, 1, 1000)),
        ("ReturnLease", Return("reindex", "me", 0, 1000, {})),
    ],
    ids=["TakeLease", "KeepLease", "ReturnLease"],
)
def test_the_lending_state_machine_asks_what_the_library_asks(state: str, operation: Any) -> None:
    arguments = of_the_lender(state)["Arguments"]
    assert arguments["ConditionExpression"] == operation.condition
    assert arguments["UpdateExpression"] == operation.update
    names = arguments["ExpressionAttributeNames"]
    assert names == {f"#{name}": name for name in names.values()}
    assert set(arguments["ExpressionAttributeValues"]) == {*operation.values, ":expiration"}
    assert arguments["Key"] == {"id": {"S": operation.name}}


def borrowing_variables() -> dict[str, float]:
    text = (ROOT / "template.yaml").read_text()
    return {name: constant(text, rf'{name}: "(\d+)"') for name in ("LEASE_SECONDS", "PARK_SECONDS")}


def test_the_lending_state_machines_constants_are_the_librarys_and_its_tasks() -> None:
    store = DynamoDBStore("leases")
    variables = borrowing_variables()
    duration, park = variables["LEASE_SECONDS"], variables["PARK_SECONDS"]
    # With a longer one, each loan would ask twice; with a shorter one the park could not be kept.
    assert borrowed()["States"]["Begin"]["Assign"]["lease_ms"] == park * 1000
    for state, clock in (("KeepLease", "keep_ms"), ("ReturnLease", "return_ms")):
        values = of_the_lender(state)["Arguments"]["ExpressionAttributeValues"]
        assert constant(values[":dead"]["N"], rf"\${clock} - (\d+)") == 1000 * store.clock_skew
        days = constant(values[":expiration"]["N"], r"\+ (\d+) \* 86400")
        assert 86_400 * days == store._retention
    keep = of_the_lender("KeepLease")["Arguments"]["ExpressionAttributeValues"]
    assert keep[":expires_at"]["N"] == "{% $string($keep_ms + $lease_ms) %}"
    assert keep[":duration"]["N"] == "{% $string($lease_ms) %}"
    for name in ("Pages", "Publish"):
        task = of_the_lender(name)
        assert task["TimeoutSeconds"] > 900, "a zombie is not waited for"
        killed = retrier_for(task, "Sandbox.Timedout")
        held = retrier_for(task, "LeaseHeldError")
        assert killed is not None
        assert held is not None
        assert killed["IntervalSeconds"] > duration + store.clock_skew
        # The park outlasts the retry's pause, by a cold start.
        assert park >= duration + killed["IntervalSeconds"] + 5
        # Full jitter waits for a half of each on average, and for nothing at the worst.
        assert average_wait(held) >= duration - 1
        assert retrier_for(task, "LeaseLostError") is None
    waits = of_the_lender("LongWait")["Seconds"]
    assert waits <= park / 2, "kept in time"
    assert 3 * waits > park, "and for longer than it would last"


@pytest.mark.parametrize("error", ["LeaseLostError", "LeaseHeldError", "Anything"])
def test_the_lender_returns_the_lease_whatever_its_work_fails_with(error: str) -> None:
    catcher = catcher_for(borrowed()["States"]["Work"], error)
    assert catcher is not None
    assert catcher["Next"] == "ReadClockToReturn"
