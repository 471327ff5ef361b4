"""The samples' policies allow what they really do: nothing less, nothing more."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest

from lambda_singleton import DynamoDBStore
from local_lambda import Engine, Function
from proof.proxy import Proxy

from .cloudformation import ROOT, load, parse, resources_of, statements, translated
from .state_machine import natively
from .test_samples import event

TEMPLATE = load(ROOT / "template.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
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
            table = statement["Resource"]["Fn::GetAtt"][0]
            keys = ["*"]
            for operator, condition in statement.get("Condition", {}).items():
                if operator != "Null":
                    keys = condition["dynamodb:LeadingKeys"]
            for action in [actions] if isinstance(actions, str) else actions:
                grants |= {(action, table, key) for key in keys}
    return grants


def asked(action: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a request does: of a transaction, each of its parts, as IAM sees it."""
    if action != "TransactWriteItems":
        return [(action, body)]
    parts = [part for item in body["TransactItems"] for part in item.items()]
    return [(f"{kind}Item", part) for kind, part in parts]


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
            "PAGES_TABLE": accounts,
            "DOCUMENTS_TABLE": accounts,
            "WORK_SECONDS": "1.2",
            # Short, so that a renewal is among the calls.
            "LEASE_SECONDS": "2",
        }
        with Function(f"{sample}.handler", variables=variables, timeout=60) as function:
            assert function.invoke(event(sample)).error_type is None
    logical = {leases: "LeaseTable", accounts: "AccountsTable"}
    called = {
        (f"dynamodb:{action}", logical[body["TableName"]], body["Key"]["id"]["S"])
        for request in proxy.requests
        for action, body in asked(request.action, request.body)
    }
    assert len(proxy.requests) >= 3, "acquire, renew, release"
    allowed = granted(FUNCTIONS[sample])
    for action, table, key in called:
        assert any(
            (action, table) == grant[:2] and fnmatch.fnmatchcase(key, grant[2]) for grant in allowed
        ), f"{action} of {key} in {table} is missing"
    for grant in allowed:
        looks = grant[:2] == ("dynamodb:GetItem", "LeaseTable")
        if looks and sample in ("many_pages", "search_index"):
            # After a lost reply it looks whether a transaction was applied; who waits looks, too.
            continue
        assert any(
            (action, table) == grant[:2] and fnmatch.fnmatchcase(key, grant[2])
            for action, table, key in called
        ), f"{grant} is not needed"


def test_the_table_has_its_ttl() -> None:
    # The engine's own deployments leave it out.
    properties = RESOURCES["LeaseTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


def test_the_native_state_machine_may_do_what_it_does_and_no_more() -> None:
    tasks = [state for state in natively()["States"].values() if state["Type"] == "Task"]
    called = {
        (
            task["Resource"]
            .replace("arn:aws:states:::dynamodb:u", "dynamodb:U")
            .replace("arn:aws:states:::dynamodb:g", "dynamodb:G"),
            "LeaseTable",
            task["Arguments"]["Key"]["id"]["S"],
        )
        for task in tasks
    }
    assert called == granted(RESOURCES["ReindexNatively"]["Properties"])


@pytest.mark.parametrize("template", [TEMPLATE, load(ROOT / "serverlessrepo" / "template.yaml")])
def test_the_leases_table_has_its_ttl(template: dict[str, Any]) -> None:
    # The engine's own deployments leave it out.
    properties = template["Resources"]["LeaseTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


LEADING_KEYS = "dynamodb:LeadingKeys"


def documents() -> dict[str, list[dict[str, Any]]]:
    """The statements of each place that shows a policy with LeadingKeys, as dictionaries."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    deployment = [
        statement
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        for statement in of_functions(parse(block))
    ]
    recipes = (ROOT / "examples" / "recipes").glob("*.yaml")
    return {
        "docs/deploy.md": deployment,
        "template.yaml": of_functions(TEMPLATE),
        **{f"examples/recipes/{path.name}": of_functions(load(path)) for path in recipes},
    }


def of_functions(template: Any) -> list[dict[str, Any]]:
    """The statements of a template's functions and state machines that are about leases."""
    return [
        statement
        for resource in template.get("Resources", {}).values()
        for policy in resource.get("Properties", {}).get("Policies", [])
        if isinstance(policy, dict)
        for statement in policy.get("Statement", [])
        if "Condition" in statement
    ]


# ForAllValues is true for a request that names no key: a Scan, as soon as somebody allows it.
@pytest.mark.parametrize("place", sorted(documents()))
def test_a_policy_for_one_lease_refuses_requests_without_a_key(place: str) -> None:
    statements = documents()[place]
    assert statements
    for statement in statements:
        operators = statement["Condition"]
        assert any(LEADING_KEYS in condition for condition in operators.values())
        assert operators["Null"] == {LEADING_KEYS: "false"}, statement


def test_with_a_key_of_ones_own_everybody_with_leases_may_use_it_through_dynamodb_only() -> None:
    expanded = translated(ROOT / "template.yaml", EncryptionKeyArn="arn:aws:kms:a-key")
    roles = resources_of(expanded, "AWS::IAM::Role")
    with_leases = {
        name for name, role in roles.items() if "dynamodb:" in json.dumps(role.get("Policies", []))
    }
    own_key = {"Fn::If": ["HasOwnKey", {"Ref": "LeaseKeyPolicy"}, {"Ref": "AWS::NoValue"}]}
    assert len(with_leases) == 9
    assert {
        name for name, role in roles.items() if own_key in role.get("ManagedPolicyArns", [])
    } == with_leases
    for policy in ("LeaseKeyPolicy", "LeaseHolderPolicy"):
        document = expanded["Resources"][policy]["Properties"]["PolicyDocument"]
        assert {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": {"Ref": "EncryptionKeyArn"},
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": {"Fn::Sub": "dynamodb.${AWS::Region}.${AWS::URLSuffix}"}
                }
            },
        } in list(statements(document))
