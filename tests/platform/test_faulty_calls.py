"""The state machines in an interpreter of their language, while the calls that they make fail."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambda_singleton import DynamoDBStore, Lock
from local_lambda import Engine

from .state_machine import natively, reindex
from .test_state_machines import KILLED

FAULTY_ENGINE = Path(__file__).parent / "faulty_engine"
ROLE = "arn:aws:iam::000000000000:role/machine"
THROTTLED = [
    "DynamoDB.AmazonDynamoDBException",
    "DynamoDB.ProvisionedThroughputExceededException",
    "DynamoDB.ThrottlingException",
    "DynamoDB.InternalServerErrorException",
]

pytestmark = pytest.mark.timeout(120)


class Machines:
    """An engine whose state machines wait for little of what they should."""

    def __init__(self, engine: Engine, plan: Path) -> None:
        self._plan = plan
        make: Any = boto3.client
        common = {"endpoint_url": engine.endpoint, "region_name": "us-east-1"}
        self._machines = make("stepfunctions", **common)
        self.dynamodb = make("dynamodb", **common)
        self.store = DynamoDBStore("leases", client=self.dynamodb)
        self.store.create_table()

    def start(self, definition: dict[str, Any], event: Any = None, **plan: list[Any]) -> str:
        self._plan.write_text(json.dumps(plan))
        machine = self._machines.create_state_machine(
            name=f"m-{uuid.uuid4().hex}", definition=json.dumps(definition), roleArn=ROLE
        )
        execution: str = self._machines.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps(event or {"seconds": 0})
        )["executionArn"]
        return execution

    def end(self, execution: str) -> dict[str, Any]:
        while True:
            answer: dict[str, Any] = self._machines.describe_execution(executionArn=execution)
            if answer["status"] != "RUNNING":
                return answer
            time.sleep(0.02)

    def run(
        self, definition: dict[str, Any], event: Any = None, **plan: list[Any]
    ) -> dict[str, Any]:
        return self.end(self.start(definition, event, **plan))

    @property
    def left(self) -> Any:
        """What has been planned and did not happen."""
        return {kind: rest for kind, rest in json.loads(self._plan.read_text()).items() if rest}

    @property
    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = self.dynamodb.get_item(
            TableName="leases", Key={"id": {"S": "reindex"}}
        ).get("Item", {})
        return row

    @property
    def lock(self) -> Lock:
        return Lock("reindex", 60, store=self.store)


@pytest.fixture(scope="module")
def engine_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    plan = tmp_path_factory.mktemp("faults") / "plan.json"
    plan.write_text("{}")
    variables = {
        "SFN_WAIT_SCALE": "0.005",
        "PYTHONPATH": str(FAULTY_ENGINE),
        "FAULTS": str(plan),
    }
    with Engine(variables, stack=True) as engine:
        yield Machines(engine, plan)


@pytest.fixture
def machines(engine_of_its_own: Machines) -> Iterator[Machines]:
    yield engine_of_its_own
    engine_of_its_own.dynamodb.delete_item(TableName="leases", Key={"id": {"S": "reindex"}})


def fails(error: str, *, applied: bool = False, pause: float = 0) -> dict[str, Any]:
    return {"error": error, "applied": applied, "pause": pause}


def assert_succeeded_and_free(machines: Machines, answer: dict[str, Any]) -> None:
    assert answer["status"] == "SUCCEEDED", answer
    assert machines.left == {}
    row = machines.row
    assert "owner" not in row
    assert row["last_run"]["M"]["outcome"] == {"S": "succeeded"}
    assert json.loads(answer["output"]) == {"token": int(row["token"]["N"])}


@pytest.mark.parametrize("error", THROTTLED)
def test_each_native_call_survives_being_throttled(machines: Machines, error: str) -> None:
    twice = [fails(error), fails(error)]
    lost = [*twice, fails(error, applied=True)]
    answer = machines.run(natively(), take=list(twice), **{"return": lost}, look=list(twice))
    assert_succeeded_and_free(machines, answer)


def test_taking_it_again_after_a_lost_reply(machines: Machines) -> None:
    answer = machines.run(natively(), take=[fails(THROTTLED[0], applied=True)])
    assert_succeeded_and_free(machines, answer)


def test_a_return_recognises_itself_after_a_lost_reply(machines: Machines) -> None:
    answer = machines.run(natively(), **{"return": [fails(THROTTLED[0], applied=True)]})
    assert_succeeded_and_free(machines, answer)


def test_a_return_that_is_repeated_leaves_the_next_holder_alone(machines: Machines) -> None:
    lost = fails(THROTTLED[0], applied=True, pause=1)
    execution = machines.start(natively(), **{"return": [lost]})
    wait_until(lambda: "last_run" in machines.row)
    lease = machines.lock.acquire()
    answer = machines.end(execution)
    assert answer["status"] == "SUCCEEDED", answer
    assert machines.row["token"] == {"N": str(lease.token)}
    assert "owner" in machines.row
    lease.release()


def test_work_that_took_longer_than_the_lease_is_told(machines: Machines) -> None:
    machine = natively()
    machine["States"]["Begin"]["Assign"]["lease_ms"] = 100
    execution = machines.start(machine, {"seconds": 400})
    wait_until(lambda: "owner" in machines.row)
    time.sleep(1.2)
    lease = machines.lock.acquire()
    answer = machines.end(execution)
    assert (answer["status"], answer["error"]) == ("FAILED", "LeaseLostError")
    assert machines.row["token"] == {"N": str(lease.token)}
    lease.release()


def test_a_lease_that_was_freed_by_force_is_lost(machines: Machines) -> None:
    execution = machines.start(natively(), {"seconds": 100})
    wait_until(lambda: "owner" in machines.row)
    machines.store.force_release("reindex")
    answer = machines.end(execution)
    assert (answer["status"], answer["error"]) == ("FAILED", "LeaseLostError")


def working_by(resource: str) -> dict[str, Any]:
    """The machine with a task of the user's in its place."""
    machine = natively()
    machine["States"]["Work"]["Branches"] = [
        {
            "StartAt": "Task",
            "States": {
                "Task": {
                    "Type": "Task",
                    "Resource": resource,
                    "Arguments": {"FunctionName": "work"},
                    "End": True,
                }
            },
        }
    ]
    return machine


@pytest.mark.parametrize("error", [*KILLED, "ValueError"])
def test_work_that_fails_returns_the_lease_and_keeps_its_error(
    machines: Machines, error: str
) -> None:
    machine = working_by("arn:aws:states:::lambda:invoke")
    answer = machines.run(machine, invoke=[fails(error)])
    assert (answer["status"], answer["error"]) == ("FAILED", error)
    assert error in answer["cause"]
    assert "owner" not in machines.row
    assert machines.row["last_run"]["M"]["outcome"] == {"S": "failed"}


def test_a_return_that_fails_for_good_leaves_the_outcome_alone(machines: Machines) -> None:
    answer = machines.run(natively(), **{"return": [fails(THROTTLED[0])] * 7})
    assert answer["status"] == "SUCCEEDED"
    assert machines.left == {}
    # It ends by itself.
    assert "owner" in machines.row


DONE = {"result": {"StatusCode": 200, "Payload": {"index": "products", "token": 7}}}


@pytest.mark.parametrize("error", KILLED)
def test_a_killed_task_is_tried_once_more(machines: Machines, error: str) -> None:
    answer = machines.run(reindex(), invoke=[fails(error), DONE])
    assert answer["status"] == "SUCCEEDED"
    assert json.loads(answer["output"]) == {"index": "products", "token": 7}
    answer = machines.run(reindex(), invoke=[fails(error), fails(error)])
    assert (answer["status"], answer["error"]) == ("FAILED", "TaskKilled")


def test_a_held_lease_is_waited_for_and_then_given_up(machines: Machines) -> None:
    held = [fails("LeaseHeldError")] * 12
    assert machines.run(reindex(), invoke=[*held, DONE])["status"] == "SUCCEEDED"
    answer = machines.run(reindex(), invoke=[*held, fails("LeaseHeldError")])
    assert (answer["status"], answer["error"]) == ("FAILED", "LeaseHeldError")
    assert machines.left == {}


def wait_until(condition: Any) -> None:
    while not condition():
        time.sleep(0.01)
