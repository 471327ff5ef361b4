"""The state machine that lends its lease, deployed by `sam` to the embedded engine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseHeldError,
    LeaseLostError,
    Lock,
    fenced,
    singleton,
)
from local_lambda import Engine
from local_lambda.stack import Stack, emulator_build

from ..execution import Execution
from .test_stack import THROW_AWAY, Application, wait_until

#: Of a task's lease, of the park, and of a task's work, in seconds.
DURATION, PARK, WORK = 8, 30, 9

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def aws() -> Iterator[Engine]:
    """An engine of its own, whose state machines wait a tenth of what they should."""
    with Engine({"SFN_WAIT_SCALE": "0.1"}, stack=True) as engine:
        yield engine


@pytest.fixture(scope="module")
def application(aws: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    built = Stack(aws, "build").build(tmp_path_factory.mktemp("sam") / "build")
    variables = {
        "LEASE_SECONDS": str(DURATION),
        "PARK_SECONDS": str(PARK),
        "WORK_SECONDS": str(WORK),
    }
    template = emulator_build(built, tmp_path_factory.mktemp("emulator") / "build", variables)
    machine = template.parent / "ReindexBorrowed.asl.json"
    definition = json.loads(machine.read_text())
    definition["States"]["Begin"]["Assign"]["lease_ms"] = 1000 * PARK
    # What waits for an attempt's end is not a tenth of it: the lease's clock is the real one.
    (branch,) = definition["States"]["Work"]["Branches"]
    for task in (branch["States"]["Pages"], branch["States"]["Publish"]):
        for retrier in task["Retry"]:
            if retrier["ErrorEquals"][0] == "Sandbox.Timedout":
                retrier["IntervalSeconds"] = 10 * (DURATION + 2)
    machine.write_text(json.dumps(definition))
    stack = Stack(aws, "borrowed")
    stack.deploy(template, **THROW_AWAY)
    yield Application(stack)
    stack.delete()


def start(application: Application) -> str:
    return application.start("ReindexBorrowedArn", index="products")


def owner(application: Application) -> str | None:
    found: str | None = application.row("reindex").get("owner", {}).get("S")
    return found


def token(application: Application) -> int:
    return int(application.row("reindex")["token"]["N"])


def store(application: Application) -> DynamoDBStore:
    return DynamoDBStore(application.outputs["TableName"], client=application.dynamodb)


def attempt(application: Application, execution: str, work: Any) -> Any:
    """Let another attempt of the execution's task borrow the lease in this process."""

    @singleton("reindex", DURATION, borrow="execution", park=PARK, store=store(application))
    def handler(event: dict[str, Any], context: object, lease: Lease) -> Any:
        return work(lease)

    return handler({"execution": execution}, None)


def has(application: Application, who: str) -> bool:
    """Whether the execution has the lease itself, between two of its tasks."""
    return owner(application) == who


def test_the_lease_is_held_from_the_first_state_to_the_last(application: Application) -> None:
    execution = start(application)
    owners: list[str | None] = []
    tokens: list[int] = []
    refusals = 0
    answer: dict[str, Any] = {}
    while application.describe(execution, answer)["status"] == "RUNNING":
        row = application.row("reindex")
        found = row.get("owner", {}).get("S")
        if found != (owners[-1] if owners else None):
            owners.append(found)
        if "token" in row:
            tokens.append(int(row["token"]["N"]))
        if found is not None:
            try:
                application.lock.acquire().release()
            except LeaseHeldError:
                refusals += 1
        time.sleep(0.05)
    assert answer["status"] == "SUCCEEDED", (answer.get("error"), answer.get("cause"))
    # Two tasks of 9 s with leases of 8 s: each was renewed, and the long waits were kept.
    held = [name for name in owners if name is not None]
    assert held[0] == execution
    assert held[2] == execution
    assert len(set(held)) == 3, "the execution, and two attempts with owners of their own"
    assert refusals > 10
    assert tokens == sorted(tokens)
    distinct = sorted(set(tokens))
    assert distinct == list(range(distinct[0], distinct[0] + 3)), "a token for each loan"
    assert json.loads(answer["output"])["token"] == distinct[-1]
    assert owner(application) is None
    assert application.row("reindex")["last_run"]["M"]["outcome"] == {"S": "succeeded"}


def test_it_excludes_holders_of_every_kind_in_every_order(application: Application) -> None:
    # It waits for a plain holder, a task that borrows nothing, a native machine and its like ...
    lease = application.lock.acquire()
    first = start(application)
    wait_until(lambda: application.failures(first))
    assert set(application.failures(first)) == {"DynamoDB.ConditionalCheckFailedException"}
    lease.release()
    wait_until(lambda: owner(application) is not None)
    # ... and each of these waits for it.
    payload, failed = application.invoke("ReindexTaskName", {"index": "orders"})
    assert (failed, payload["errorType"]) == (True, "LeaseHeldError")
    plain = application.start("ReindexArn", index="orders")
    for execution in (first, plain):
        end = application.end(execution)
        assert end["status"] == "SUCCEEDED", end
    assert "LeaseHeldError" in application.failures(plain)

    native = application.start("ReindexNativelyArn", seconds=20)
    wait_until(lambda: owner(application) == native)
    second = start(application)
    wait_until(lambda: application.failures(second))
    for execution in (native, second):
        end = application.end(execution)
        assert end["status"] == "SUCCEEDED", end
    assert owner(application) is None


def test_a_killed_attempt_is_followed_after_its_end_and_not_before(
    application: Application,
) -> None:
    execution = start(application)
    wait_until(lambda: owner(application) not in (None, execution))
    wait_until(lambda: has(application, execution))

    died_at: list[float] = []

    def dies(lease: Lease) -> None:
        died_at.append(time.time())
        lease._tenure.steal()

    # While the machine waits: it keeps the lease, and then its last task borrows it.
    before = token(application)
    with pytest.raises(LeaseLostError):
        attempt(application, execution, dies)
    dead = owner(application)
    assert dead not in (None, execution)
    assert token(application) == before + 1
    with pytest.raises(LeaseHeldError):
        attempt(application, execution, lambda lease: None)
    with pytest.raises(LeaseHeldError):
        application.lock.acquire()
    wait_until(lambda: owner(application) != dead)
    assert time.time() >= died_at[0] + DURATION + 1, application.row("reindex")
    end = application.end(execution)
    assert end["status"] == "SUCCEEDED", end
    assert json.loads(end["output"])["token"] > before + 1
    assert owner(application) is None


def test_a_zombies_fenced_write_is_refused(application: Application) -> None:
    execution = start(application)
    wait_until(lambda: owner(application) not in (None, execution))
    wait_until(lambda: has(application, execution))
    leases: list[Lease] = []
    attempt(application, execution, leases.append)
    accounts = application.dynamodb
    key = {"id": {"S": "zombie"}}
    request: Any = {
        "TableName": application.outputs["AccountsTableName"],
        "Key": key,
        "UpdateExpression": "SET balance = :b",
        "ExpressionAttributeValues": {":b": {"N": "1"}},
    }
    written: list[int] = []

    def writes(lease: Lease) -> None:
        accounts.update_item(**fenced(lease, **request))
        written.append(lease.token)

    attempt(application, execution, writes)
    assert leases[0].token < written[0]
    # What the zombie sends, which has no lease any more but its token.
    with pytest.raises(accounts.exceptions.ConditionalCheckFailedException):
        accounts.update_item(**fenced(leases[0].token, **request))
    assert application.end(execution)["status"] == "SUCCEEDED"


def test_an_aborted_execution_blocks_for_its_park_at_most(application: Application) -> None:
    # The engine's executions go on when they are stopped: this one sends nothing more by itself.
    aborted = Execution(store(application), "reindex", "aborted", lasts=1)
    assert aborted.take()
    attempt(application, "aborted", lambda lease: None)
    since = time.time()
    with pytest.raises(LeaseHeldError):
        application.lock.acquire()
    lease = Lock("reindex", 60, wait=2 * PARK, store=store(application)).acquire()
    assert PARK - 1 < time.time() - since < PARK + 10
    lease.release()


def test_a_stranger_in_between_ends_it_with_lease_lost_error(application: Application) -> None:
    execution = start(application)
    wait_until(lambda: owner(application) not in (None, execution))
    wait_until(lambda: has(application, execution))
    store(application).force_release("reindex")
    lease = application.lock.acquire()
    end = application.end(execution)
    assert (end["status"], end["error"]) == ("FAILED", "LeaseLostError")
    lease.check()
    lease.renew()
    lease.release()
