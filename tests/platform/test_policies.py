"""The samples' policies allow what they really do: nothing less, nothing more."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lambda_singleton import DynamoDBStore
from local_lambda import Engine, Function
from proof.proxy import Proxy

from .test_samples import event

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"} and so on."""


def short_form(loader: Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {tag: value}


Loader.add_multi_constructor("!", short_form)

RESOURCES: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)["Resources"]  # noqa: S506
FUNCTIONS = {
    resource["Properties"]["Handler"].partition(".")[0]: resource["Properties"]
    for resource in RESOURCES.values()
    if resource["Type"] == "AWS::Serverless::Function"
}

Grant = tuple[str, str, str]


def granted(properties: dict[str, Any]) -> set[Grant]:
    """Each action that is allowed, with its table and the pattern of its keys."""
    grants: set[Grant] = set()
    for policy in properties["Policies"]:
        for statement in policy.get("Statement", []):
            assert statement["Effect"] == "Allow"
            actions = statement["Action"]
            table = statement["Resource"]["GetAtt"].partition(".")[0]
            keys = ["*"]
            for operator in statement.get("Condition", {}).values():
                keys = operator["dynamodb:LeadingKeys"]
            for action in [actions] if isinstance(actions, str) else actions:
                grants |= {(action, table, key) for key in keys}
    return grants


@pytest.mark.parametrize("sample", sorted(FUNCTIONS))
def test_a_sample_may_do_what_it_does_and_no_more(sample: str, engine: Engine, name: str) -> None:
    leases, accounts = f"{name}-leases", f"{name}-accounts"
    DynamoDBStore(leases).create_table()
    DynamoDBStore(accounts).create_table()
    with Proxy(engine.endpoint) as proxy:
        variables = {
            **engine.environment,
            "AWS_ENDPOINT_URL": proxy.endpoint,
            "SINGLETON_TABLE": leases,
            "ACCOUNTS_TABLE": accounts,
            "WORK_SECONDS": "1.2",
            # Short, so that a renewal is among the calls.
            "LEASE_SECONDS": "2",
        }
        with Function(f"{sample}.handler", variables=variables, timeout=60) as function:
            assert function.invoke(event(sample)).error_type is None
    logical = {leases: "LeaseTable", accounts: "AccountsTable"}
    called = {
        (
            f"dynamodb:{request.action}",
            logical[request.body["TableName"]],
            request.body["Key"]["id"]["S"],
        )
        for request in proxy.requests
    }
    assert len(proxy.requests) >= 3, "acquire, renew, release"
    allowed = granted(FUNCTIONS[sample])
    for action, table, key in called:
        assert any(
            (action, table) == grant[:2] and fnmatch.fnmatchcase(key, grant[2]) for grant in allowed
        ), f"{action} of {key} in {table} is missing"
    for grant in allowed:
        assert any(
            (action, table) == grant[:2] and fnmatch.fnmatchcase(key, grant[2])
            for action, table, key in called
        ), f"{grant} is not needed"


def test_the_table_has_its_ttl() -> None:
    # The engine's own deployments leave it out.
    properties = RESOURCES["LeaseTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


def test_the_native_state_machine_only_updates_its_own_lease() -> None:
    properties = RESOURCES["ReindexNatively"]["Properties"]
    tasks = [s for s in properties["Definition"]["States"].values() if s["Type"] == "Task"]
    assert {task["Resource"] for task in tasks} == {"arn:aws:states:::dynamodb:updateItem"}
    assert {json.dumps(task["Arguments"]["Key"]) for task in tasks} == {'{"id": {"S": "reindex"}}'}
    assert granted(properties) == {("dynamodb:UpdateItem", "LeaseTable", "reindex")}


def test_the_native_state_machine_takes_the_lease_by_the_librarys_own_condition() -> None:
    from ..fakes import acquire

    states = RESOURCES["ReindexNatively"]["Properties"]["Definition"]["States"]
    arguments = states["TakeLease"]["Arguments"]
    assert arguments["ConditionExpression"] == acquire("x", "me").condition
    assert arguments["UpdateExpression"] == acquire("x", "me").update
    names = arguments["ExpressionAttributeNames"]
    assert names == {f"#{name}": name for name in names.values()}
