"""The protocol as data is what the package, the engine and another store do."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

import vectors
from lambda_singleton import DynamoDBStore, LeaseRecord, MemoryStore, fenced
from lambda_singleton.stores import (
    Acquire,
    Advance,
    Borrow,
    Checkpoint,
    CheckpointLoan,
    Claim,
    ForceRelease,
    GiveBack,
    Keep,
    LaterSuccess,
    LeaseStore,
    Park,
    Progress,
    Redo,
    Release,
    Renew,
    RenewLoan,
    Return,
    Success,
    TakeTicket,
)
from sqlite_store import SQLiteStore

FILE = json.loads(vectors.FILE.read_text())
OPERATIONS = (
    Acquire,
    Renew,
    Release,
    TakeTicket,
    ForceRelease,
    Redo,
    Checkpoint,
    Advance,
    Claim,
    Park,
    Borrow,
    RenewLoan,
    CheckpointLoan,
    GiveBack,
    Keep,
    Return,
)
KINDS: dict[str, Any] = {kind.__name__: kind for kind in OPERATIONS}

every_vector = pytest.mark.parametrize("vector", FILE["vectors"], ids=lambda each: each["case"])


def operation(vector: dict[str, Any], name: str) -> Any:
    """Read the operation as a client in another language does."""
    given = {**vector["operation"], "name": name}
    kind = KINDS[given.pop("kind")]
    if given.get("seen"):
        seen = given["seen"]
        end = seen["expires_at_ms"]
        given["seen"] = LeaseRecord(
            name, seen["token"], owner=seen["owner"], expires_at=None if end is None else end / 1000
        )
    if given.get("progress"):
        given["progress"] = Progress(**given["progress"])
    if given.get("unless"):
        given["unless"] = LaterSuccess(**given["unless"])
    if given.get("success"):
        given["success"] = Success(**given["success"])
    return kind(**given)


def item(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row in DynamoDB's form."""
    return {name: encoded(value) for name, value in row.items()}


def encoded(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"M": {name: encoded(each) for name, each in value.items()}}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def test_the_file_is_what_the_cases_say_today() -> None:
    assert vectors.FILE.read_text() == vectors.text(), "run: make vectors"


@every_vector
def test_the_package_applies_and_refuses_as_the_vector_says(vector: dict[str, Any]) -> None:
    asked = operation(vector, "job")
    before = None if vector["row"] is None else vectors.record_of(vector["row"])
    assert asked.allows(before) is not vector.get("refused", False)
    if "row_after" in vector:
        assert asked.apply(before) == vectors.record_of(vector["row_after"])


@every_vector
def test_the_engine_applies_and_refuses_the_vectors_own_request(
    vector: dict[str, Any], table: str, name: str
) -> None:
    client = boto3.client("dynamodb")
    key = {"id": {"S": name}}
    before = None if vector["row"] is None else item({**vector["row"], "id": name})
    if before is not None:
        client.put_item(TableName=table, Item=before)
    refused = False
    try:
        client.update_item(TableName=table, Key=key, **vector["request"])
    except client.exceptions.ConditionalCheckFailedException:
        refused = True
    assert refused is vector.get("refused", False)
    after = before if refused else item({**vector["row_after"], "id": name})
    assert client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item") == after


@every_vector
def test_the_dynamodb_store_leaves_the_vectors_row(
    vector: dict[str, Any], dynamodb: DynamoDBStore, table: str, name: str
) -> None:
    client = boto3.client("dynamodb")
    key = {"id": {"S": name}}
    before = None if vector["row"] is None else item({**vector["row"], "id": name})
    if before is not None:
        client.put_item(TableName=table, Item=before)
    reply = dynamodb.execute(operation(vector, name), timeout=2)
    assert reply.applied is not vector.get("refused", False)
    after = item({**vector["row_after"], "id": name}) if reply.applied else before
    assert client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item") == after


@pytest.fixture(params=["memory", "sqlite"])
def other_store(request: pytest.FixtureRequest, tmp_path: Any) -> LeaseStore:
    return MemoryStore() if request.param == "memory" else SQLiteStore(str(tmp_path / "leases.db"))


@every_vector
def test_another_store_applies_and_refuses_as_the_vector_says(
    vector: dict[str, Any], other_store: LeaseStore, name: str
) -> None:
    before = None if vector["row"] is None else vectors.record_of({**vector["row"], "id": name})
    if before is not None:
        other_store.execute(Put(before), timeout=2)  # type: ignore[arg-type]
    reply = other_store.execute(operation(vector, name), timeout=2)
    assert reply.applied is not vector.get("refused", False)
    after = vectors.record_of({**vector["row_after"], "id": name}) if reply.applied else before
    assert other_store.get(name) == after


class Put:
    """An operation that writes any row, to begin with."""

    wants_row = False

    def __init__(self, record: LeaseRecord) -> None:
        self.name = record.name
        self._record = record

    def allows(self, record: LeaseRecord | None) -> bool:
        return True

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        return self._record


@pytest.mark.parametrize("unreadable", FILE["unreadable"], ids=lambda each: each["case"])
def test_a_row_that_is_no_lease_is_refused(unreadable: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^it"):
        vectors.ROWS.decode(unreadable["item"])


def test_readable_rows_are_not_refused() -> None:
    for vector in FILE["vectors"]:
        if vector["row"] is not None:
            assert vectors.ROWS.decode(item(vector["row"])) == vectors.record_of(vector["row"])


def test_the_vectors_hold_every_kind_both_applied_and_refused() -> None:
    seen = {(each["operation"]["kind"], "row_after" in each) for each in FILE["vectors"]}
    assert seen == {(kind, applied) for kind in KINDS for applied in (True, False)}


def test_the_specification_has_the_expressions_that_are_sent() -> None:
    page = (vectors.FILE.parent / "wire-protocol.md").read_text()
    blocks = [
        " ".join(block.split()) for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    ]
    additions = [block for block in blocks if block.startswith(("OR ", "AND ", ","))]
    sent = set()
    for vector in FILE["vectors"]:
        for name in ("ConditionExpression", "UpdateExpression"):
            text = vector["request"][name]
            for addition in additions:
                separator = "" if addition.startswith(",") else " "
                text = text.replace(f"{separator}{addition}", "")
            # What has an order puts the rest into parentheses.
            sent.add(text[1:-1] if text.startswith("(attribute_not_exists(#id)") else text)
    assert sent - set(blocks) == set()
    of_the_fence = fenced(7, Item={"id": "x"})["ConditionExpression"]
    assert set(blocks) - sent - set(additions) == {of_the_fence}
    assert len(additions) == 10
