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


def test_it_takes_the_lease_itself() -> None:
    lease = Lock("x", 30, store=MemoryStore()).acquire()
    assert fenced(lease, Item={"id": "a"}) == fenced(lease.token, Item={"id": "a"})


def test_the_callers_own_request_is_not_changed() -> None:
    request: dict[str, Any] = {"Item": {"id": "a"}, "ExpressionAttributeValues": {":a": 1}}
    before = repr(request)
    fenced(1, **request)
    assert repr(request) == before


@pytest.mark.parametrize(
    ("token", "request_"),
    [
        ("7", {"Item": {}}),
        (True, {"Item": {}}),
        (None, {"Item": {}}),
        (7, {}),
        (7, {"Item": {}, "ConditionExpression": Attr("a").exists()}),
    ],
)
def test_misuse_is_told(token: Any, request_: dict[str, Any]) -> None:
    with pytest.raises(LeaseConfigError, match="fenced"):
        fenced(token, **request_)
