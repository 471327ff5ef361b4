"""Guarded writes on a real engine: an old token is refused, in every form of request."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

from lambda_singleton import DynamoDBStore, LeaseConfigError, Lock, MemoryStore, fenced
from local_lambda import Engine


@pytest.fixture(scope="session")
def guarded(engine: Engine) -> str:
    name = f"guarded-{uuid.uuid4().hex[:8]}"
    # Any table with the key `id` can be guarded.
    DynamoDBStore(name).create_table()
    return name


@pytest.fixture
def client(guarded: str) -> Any:
    return boto3.client("dynamodb")


@pytest.fixture
def resource(guarded: str) -> Any:
    return boto3.resource("dynamodb").Table(guarded)


Write = Callable[[int], object]


@pytest.fixture(
    params=["put resource", "put client", "update resource", "update client", "transaction"]
)
def write(
    request: pytest.FixtureRequest, client: Any, resource: Any, guarded: str, name: str
) -> Write:
    """A write of the item `name` with a token, in one of the forms that boto3 knows."""
    low = {"TableName": guarded}
    key = {"id": {"S": name}}
    set_low: dict[str, Any] = {
        "UpdateExpression": "SET a = :a",
        "ExpressionAttributeValues": {":a": {"S": "x"}},
    }
    writes: dict[str, Write] = {
        "put resource": lambda token: resource.put_item(**fenced(token, Item={"id": name})),
        "put client": lambda token: client.put_item(**fenced(token, **low, Item=key)),
        "update resource": lambda token: resource.update_item(
            **fenced(
                token,
                Key={"id": name},
                UpdateExpression="REMOVE b SET a = :a",
                ExpressionAttributeValues={":a": "x"},
            )
        ),
        "update client": lambda token: client.update_item(
            **fenced(token, **low, Key=key, **set_low)
        ),
        "transaction": lambda token: client.transact_write_items(
            TransactItems=[{"Update": fenced(token, **low, Key=key, **set_low)}]
        ),
    }
    return writes[request.param]


def test_a_newer_token_writes_and_an_older_one_is_refused(
    write: Write, resource: Any, name: str
) -> None:
    write(7)
    write(7)
    write(9)
    for old in (8, 1):
        with pytest.raises(ClientError, match=r"ConditionalCheckFailed|TransactionCanceled"):
            write(old)
    assert resource.get_item(Key={"id": name})["Item"]["fence"] == 9


def test_a_condition_check_guards_a_whole_transaction(
    client: Any, resource: Any, guarded: str, name: str
) -> None:
    resource.put_item(**fenced(9, Item={"id": name}))

    def transact(token: int) -> None:
        client.transact_write_items(
            TransactItems=[
                {"ConditionCheck": fenced(token, TableName=guarded, Key={"id": {"S": name}})},
                {"Put": {"TableName": guarded, "Item": {"id": {"S": f"{name}-2"}}}},
            ]
        )

    with pytest.raises(ClientError, match="TransactionCanceled"):
        transact(8)
    assert "Item" not in resource.get_item(Key={"id": f"{name}-2"})
    transact(9)
    assert "Item" in resource.get_item(Key={"id": f"{name}-2"})


def test_a_delete_is_guarded(resource: Any, name: str) -> None:
    resource.put_item(**fenced(9, Item={"id": name}))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        resource.delete_item(**fenced(8, Key={"id": name}))
    resource.delete_item(**fenced(9, Key={"id": name}))


def test_conditions_of_ones_own_are_kept(resource: Any, name: str) -> None:
    resource.put_item(**fenced(1, Item={"id": name, "state": "open", "n": 1}))
    request: dict[str, Any] = {
        "Key": {"id": name},
        "UpdateExpression": "ADD n :one",
        "ConditionExpression": "#state = :open OR #state = :new",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":one": 1, ":open": "open", ":new": "new"},
    }
    resource.update_item(**fenced(2, **request))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        resource.update_item(**fenced(1, **request))
    resource.update_item(
        Key={"id": name},
        UpdateExpression="SET #state = :closed",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":closed": "closed"},
    )
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        resource.update_item(**fenced(3, **request))
    item = resource.get_item(Key={"id": name})["Item"]
    assert (item["n"], item["fence"]) == (2, 2)


def test_the_attribute_may_have_another_name(resource: Any, name: str) -> None:
    resource.put_item(**fenced(5, attribute="token", Item={"id": name}))
    assert resource.get_item(Key={"id": name})["Item"] == {"id": name, "token": 5}


def test_fenced_takes_the_lease_itself() -> None:
    lease = Lock("x", 30, store=MemoryStore()).acquire()
    assert fenced(lease, Item={"id": "a"}) == fenced(lease.token, Item={"id": "a"})


def test_the_callers_own_request_is_not_changed() -> None:
    request: dict[str, Any] = {"Item": {"id": "a"}, "ExpressionAttributeValues": {":a": 1}}
    before = repr(request)
    fenced(1, **request)
    assert repr(request) == before


ITEM = {"id": "a"}


@pytest.mark.parametrize("token", ["7", True, None, 7.0, -1, 2**63])
def test_only_a_lease_or_its_token_fences(token: Any) -> None:
    with pytest.raises(LeaseConfigError, match="takes a lease or its token"):
        fenced(token, Item=ITEM)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"Item": {}},
        {"Item": None},
        {"Item": ITEM, "Key": ITEM},
        {"Item": ITEM, "ConditionExpression": Attr("a").exists()},
        {"Key": ITEM, "UpdateExpression": None},
        {"Key": ITEM, "AttributeUpdates": {"a": {"Value": 1, "Action": "PUT"}}},
        {"Item": ITEM, "Expected": {"a": {"Exists": False}}},
        {"Item": ITEM, "ConditionalOperator": "OR"},
        {"Key": ITEM, "ReturnValues": "ALL_NEW"},
        {"Item": ITEM, "ExpressionAttributeNames": {"#lease_fence": "a"}},
        {"Item": ITEM, "ExpressionAttributeValues": {":lease_fence": 99}},
        {"Item": ITEM, "ConditionExpression": "a = :lease_fence"},
        {"Key": ITEM, "UpdateExpression": "SET a = #lease_fence"},
        {"Key": ITEM, "UpdateExpression": "SET fence = :a"},
        {"Key": ITEM, "UpdateExpression": "REMOVE #f", "ExpressionAttributeNames": {"#f": "fence"}},
        {"Key": ITEM, "attribute": "id"},
        {"Item": ITEM, "attribute": "id"},
        {"Item": ITEM, "attribute": ""},
        {
            "Item": ITEM,
            "ExpressionAttributeNames": {"#lease_fence": "fence"},
            "ExpressionAttributeValues": {":lease_fence": 7},
        },
    ],
)
def test_what_cannot_be_guarded_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(LeaseConfigError, match=r"fenced\(\)"):
        fenced(7, **request_)


#: Each talks its way out of the parentheses around it, or is nothing that DynamoDB reads.
UNREADABLE = [
    "a = :x) OR (b = :y",
    "attribute_exists(id)) OR (attribute_exists(id)",
    ") OR (",
    "(a = :x",
    "a = :x)",
    "(a = :x)) OR ((a = :x)",
    "",
    " ",
    "a = :x # (",
    "a = :x -- )",
    "a = :x /* ) */",
    "a = ')'",
    'a = ")"',
    "a\u00a0= :x",
    "é = :x",
    "a = :x; b",
    "a \\) OR (b",
    "a = :x\0",
]


@pytest.mark.parametrize("condition", UNREADABLE)
def test_a_condition_that_is_none_is_refused(condition: str) -> None:
    with pytest.raises(LeaseConfigError, match="cannot read this ConditionExpression"):
        fenced(7, Item=ITEM, ConditionExpression=condition)


@pytest.mark.parametrize(
    "update",
    [
        *UNREADABLE,
        "a = :x",
        "SET a = :x SET b = :x",
        "set a = :x SeT b = :x",
        "SET",
        "REMOVE set SET a = :x",
        "REMOVE a.set",
        "REMOVE a, b,",
        "SET , a = :x",
        "SET a =",
        "SET a = :x) REMOVE (b",
    ],
)
def test_an_update_that_is_none_is_refused(update: str) -> None:
    with pytest.raises(LeaseConfigError, match="cannot read this UpdateExpression"):
        fenced(7, Key=ITEM, UpdateExpression=update)


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        ("a = :x", "(a = :x) AND {}"),
        ("a = :x OR b = :x", "(a = :x OR b = :x) AND {}"),
        # DynamoDB refuses redundant parentheses.
        ("(a = :x OR b = :x)", "(a = :x OR b = :x) AND {}"),
        (" ( a = :x ) ", " ( a = :x )  AND {}"),
        ("(a = :x) OR (b = :x)", "((a = :x) OR (b = :x)) AND {}"),
        ("NOT (a = :x)", "(NOT (a = :x)) AND {}"),
        ("attribute_exists(a)", "(attribute_exists(a)) AND {}"),
    ],
)
def test_a_condition_gets_the_parentheses_that_it_needs(own: str, whole: str) -> None:
    fence = fenced(7, Item=ITEM)["ConditionExpression"]
    guarded = fenced(7, Item=ITEM, ConditionExpression=own)
    assert guarded["ConditionExpression"] == whole.format(fence)


#: Conditions that hold for an item with `a` = 1 and without `b`.
CONDITIONS = [
    "a = :x",
    "(a = :x)",
    "(a = :x OR b = :x)",
    "b = :x OR a = :x",
    "(a = :x) OR (b = :x)",
    "((a = :x) OR (b = :x))",
    "NOT (a <> :x)",
    "NOT b = :x",
    "attribute_exists(a) AND a = :x",
    "attribute_not_exists(b) AND (a = :x OR b = :x)",
    "a IN (:x, :x)",
    "a BETWEEN :x AND :x OR a = :x",
    "size(m.l[0]) > :x OR a=:x",
    "#a\t=\n:x",
    "m . #a = :x Or a >= :x",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_old_tokens_are_refused_beside_every_condition(
    condition: str, client: Any, guarded: str, name: str
) -> None:
    key = {"id": {"S": name}}
    a: dict[str, Any] = {"ExpressionAttributeValues": {":x": {"N": "1"}}}
    if "#a" in condition:
        a["ExpressionAttributeNames"] = {"#a": "a"}
    item = key | {"a": {"N": "1"}}
    client.put_item(**fenced(9, TableName=guarded, Item=item))
    low = {"TableName": guarded, "ConditionExpression": condition, **a}
    for write, more in (
        (client.put_item, {"Item": item}),
        (client.update_item, {"Key": key, "UpdateExpression": "REMOVE b SET c = :x"}),
        (client.update_item, {"Key": key, "UpdateExpression": "ADD n :x"}),
        (client.delete_item, {"Key": key}),
    ):
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            write(**fenced(8, **low, **more))
    client.update_item(**fenced(9, **low, Key=key, UpdateExpression="set c = :x"))
    client.put_item(**fenced(10, **low, Item=item))
    assert client.get_item(TableName=guarded, Key=key)["Item"]["fence"] == {"N": "10"}


def test_a_resources_own_client_takes_the_form_of_its_values(
    resource: Any, guarded: str, name: str
) -> None:
    client = resource.meta.client
    client.put_item(**fenced(9, TableName=guarded, Item={"id": name}))
    assert resource.get_item(Key={"id": name})["Item"]["fence"] == 9
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        client.put_item(**fenced(8, TableName=guarded, Item={"id": name}))


def test_an_item_that_was_read_can_be_written_back(resource: Any, name: str) -> None:
    resource.put_item(**fenced(5, Item={"id": name}))
    item = resource.get_item(Key={"id": name})["Item"]
    resource.put_item(**fenced(6, Item=item))
    assert resource.get_item(Key={"id": name})["Item"]["fence"] == 6


def test_an_attribute_of_that_name_further_in_is_the_callers() -> None:
    request = fenced(7, Key=ITEM, UpdateExpression="SET a.fence = :x")
    assert request["UpdateExpression"] == "SET #lease_fence = :lease_fence, a.fence = :x"
