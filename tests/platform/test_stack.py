"""The application, deployed by `sam` to the embedded engine, and used through AWS's APIs only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_singleton import DynamoDBStore, Lock
from local_lambda import Engine
from local_lambda.stack import Stack, emulator_build

THROW_AWAY = {
    "TableDeletionPolicy": "Delete",
    "DeletionProtection": "false",
    "PointInTimeRecovery": "false",
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def aws() -> Iterator[Engine]:
    """An engine of its own, whose state machines wait a tenth of what they should."""
    with Engine({"SFN_WAIT_SCALE": "0.1"}, stack=True) as engine:
        yield engine


@pytest.fixture(scope="module")
def build(aws: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Stack(aws, "build").build(tmp_path_factory.mktemp("sam") / "build")


@pytest.fixture(scope="module")
def application(
    aws: Engine, build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    template = emulator_build(
        build, tmp_path_factory.mktemp("emulator") / "build", {"WORK_SECONDS": "2"}
    )
    stack = Stack(aws, "application")
    # The engine fires a schedule once only, if it has been one of every day before.
    stack.deploy(template, **THROW_AWAY, ReportSchedule="at(2099-01-01T00:00:00)")
    yield Application(stack)
    stack.delete()


class Application:
    """The deployed stack, as its users see it."""

    def __init__(self, stack: Stack) -> None:
        self.outputs = stack.outputs
        self._stack = stack
        self.functions = stack.client("lambda")
        self.machines = stack.client("stepfunctions")
        self.dynamodb = stack.client("dynamodb")

    def row(self, name: str) -> dict[str, Any]:
        answer = self.dynamodb.get_item(
            TableName=self.outputs["TableName"], Key={"id": {"S": name}}
        )
        item: dict[str, Any] = answer.get("Item", {})
        return item

    def invoke(self, output: str, event: Any) -> tuple[Any, bool]:
        """Invoke a function; return its payload, and whether it failed."""
        answer = self.functions.invoke(FunctionName=self.outputs[output], Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def schedule(self, at: float) -> None:
        """Have its one schedule fire then, and not at its usual time."""
        resources = self._stack.client("cloudformation").describe_stack_resources(
            StackName=self._stack.name
        )["StackResources"]
        (name,) = (
            resource["PhysicalResourceId"].rpartition("/")[2]
            for resource in resources
            if resource["ResourceType"] == "AWS::Scheduler::Schedule"
        )
        scheduler = self._stack.client("scheduler")
        found = scheduler.get_schedule(Name=name)
        kept = {key: found[key] for key in ("Name", "FlexibleTimeWindow", "Target")}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
        scheduler.update_schedule(**kept, ScheduleExpression=f"at({moment})")

    def start(self, output: str, **event: Any) -> str:
        execution: str = self.machines.start_execution(
            stateMachineArn=self.outputs[output], input=json.dumps(event)
        )["executionArn"]
        return execution

    def end(self, execution: str) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        wait_until(lambda: self.describe(execution, answer)["status"] != "RUNNING")
        return answer

    def describe(self, execution: str, answer: dict[str, Any]) -> dict[str, Any]:
        answer.update(self.machines.describe_execution(executionArn=execution))
        return answer

    def failures(self, execution: str) -> list[str]:
        """The names of the errors that tasks of an execution ended with."""
        history = self.machines.get_paginator("get_execution_history")
        return [
            event[details]["error"]
            for page in history.paginate(executionArn=execution)
            for event in page["events"]
            for details in ("taskFailedEventDetails", "lambdaFunctionFailedEventDetails")
            if details in event
        ]

    @property
    def lock(self) -> Lock:
        """The lease that the state machines want, for a program outside of them."""
        return Lock(
            "reindex", 3600, store=DynamoDBStore(self.outputs["TableName"], client=self.dynamodb)
        )


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()


CONSUMER = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Consumer:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      InlineCode: "def handler(event, context): pass"
      # the page's lines
Outputs:
  Name:
    Value: !Ref Consumer
"""


def snippet_with(text: str) -> str:
    """Return the YAML of the page that has this text in it."""
    (snippet,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if text in block
    ]
    return str(snippet)


def test_the_template_is_valid(aws: Engine) -> None:
    assert "is a valid SAM Template" in Stack(aws, "validate").validate()


def test_the_snippet_to_copy_is_valid(aws: Engine, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(snippet_with("LeaseTable:"))
    assert "is a valid SAM Template" in Stack(aws, "validate").validate(template)


@pytest.mark.parametrize(("policy", "left"), [("Retain", ["LeaseTable", "layer"]), ("Delete", [])])
def test_the_unmodified_template_deploys_and_its_deletion_leaves_what_it_should(
    aws: Engine, build: Path, policy: str, left: list[str]
) -> None:
    stack = Stack(aws, f"unmodified-{policy.lower()}")
    stack.deploy(build, **(THROW_AWAY | {"TableDeletionPolicy": policy}))
    outputs = stack.outputs
    dynamodb = stack.client("dynamodb")
    table = dynamodb.describe_table(TableName=outputs["TableName"])["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    resources = stack.client("cloudformation").describe_stack_resources(StackName=stack.name)
    kinds = {resource["ResourceType"] for resource in resources["StackResources"]}
    (nested,) = [
        resource["PhysicalResourceId"]
        for resource in resources["StackResources"]
        if resource["ResourceType"] == "AWS::CloudFormation::Stack"
    ]
    monitoring = stack.client("cloudformation").describe_stack_resources(StackName=nested)
    kinds |= {resource["ResourceType"] for resource in monitoring["StackResources"]}

    stack.delete()

    kept = [
        *dynamodb.list_tables()["TableNames"],
        *(layer["LayerName"] for layer in stack.client("lambda").list_layers()["Layers"]),
    ]
    assert [name.split("-")[2] for name in kept if stack.name in name] == left
    names = "".join(
        [
            *(f["FunctionName"] for f in stack.client("lambda").list_functions()["Functions"]),
            *(
                m["name"]
                for m in stack.client("stepfunctions").list_state_machines()["stateMachines"]
            ),
            *(s["Name"] for s in stack.client("scheduler").list_schedules()["Schedules"]),
            *stack.client("sqs").list_queues().get("QueueUrls", []),
            *(role["RoleName"] for role in stack.client("iam").list_roles()["Roles"]),
            *(
                p["PolicyName"]
                for p in stack.client("iam").list_policies(Scope="Local")["Policies"]
            ),
            *(g["logGroupName"] for g in stack.client("logs").describe_log_groups()["logGroups"]),
            *(
                d["DashboardName"]
                for d in stack.client("cloudwatch").list_dashboards()["DashboardEntries"]
            ),
            *(a["AlarmName"] for a in stack.client("cloudwatch").describe_alarms()["MetricAlarms"]),
            *(p["Name"] for p in stack.client("ssm").describe_parameters()["Parameters"]),
        ]
    )
    assert stack.name not in names
    assert kinds == {
        "AWS::CloudFormation::Stack",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::DynamoDB::Table",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Logs::LogGroup",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
        "AWS::Scheduler::Schedule",
        "AWS::StepFunctions::StateMachine",
    }


def test_the_schedule_fires_and_a_second_run_is_skipped(application: Application) -> None:
    application.schedule(time.time() + 2)
    wait_until(lambda: "holder" in application.row("nightly-report"))
    holder = application.row("nightly-report")["holder"]["M"]
    assert holder["function"]["S"] == application.outputs["NightlyReportName"]
    # At work or done already: a duplicate is skipped, five minutes long.
    result, failed = application.invoke("NightlyReportName", {"time": "2026-11-22T02:00:00Z"})
    assert not failed
    assert result["status"] == "skipped"
    assert result["lease"]["holder"]["request_id"] == holder["request_id"]["S"]
    wait_until(lambda: "last_run" in application.row("nightly-report"))
    assert application.row("nightly-report")["last_run"]["M"]["outcome"] == {"S": "succeeded"}


def test_tenants_and_the_ledger_run(application: Application) -> None:
    result, failed = application.invoke("TenantSyncName", {"detail": {"tenant": "north"}})
    assert (failed, result["tenant"]) == (False, "north")
    result, failed = application.invoke("LedgerName", {"account": "4711", "entries": [1, 2]})
    assert (failed, result["balance"], result["saved"]) == (False, 3, True)


def test_jobs_that_have_to_happen_do(application: Application) -> None:
    slot = {"time": "2026-11-22T02:00:00Z"}
    result, failed = application.invoke("HourlyRollupName", slot)
    assert (failed, result["status"]) == (False, "added up")
    result, failed = application.invoke("HourlyRollupName", slot)
    assert (failed, result["status"], result["reason"]) == (False, "skipped", "done")

    job = {"job": "2026-11-22", "pages": 5}
    result, failed = application.invoke("ManyPagesName", job)
    assert (failed, result["status"], result["pages"]) == (False, "read", 5)
    table = application.outputs["AccountsTableName"]
    counted = application.dynamodb.get_item(TableName=table, Key={"id": {"S": "2026-11-22"}})
    assert counted["Item"]["pages"] == {"N": "5"}

    result, failed = application.invoke("SearchIndexName", {"detail": {"title": "manual"}})
    assert (failed, result["status"]) == (False, "rebuilt")
    row = application.row("search-index")
    assert row["succeeded"] == row["token"]
    assert row["succeeded_by"]["S"]


def test_the_state_machines_exclude_each_other_and_everybody_else(
    application: Application,
) -> None:
    tokens: list[int] = []

    def token_of(execution: str) -> int:
        end = application.end(execution)
        assert end["status"] == "SUCCEEDED", end
        token: int = json.loads(end["output"])["token"]
        return token

    def start_while_held(output: str) -> str:
        # Whoever holds it lets go when the other has been refused, however long that takes.
        lease = application.lock.acquire()
        tokens.append(lease.token)
        execution = application.start(output, index="products", seconds=1)
        wait_until(lambda: application.failures(execution))
        lease.release()
        return execution

    # A task retries by the name LeaseHeldError while somebody else holds the lease.
    tokens.append(token_of(application.start("ReindexArn", index="products")))
    second = start_while_held("ReindexArn")
    tokens.append(token_of(second))
    assert set(application.failures(second)) == {"LeaseHeldError"}

    # A function waits for a native holder ...
    native = application.start("ReindexNativelyArn", seconds=60)
    wait_until(lambda: "owner" in application.row("reindex"))
    assert application.row("reindex")["owner"]["S"] == native
    payload, failed = application.invoke("ReindexTaskName", {"index": "products"})
    assert failed
    assert payload["errorType"] == "LeaseHeldError"
    assert native in payload["errorMessage"]
    waiting = application.start("ReindexArn", index="products")
    tokens += [token_of(native), token_of(waiting)]
    assert set(application.failures(waiting)) == {"LeaseHeldError"}

    # ... and a native one for others.
    waiting = start_while_held("ReindexNativelyArn")
    tokens.append(token_of(waiting))
    assert set(application.failures(waiting)) == {"DynamoDB.ConditionalCheckFailedException"}

    # Both give up by name when the holder never lets go.
    lease = application.lock.acquire()
    tokens.append(lease.token)
    patient = [
        application.start(output, index="x") for output in ("ReindexArn", "ReindexNativelyArn")
    ]
    for execution in patient:
        end = application.end(execution)
        assert (end["status"], end["error"]) == ("FAILED", "LeaseHeldError")
    lease.release()

    # A dead holder is taken over natively, by the same rule.
    dead = Lock("reindex", 0.1, store=application.lock._store()).acquire()
    time.sleep(1.2)
    tokens += [dead.token, token_of(application.start("ReindexNativelyArn", seconds=1))]
    assert tokens == list(range(tokens[0], tokens[0] + len(tokens)))


def test_another_stack_can_use_what_this_one_offers(
    aws: Engine, application: Application, tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    uses_exports = re.sub("lambda-singleton(?=[-/])", "application", snippet_with("ImportValue"))
    template.write_text(CONSUMER.replace("      # the page's lines", uses_exports.rstrip("\n")))
    stack = Stack(aws, "consumer")
    stack.deploy(template)
    function = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs["Name"])
    stack.delete()
    assert (
        function["Environment"]["Variables"]["SINGLETON_TABLE"] == application.outputs["TableName"]
    )
    (layer,) = function["Layers"]
    assert layer["Arn"].endswith(":layer:application-layer:1")
