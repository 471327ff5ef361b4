"""What is no low-level client, or no name for an attribute, is refused before it is used."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lambda_singleton import DynamoDBStore, LeaseConfigError, Lock

CLIENTS: dict[str, Callable[[], Any]] = {
    "a resource": lambda: boto3.resource("dynamodb"),
    "a resource's client": lambda: boto3.resource("dynamodb").meta.client,
    "a table": lambda: boto3.resource("dynamodb").Table("leases"),
    "another service's client": lambda: boto3.client("sqs"),
    "streams": lambda: boto3.client("dynamodbstreams"),
    "a session": boto3.Session,
    "a name": lambda: "dynamodb",
    "a class": lambda: type(boto3.client("dynamodb")),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_store_takes_a_low_level_client_only(kind: str) -> None:
    with pytest.raises(LeaseConfigError, match="client"):
        DynamoDBStore("leases", client=CLIENTS[kind]())


def test_a_store_works_with_a_low_level_client_that_is_given(table: str, name: str) -> None:
    store = DynamoDBStore(table, client=boto3.client("dynamodb"))
    with Lock(name, 30, store=store) as lease:
        lease.renew()
    record = store.get(name)
    assert record is not None
    assert record.token == lease.token


OF_THE_ROW = [
    "token",
    "owner",
    "expires_at_ms",
    "duration_ms",
    "holder",
    "last_run",
    "taken_from",
    "tickets",
    "served",
]


@pytest.mark.parametrize("parameter", ["key_attr", "ttl_attr"])
@pytest.mark.parametrize("attribute", [*OF_THE_ROW, "", "x" * 256, 7, None])
def test_names_that_the_row_needs_itself(parameter: str, attribute: Any) -> None:
    arguments: Any = {parameter: attribute}
    with pytest.raises(LeaseConfigError, match=parameter):
        DynamoDBStore("leases", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"key_attr": "same", "ttl_attr": "same"},
        {"key_attr": "expiration"},
        {"ttl_attr": "id"},
    ],
)
def test_one_name_for_both(arguments: dict[str, str]) -> None:
    with pytest.raises(LeaseConfigError, match=r"key_attr|ttl_attr"):
        DynamoDBStore("leases", **arguments)  # type: ignore[arg-type,unused-ignore]


@pytest.mark.parametrize(
    ("key_attr", "ttl_attr"),
    [("pk", "ttl"), ("LeaseName", "expires_at"), ("a-b.c", "Token"), ("name", "x y")],
)
def test_any_other_names_of_the_key_and_ttl_attributes_work(
    name: str, key_attr: str, ttl_attr: str
) -> None:
    store = DynamoDBStore(f"leases-{uuid.uuid4().hex}", key_attr=key_attr, ttl_attr=ttl_attr)
    store.create_table()
    with Lock(name, 30, store=store):
        pass
    record = store.get(name)
    assert record is not None
    assert record.owner is None
