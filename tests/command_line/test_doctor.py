"""`lambda-singleton doctor` on the engine, and on what AWS would answer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from lambda_singleton import DynamoDBStore, LeaseStoreError, MemoryStore
from lambda_singleton_cli.__main__ import main
from lambda_singleton_cli.answer import ask
from lambda_singleton_cli.caller_checks import caller_checks
from lambda_singleton_cli.finding import Finding, Verdict
from lambda_singleton_cli.function_checks import function_checks
from lambda_singleton_cli.table_checks import table_checks
from local_lambda import Engine

from ..fakes import START, FakeClock, acquire

KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/k"

Verdicts = dict[str, Verdict]
Doctor = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def doctor(
    whole_engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Doctor:
    monkeypatch.setenv("AWS_ENDPOINT_URL", whole_engine.endpoint)

    def doctor(table: str, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
        code = main(["doctor", "--table", table, "--json", *arguments])
        findings = json.loads(capsys.readouterr().out)
        return code, {finding["check"]: finding for finding in findings}

    return doctor


def verdicts(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {check: finding["verdict"] for check, finding in findings.items()}


RIGHT = {
    "key": "ok",
    "ttl": "ok",
    "deletion protection": "ok",
    "replicas": "ok",
    "encryption": "ok",
    "may GetItem": "ok",
    "may Scan": "ok",
    "may UpdateItem": "ok",
    "clock": "ok",
}


def make_table(name: str, *, key: str = "id", kind: str = "S", ttl: str = "expiration") -> None:
    client: Any = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
    )
    if ttl:
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl}
        )


# ---- on the engine ----


def test_a_right_table_has_nothing_to_mend(doctor: Doctor, name: str) -> None:
    make_table(name)
    code, findings = doctor(name)
    assert (code, verdicts(findings)) == (0, RIGHT)
    assert {finding["mend"] for finding in findings.values()} == {""}
    assert boto3.client("dynamodb").scan(TableName=name)["Count"] == 0


def test_a_table_that_is_not_there(doctor: Doctor) -> None:
    code, findings = doctor("no-such-table")
    assert (code, verdicts(findings)) == (5, {"table": "problem"})
    assert "create-table --table no-such-table" in findings["table"]["mend"]


@pytest.mark.parametrize(
    ("wrong", "check", "verdict", "mend"),
    [
        ({"key": "name"}, "key", "problem", "another table"),
        ({"kind": "N"}, "key", "problem", "another table"),
        ({"ttl": ""}, "ttl", "warning", "AttributeName=expiration"),
        ({"ttl": "expires_at_ms"}, "ttl", "problem", "turn it off"),
    ],
)
def test_a_wrong_table(
    doctor: Doctor, name: str, wrong: dict[str, Any], check: str, verdict: str, mend: str
) -> None:
    make_table(name, **wrong)
    code, findings = doctor(name)
    assert verdicts(findings)[check] == verdict
    assert mend in findings[check]["mend"]
    assert code == (5 if verdict == "problem" else 0)


def test_a_table_without_protection(doctor: Doctor, name: str) -> None:
    DynamoDBStore(name).create_table()
    code, findings = doctor(name)
    assert (code, verdicts(findings)) == (0, RIGHT | {"deletion protection": "warning"})
    assert f"--table-name {name} --deletion-pro" in findings["deletion protection"]["mend"]


def test_people_read_what_to_do(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    DynamoDBStore(name).create_table()
    assert main(["doctor", "--table", name]) == 0
    out = capsys.readouterr().out
    assert "ok       key: the partition key is 'id', a string\n" in out
    assert "warning  deletion protection: off" in out
    assert "\n         -> aws dynamodb update-table" in out
    assert out.endswith("\n8 ok, 1 warning\n")


def test_without_a_table_it_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    assert "SINGLETON_TABLE" in capsys.readouterr().err


@pytest.fixture
def function(doctor: Doctor, name: str) -> Iterator[Callable[..., str]]:
    functions = boto3.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): pass")

    def function(**settings: Any) -> str:
        functions.create_function(
            **{
                "FunctionName": name,
                "Role": "arn:aws:iam::000000000000:role/r",
                "Handler": "index.handler",
                "Runtime": "python3.13",
                "Code": {"ZipFile": code.getvalue()},
                "Timeout": 300,
                "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
                **settings,
            }
        )
        return name

    yield function
    functions.delete_function(FunctionName=name)


def take(function: str, lease: str, duration: float) -> None:
    """Let a function of the table's name take a lease."""
    bid = acquire(lease, "me", duration=duration)._replace(holder={"function": function})
    assert DynamoDBStore(function).execute(bid, timeout=1).applied


def test_a_function_that_is_right(doctor: Doctor, function: Callable[..., str], name: str) -> None:
    make_table(name)
    function(Environment={"Variables": {"SINGLETON_TABLE": name}})
    boto3.client("lambda").put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1
    )
    take(name, "report", 30)
    code, findings = doctor(name, "--function", name)
    checks = ["runtime", "durable", "SINGLETON_TABLE", "logging", "retries", "duration of report"]
    assert verdicts(findings) == RIGHT | {f"{name}: {check}": "ok" for check in checks}
    assert code == 0


def test_a_function_that_is_wrong_in_all_ways(
    doctor: Doctor, function: Callable[..., str], name: str
) -> None:
    make_table(name)
    function(
        Timeout=120,
        Runtime="python3.9",
        LoggingConfig={"LogFormat": "Text"},
        Environment={"Variables": {"SINGLETON_TABLE": "other"}},
    )
    take(name, "whole", 122)
    take(name, "short", 2)
    code, findings = doctor(name, "--function", name)
    own = {
        check.partition(": ")[2]: finding
        for check, finding in findings.items()
        if check.startswith(f"{name}: ")
    }
    assert verdicts(own) == {
        "runtime": "problem",
        "durable": "ok",
        "SINGLETON_TABLE": "problem",
        "logging": "warning",
        "retries": "warning",
        "duration of whole": "warning",
        "duration of short": "warning",
    }
    assert all(finding["mend"] for finding in own.values() if finding["verdict"] != "ok")
    assert code == 5


def test_a_function_that_is_not_there(doctor: Doctor, name: str) -> None:
    make_table(name)
    code, findings = doctor(name, "--function", "nobody")
    assert (code, findings["nobody: function"]["verdict"]) == (5, "problem")


# ---- on what AWS answers ----


class Stubbed:
    """Clients that answer what they are told to, as botocore's models allow it."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.stubs: dict[str, Stubber] = {}
        make: Any = boto3.client
        for service in ("dynamodb", "kms", "lambda"):
            self.clients[service] = make(service)
            self.stubs[service] = Stubber(self.clients[service])
            self.stubs[service].activate()

    def answers(self, service: str, method: str, response: dict[str, Any]) -> None:
        self.stubs[service].add_response(method, response, None)

    def refuses(self, service: str, method: str, code: str, message: str = "no") -> None:
        self.stubs[service].add_client_error(method, code, message)

    def table(self) -> Verdicts:
        found = table_checks(self.clients["dynamodb"], self.clients["kms"], "leases")
        return by_check(found)

    def described(self, **more: Any) -> None:
        right = {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "DeletionProtectionEnabled": True,
        }
        self.answers("dynamodb", "describe_table", {"Table": right | more})

    def has_ttl(self, **said: str) -> None:
        status = said or {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiration"}
        self.answers("dynamodb", "describe_time_to_live", {"TimeToLiveDescription": status})


@pytest.fixture
def aws() -> Stubbed:
    return Stubbed()


def by_check(findings: Iterator[Finding]) -> Verdicts:
    found = list(findings)
    for finding in found:
        is_fine = finding.verdict is Verdict.OK
        assert is_fine == (not finding.mend) or finding.verdict is Verdict.UNKNOWN
    return {finding.check: finding.verdict for finding in found}


REPLICAS = [{"RegionName": "us-east-2", "ReplicaStatus": "ACTIVE"}]


def test_replicas_without_strong_consistency_are_a_problem(aws: Stubbed) -> None:
    aws.described(Replicas=REPLICAS)
    aws.has_ttl()
    assert aws.table()["replicas"] is Verdict.PROBLEM


def test_replicas_with_strong_consistency_need_no_ttl(aws: Stubbed) -> None:
    aws.described(Replicas=REPLICAS, MultiRegionConsistency="STRONG")
    aws.has_ttl(TimeToLiveStatus="DISABLED")
    found = aws.table()
    assert (found["replicas"], found["ttl"]) == (Verdict.OK, Verdict.OK)


@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [
        ({"KeyState": "Enabled", "KeyManager": "CUSTOMER"}, Verdict.OK),
        ({"KeyState": "Enabled", "KeyManager": "AWS"}, Verdict.OK),
        ({"KeyState": "Disabled", "KeyManager": "CUSTOMER"}, Verdict.PROBLEM),
        ({"KeyState": "PendingDeletion", "KeyManager": "CUSTOMER"}, Verdict.PROBLEM),
    ],
)
def test_the_state_of_a_key_of_ones_own(
    aws: Stubbed, metadata: dict[str, Any], verdict: Verdict
) -> None:
    aws.described(SSEDescription={"SSEType": "KMS", "KMSMasterKeyArn": KEY_ARN})
    aws.has_ttl()
    aws.answers("kms", "describe_key", {"KeyMetadata": {"KeyId": "k", **metadata}})
    assert aws.table()["encryption"] is verdict


def test_a_key_that_dynamodb_cannot_use(aws: Stubbed) -> None:
    aws.described(TableStatus="INACCESSIBLE_ENCRYPTION_CREDENTIALS")
    aws.has_ttl()
    assert aws.table()["encryption"] is Verdict.PROBLEM


def test_what_one_may_not_ask_is_not_checked(aws: Stubbed) -> None:
    aws.refuses("dynamodb", "describe_table", "AccessDeniedException")
    assert aws.table() == {"table": Verdict.UNKNOWN}
    aws.described(SSEDescription={"SSEType": "KMS", "KMSMasterKeyArn": KEY_ARN})
    aws.refuses("dynamodb", "describe_time_to_live", "AccessDeniedException")
    aws.refuses("kms", "describe_key", "AccessDeniedException")
    found = aws.table()
    assert (found["ttl"], found["encryption"]) == (Verdict.UNKNOWN, Verdict.UNKNOWN)


def date(seconds: float) -> dict[str, Any]:
    from email.utils import formatdate

    headers = {"date": formatdate(START + seconds, usegmt=True)}
    return {"ResponseMetadata": {"HTTPHeaders": headers, "HTTPStatusCode": 200}}


def caller(aws: Stubbed) -> dict[str, Finding]:
    found = list(caller_checks(aws.clients["dynamodb"], "leases", FakeClock(), 1))
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize(
    ("off", "verdict"),
    [
        (0, Verdict.OK),
        (1, Verdict.OK),
        (-2, Verdict.OK),
        (2, Verdict.PROBLEM),
        (-3, Verdict.PROBLEM),
        (3600, Verdict.PROBLEM),
    ],
)
def test_a_clock_that_is_off_for_certain(aws: Stubbed, off: int, verdict: Verdict) -> None:
    aws.answers("dynamodb", "get_item", date(off))
    aws.answers("dynamodb", "scan", {})
    aws.refuses("dynamodb", "update_item", "ConditionalCheckFailedException")
    found = caller(aws)
    assert found["clock"].verdict is verdict
    if verdict is Verdict.PROBLEM:
        assert ("behind" in found["clock"].says) == (off > 0)
    assert found["may UpdateItem"].verdict is Verdict.OK


def test_permissions_that_commands_want(aws: Stubbed) -> None:
    aws.refuses("dynamodb", "get_item", "AccessDeniedException", "KMS key access denied error")
    aws.refuses("dynamodb", "scan", "AccessDeniedException", "not authorized: dynamodb:Scan")
    aws.refuses("dynamodb", "update_item", "ThrottlingException", "slowly")
    found = caller(aws)
    assert found["may GetItem"].verdict is Verdict.PROBLEM
    assert "kms:Decrypt" in found["may GetItem"].mend
    assert found["may Scan"].verdict is Verdict.WARNING
    assert "dynamodb:Scan for list and watch" in found["may Scan"].mend
    assert found["may UpdateItem"].verdict is Verdict.UNKNOWN
    assert found["clock"].verdict is Verdict.UNKNOWN


def function_found(aws: Stubbed, records: Any = (), **settings: Any) -> Verdicts:
    right = {
        "FunctionName": "job",
        "Runtime": "python3.13",
        "Timeout": 300,
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
        "Environment": {"Variables": {"SINGLETON_TABLE": "leases"}},
    }
    aws.answers("lambda", "get_function_configuration", right | settings)
    aws.answers("lambda", "get_function_event_invoke_config", {"MaximumRetryAttempts": 0})
    found = by_check(function_checks(aws.clients["lambda"], "job", "leases", records))
    return {check.removeprefix("job: "): verdict for check, verdict in found.items()}


@pytest.mark.parametrize(
    ("settings", "check", "verdict"),
    [
        ({"DurableConfig": {"ExecutionTimeout": 3600}}, "durable", Verdict.PROBLEM),
        (
            {"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"}},
            "logging",
            Verdict.WARNING,
        ),
        ({"Timeout": 3}, "timeout", Verdict.WARNING),
        ({"Environment": {}}, "SINGLETON_TABLE", Verdict.WARNING),
        (
            {"Environment": {"Variables": {"SINGLETON_DISABLED": "true"}}},
            "SINGLETON_TABLE",
            Verdict.PROBLEM,
        ),
        ({"Runtime": "nodejs22.x"}, "runtime", Verdict.UNKNOWN),
    ],
)
def test_settings_of_a_function(
    aws: Stubbed, settings: dict[str, Any], check: str, verdict: Verdict
) -> None:
    assert function_found(aws, **settings)[check] is verdict


def test_durations_that_nobody_can_tell(aws: Stubbed) -> None:
    assert function_found(aws)["durations"] is Verdict.UNKNOWN
    assert function_found(aws, records=None)["durations"] is Verdict.UNKNOWN
    # A lease of another function says nothing about this one.
    store = MemoryStore()
    store.execute(acquire("other", "me"), timeout=1)
    assert function_found(aws, records=list(store.records()))["durations"] is Verdict.UNKNOWN


def test_a_function_that_one_may_not_look_at(aws: Stubbed) -> None:
    aws.refuses("lambda", "get_function_configuration", "AccessDeniedException")
    found = by_check(function_checks(aws.clients["lambda"], "job", "leases", []))
    assert found == {"job: function": Verdict.UNKNOWN}


def test_nobody_answers() -> None:
    def call(**arguments: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    with pytest.raises(LeaseStoreError, match="could not be asked"):
        ask(call, TableName=ANY)
