"""What a real handler under the real runtime client writes about its leases."""

from __future__ import annotations

import json
import re
import socket
import time
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from lambda_singleton import DynamoDBStore, LeaseEvent
from lambda_singleton._events import event as events
from lambda_singleton._events import metrics as telemetry
from local_lambda import Function
from local_lambda.stack import MONITORING

from .. import emf

ROOT = Path(__file__).parents[2]
HANDLERS = ROOT / "tests" / "handlers"
STACK = "a-stack"
SECRET = "not-for-any-log"

Deploy = Callable[..., Function]


@pytest.fixture
def deploy(lambda_variables: Mapping[str, str], name: str) -> Iterator[Deploy]:
    functions: list[Function] = []

    def deploy(
        handler: str = "seen.handler", folder: Path = HANDLERS, **variables: str
    ) -> Function:
        own = {
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
            "POWERTOOLS_SERVICE_NAME": STACK,
            "SINGLETON_METRICS_NAMESPACE": "LambdaSingleton",
            "LEASE": name,
            "DURATION": "30",
        }
        function = Function(
            handler, variables={**lambda_variables, **own, **variables}, task_root=folder
        )
        functions.append(function)
        return function

    yield deploy
    for function in functions:
        function.__exit__(None, None, None)


def lines(function: Function) -> list[dict[str, Any]]:
    """The decisions that it has logged."""
    documents = [json.loads(line) for line in function.logs if line.startswith("{")]
    return [line for line in documents if "decision" in line]


def decisions(function: Function) -> list[str]:
    return [line["decision"] for line in lines(function)]


def metrics(function: Function) -> dict[str, list[float]]:
    """The values of each metric."""
    values: dict[str, list[float]] = {}
    for metric in measured(function):
        values.setdefault(metric.name, []).extend(metric.values)
    return values


def measured(function: Function) -> list[emf.Metric]:
    return [metric for line in function.logs if '"_aws"' in line for metric in emf.parse(line)]


def wait_for(function: Function, *texts: str) -> None:
    give_up_at = time.monotonic() + 30
    while not any(all(text in line for text in texts) for line in function.logs):
        assert time.monotonic() < give_up_at, function.logs
        time.sleep(0.01)


def event(**more: Any) -> dict[str, Any]:
    return {"tenant": "a41", "secret": SECRET, **more}


def test_a_run(deploy: Deploy, name: str) -> None:
    function = deploy()
    outcome = function.invoke(event())
    # No traces without a Tracer: X-Ray's SDK is not what metrics should cost.
    assert outcome.result == ["aws_lambda_powertools"]
    acquired, released = lines(function)
    assert acquired["decision"] == "acquired"
    assert acquired["level"] == released["level"] == "INFO"
    assert acquired["logger"] == "lambda_singleton"
    assert acquired["lease"] == released["lease"] == f"{name}#a41"
    assert acquired["owner"] == released["owner"]
    assert acquired["token"] == released["token"]
    assert acquired["requestId"] == outcome.request_id
    assert acquired["waited"] == 0
    assert acquired["message"] == f"lease '{name}#a41' acquired with token {acquired['token']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", acquired["until"])
    assert "taken_from" not in acquired
    assert (released["decision"], released["outcome"]) == ("released", "succeeded")
    seen = metrics(function)
    assert (seen["Acquired"], seen["Succeeded"], seen["WaitTime"]) == ([1], [1], [0])
    assert 0 < seen["AcquireLatency"][0] < 60_000
    assert 0 < seen["HeldTime"][0] < 60_000
    assert not seen.keys() & {"Skipped", "Lost", "TakeOvers", "StoreErrors", "RenewalFailures"}
    assert {metric.namespace for metric in measured(function)} == {"LambdaSingleton"}
    # The name, and not the key: each combination is a metric that is paid for.
    assert {tuple(sorted(metric.dimensions.items())) for metric in measured(function)} == {
        (("lease", name), ("service", STACK))
    }
    assert SECRET not in "\n".join(function.logs)


def test_a_run_that_fails(deploy: Deploy) -> None:
    function = deploy()
    assert function.invoke(event(fails=True)).error_type == "LookupError"
    assert lines(function)[-1]["outcome"] == "failed"
    assert metrics(function)["Succeeded"] == [0]


def test_a_skip(deploy: Deploy, name: str) -> None:
    function = deploy()
    function.prewarm(2)
    first = function.start(event(seconds=1.0))
    wait_for(function, "at work")
    assert function.invoke(event()).error_type == "LeaseHeldError"
    (skipped,) = [line for line in lines(function) if line["decision"] == "skipped"]
    assert (skipped["level"], skipped["lease"]) == ("INFO", f"{name}#a41")
    assert skipped["holder"]["request_id"] == first.environment.request_id
    assert "held_until" in skipped
    assert metrics(function)["Skipped"] == [1]
    assert first.outcome().error_type is None
    # A period with skips only has a maximum of 0.
    assert sorted(metrics(function)["Acquired"]) == [0, 1]


def test_a_wait(deploy: Deploy) -> None:
    function = deploy(WAIT="20")
    function.prewarm(2)
    first = function.start(event(seconds=0.5))
    wait_for(function, "at work")
    assert function.invoke(event()).error_type is None
    waiting = next(line for line in lines(function) if line["decision"] == "waiting")
    assert waiting["level"] == "INFO"
    assert waiting["holder"]["request_id"] == first.environment.request_id
    assert max(metrics(function)["WaitTime"]) > 0
    assert "skipped" not in decisions(function)


def test_a_renewal(deploy: Deploy) -> None:
    function = deploy(DURATION="0.6")
    function.invoke(event(seconds=0.5))
    assert decisions(function)[:2] == ["acquired", "renewed"]
    assert lines(function)[1]["level"] == "DEBUG"
    assert lines(function)[1]["until"] > lines(function)[0]["until"]


def test_a_take_over_from_a_dead_holder(deploy: Deploy) -> None:
    function = deploy(DURATION="0.5")
    first = function.start(event(seconds=30))
    wait_for(function, "at work")
    first.environment.kill()
    dead = lines(function)[0]
    while function.invoke(event()).error_type is not None:
        pass
    (taken,) = [line for line in lines(function) if "taken_from" in line]
    assert (taken["decision"], taken["level"]) == ("acquired", "WARNING")
    assert taken["taken_from"] == dead["owner"]
    assert dead["owner"] in taken["message"]
    assert metrics(function)["TakeOvers"] == [1]


def test_a_loss(deploy: Deploy, name: str, dynamodb: DynamoDBStore) -> None:
    function = deploy(DURATION="0.6")
    running = function.start(event(seconds=1.0))
    wait_for(function, "at work")
    dynamodb.force_release(f"{name}#a41")
    assert running.outcome().error_type == "LeaseLostError"
    (lost,) = [line for line in lines(function) if line["decision"] == "lost"]
    assert (lost["level"], lost["reason"]) == ("ERROR", "stolen")
    assert metrics(function)["Lost"] == [1]
    assert "Succeeded" not in metrics(function)


def test_renewals_and_a_release_that_fail(deploy: Deploy) -> None:
    store = DynamoDBStore(f"gone-{uuid.uuid4().hex}")
    store.create_table()
    function = deploy(DURATION="2", SINGLETON_TABLE=str(store._table_name))
    running = function.start(event(seconds=1.2))
    wait_for(function, "at work")
    boto3.client("dynamodb").delete_table(TableName=str(store._table_name))
    running.outcome()
    assert {"renewal_failed", "release_failed"} <= set(decisions(function))
    for line in lines(function):
        if line["decision"].endswith("_failed"):
            assert line["level"] == "WARNING"
            assert line["error"].startswith("LeaseConfigError: table")
    assert set(metrics(function)["RenewalFailures"]) == {1}
    assert metrics(function)["ReleaseFailures"] == [1]


def test_a_store_that_is_not_there(deploy: Deploy) -> None:
    function = deploy(SINGLETON_TABLE="no-such-table")
    assert function.invoke(event()).error_type == "LeaseConfigError"
    (failed,) = lines(function)
    assert (failed["decision"], failed["level"]) == ("failed", "ERROR")
    assert "no-such-table" in failed["error"]
    assert metrics(function) == {"StoreErrors": [1]}


def test_without_metrics_nothing_is_written_and_nothing_loaded(deploy: Deploy) -> None:
    function = deploy(SINGLETON_METRICS_DISABLED="true")
    assert function.invoke(event()).result == []
    assert metrics(function) == {}
    assert decisions(function) == ["acquired", "released"]


def test_the_lines_pass_through_powertools_logger(deploy: Deploy) -> None:
    function = deploy(WITH="Logger", AWS_LAMBDA_LOG_FORMAT="Text", POWERTOOLS_LOG_LEVEL="INFO")
    function.invoke(event())
    acquired, released = [json.loads(line) for line in function.logs if '"decision"' in line]
    assert (acquired["decision"], acquired["service"]) == ("acquired", STACK)
    assert acquired["token"] == released["token"]


def test_a_trace(deploy: Deploy, name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(30)
        function = deploy(
            WITH="Tracer",
            AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{daemon.getsockname()[1]}",
            POWERTOOLS_TRACE_DISABLED="false",
        )
        assert function.invoke(event()).error_type is None
        acquire, release = [json.loads(daemon.recv(65536).partition(b"\n")[2]) for _ in range(2)]
    assert acquire["name"] == f"acquire lease {name}"
    assert release["name"] == f"release lease {name}"
    token = lines(function)[0]["token"]
    assert acquire["annotations"] == {
        "lease": f"{name}#a41",
        "decision": "acquired",
        "token": token,
    }
    acquired = lines(function)[0]
    # From before the request; the log rounds to microseconds.
    assert acquire["start_time"] == pytest.approx(acquired["at"] - acquired["took"], abs=1e-5)
    assert acquire["end_time"] >= acquired["at"]
    assert release["start_time"] >= acquire["end_time"]


class TestTheTemplate:
    class Loader(yaml.SafeLoader):
        """Reads a tag as its value: `!Ref X` as X."""

    Loader.add_multi_constructor(
        "!", lambda loader, tag, node: getattr(loader, f"construct_{node.id}")(node)
    )

    @pytest.fixture
    def resources(self) -> dict[str, Any]:
        # Parsed with the safe loader's own types only.
        template = yaml.load(MONITORING.read_text(), self.Loader)  # noqa: S506
        resources: dict[str, Any] = template["Resources"]
        return resources

    def test_alarms_watch_what_the_sample_emits(
        self, resources: dict[str, Any], deploy: Deploy
    ) -> None:
        store = DynamoDBStore(f"alarms-{uuid.uuid4().hex}")
        store.create_table()
        variables = {
            "LEASE_SECONDS": "0.6",
            "WORK_SECONDS": "0",
            "MIN_HOLD_SECONDS": "5",
            "SINGLETON_TABLE": str(store._table_name),
        }
        sample = ROOT / "src"
        runs = deploy("nightly_report.handler", sample, **variables)
        is_broken = deploy(
            "nightly_report.handler", sample, **variables | {"SINGLETON_TABLE": "no-such-table"}
        )
        day = {"time": "2026-11-22T02:00:00Z"}
        loses = deploy("nightly_report.handler", sample, **variables | {"WORK_SECONDS": "1.5"})
        losing = loses.start(day)
        wait_for(loses, '"started"')
        store.force_release("nightly-report")
        assert losing.outcome().error_type == "LeaseLostError"
        runs.invoke(day)
        is_broken.invoke(day)
        emitted = {
            (metric.namespace, metric.name, frozenset(metric.dimensions.items()))
            for function in (loses, runs, is_broken)
            for metric in measured(function)
        }
        alarms = {
            key: resource["Properties"]
            for key, resource in resources.items()
            if resource["Type"] == "AWS::CloudWatch::Alarm"
        }
        assert {alarm["MetricName"] for alarm in alarms.values()} == {
            "Lost",
            "StoreErrors",
            "Succeeded",
            "Acquired",
        }
        for alarm in alarms.values():
            dimensions = {
                dimension["Name"]: {"Service": STACK, "Lease": "nightly-report"}[dimension["Value"]]
                for dimension in alarm["Dimensions"]
            }
            watched = (alarm["Namespace"], alarm["MetricName"], frozenset(dimensions.items()))
            assert watched in emitted
            # CloudWatch's own limits for how far an alarm may look back.
            longest = 604_800 if alarm["Period"] >= 3600 else 86_400
            periods = alarm["EvaluationPeriods"]
            most = 48 if periods == "LongestSilence" else periods
            assert alarm["Period"] * most <= longest

    def test_the_dashboard_shows_metrics_that_exist(self, resources: dict[str, Any]) -> None:
        widgets = json.loads(resources["LeaseDashboard"]["Properties"]["DashboardBody"])["widgets"]
        text = json.dumps(widgets)
        source = Path(str(telemetry.__file__)).read_text()
        shown = set(re.findall(r'\\"([A-Z]\w+)\\"', text.replace("\\\\", "")))
        assert shown >= {"Acquired", "Skipped", "Lost", "TakeOvers", "HeldTime", "WaitTime"}
        assert all(f'"{name}"' in source for name in shown)

    def test_queries_ask_for_fields_that_lines_have(self, resources: dict[str, Any]) -> None:
        known = {*LeaseEvent._fields, "decision", "message", "requestId"} - {"kind"}
        words = {
            "fields", "filter", "sort", "limit", "stats", "by", "as", "desc", "asc", "and", "in",
            "count", "latest", "pct",
        }  # fmt: skip
        queries = [
            resource["Properties"]["QueryString"]
            for resource in resources.values()
            if resource["Type"] == "AWS::Logs::QueryDefinition"
        ]
        assert len(queries) == 5
        for query in queries:
            named = set(re.findall(r"\bas (\w+)", query))
            bare = re.sub(r'"[^"]*"|@\w+|\.\w+|ispresent', "", query)
            assert set(re.findall(r"[a-z_]\w*", bare, re.IGNORECASE)) - words - named <= known

    def test_the_runbook_has_each_of_them(self, resources: dict[str, Any]) -> None:
        runbook = (ROOT / "docs" / "runbook.md").read_text()
        queries = [
            resource["Properties"]["QueryString"]
            for resource in resources.values()
            if resource["Type"] == "AWS::Logs::QueryDefinition"
        ]
        queries = [query.replace("${Lease}", "nightly-report") for query in queries]
        assert all(f"```text insights\n{query}```" in runbook for query in queries)
        alarms = [
            name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"
        ]
        assert len(alarms) == 4
        assert all(f"`{alarm}`" in runbook for alarm in alarms)

    def test_each_alarm_leads_to_its_section_of_the_runbook(
        self, resources: dict[str, Any]
    ) -> None:
        sections = re.split(r"^## ", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
        by_anchor = {
            re.sub(r"[^\w -]", "", text.partition("\n")[0]).lower().replace(" ", "-"): text
            for text in sections
        }
        for name, resource in resources.items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                told = str(resource["Properties"]["AlarmDescription"])
                anchor = re.search(r": \$\{Runbook\}#([a-z-]+)", told)
                assert anchor, told
                assert f"`{name}`" in by_anchor[anchor[1]]


def test_every_decision_and_metric_is_documented() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text()
    rows = " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) - {"decision"} == {
        *typing.get_args(events.Kind),
        *re.findall(r'"([A-Z]\w+)"', Path(str(telemetry.__file__)).read_text()),
    } - {"Count", "Milliseconds", "LambdaSingleton"} - {
        telemetry.NAMESPACE,
        telemetry.DISABLED,
    } - {"AWS_LAMBDA_FUNCTION_NAME"}
