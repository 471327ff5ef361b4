"""Replies that make no sense: a `LeaseError` and nothing else, and never somebody else's lease."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_singleton import DynamoDBStore, LeaseConfigError, LeaseError, LeaseStoreError
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Acquire, Release, Renew
from lambda_singleton._protocol.record import HOLDER_FACTS, LONGEST_FACT
from lambda_singleton._protocol.store import Reply
from proof.answers import Answer, Server

NOW = 1_800_000_000_000
ROW: dict[str, Any] = {
    "id": {"S": "x"},
    "token": {"N": "5"},
    "owner": {"S": "me"},
    "expires_at_ms": {"N": f"{NOW + 30_000}"},
    "duration_ms": {"N": "30000"},
    "holder": {"M": {"function": {"S": "f"}, "acquired_at": {"S": "2027-01-15T08:00:00Z"}}},
    "last_run": {"M": {"ended": {"S": "2027-01-15T08:00:00Z"}}},
    "taken_from": {"S": "me"},
    "tickets": {"N": "1"},
    "served": {"N": "1"},
}
ACQUIRE = Acquire("x", "me", {"function": "f"}, NOW, NOW + 30_000, 30_000, 1000)
DATE = {"date": "Fri, 15 Jan 2027 08:00:00 GMT"}
APPLIED = json.dumps({"Attributes": ROW}).encode()
REFUSED = json.dumps(
    {"__type": "x#ConditionalCheckFailedException", "message": "m", "Item": ROW}
).encode()


@pytest.fixture
def server() -> Server:
    return Server(Answer(200, DATE, APPLIED))


@pytest.fixture
def store(server: Server) -> DynamoDBStore:
    return DynamoDBStore("leases", client=server.client)


def execute(store: DynamoDBStore, operation: Operation = ACQUIRE) -> Reply | LeaseError:
    try:
        return store.execute(operation, timeout=600)
    except LeaseError as error:
        return error


def without_each_member(value: Any) -> Iterator[Any]:
    """Yield the value with one member after the other null, or of another type."""
    for key in value if isinstance(value, dict) else ():
        for odd in (None, 5, [], "", {}, [None], {"S": None}, {"M": None}, {"M": {"function": 5}}):
            yield {**value, key: odd}
        for inner in without_each_member(value[key]):
            yield {**value, key: inner}


def test_the_answers_that_others_are_made_of(server: Server, store: DynamoDBStore) -> None:
    applied = execute(store)
    assert isinstance(applied, Reply)
    assert applied.applied
    server.answer = Answer(400, DATE, REFUSED)
    refused = execute(store)
    assert isinstance(refused, Reply)
    assert (refused.applied, refused.record) == (False, applied.record)


@pytest.mark.parametrize(("status", "body"), [(200, APPLIED), (400, REFUSED)])
def test_cut_at_every_byte(server: Server, store: DynamoDBStore, status: int, body: bytes) -> None:
    for length in range(len(body)):
        server.answer = Answer(status, DATE, body[:length])
        assert isinstance(execute(store), LeaseError), body[:length]


@pytest.mark.parametrize(("status", "body"), [(200, APPLIED), (400, REFUSED)])
def test_every_member_of_another_kind(
    server: Server, store: DynamoDBStore, status: int, body: bytes
) -> None:
    tried = list(without_each_member(json.loads(body)))
    assert len(tried) > 200
    for odd in tried:
        server.answer = Answer(status, DATE, json.dumps(odd).encode())
        reply = execute(store)
        if isinstance(reply, Reply) and reply.applied:
            assert reply.record is not None
            assert (reply.record.name, reply.record.owner) == ("x", "me"), odd
        for operation in (Renew("x", "me", NOW), Release("x", "me", NOW, None, {})):
            execute(store, operation)


GOOD = APPLIED.decode()


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"x"',
        b"5",
        b"\xff",
        b"<html>",
        GOOD.replace('"f"', '"é"').encode("latin-1"),
        GOOD.encode("utf-16"),
        gzip.compress(APPLIED),
        b'{"Attributes":' + b"[" * 100_000,
        b'{"Attributes":' + b'{"id":' * 100_000,
        b'{"Attributes": {"id": {"S": ' + b"9" * 5000 + b"}}}",
        b"[" * 10_000_000,
        b'{"code": {}}',
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_what_is_no_answer_may_have_been_applied(
    server: Server, store: DynamoDBStore, status: int, body: bytes
) -> None:
    server.answer = Answer(status, DATE, body)
    error = execute(store)
    assert isinstance(error, LeaseStoreError)
    assert len(str(error)) < 2000


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2025 00:00:00 +99999999999999",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Tue, 25 Nov 99999999999999999999 08:00:00 GMT",
        "\x00",
        "5" * 100_000,
        "",
    ],
)
def test_a_date_of_any_kind(server: Server, store: DynamoDBStore, date: str) -> None:
    server.answer = Answer(200, {"date": date}, APPLIED)
    assert isinstance(execute(store), Reply)


def test_the_row_of_another_lease_is_nobodys_answer(server: Server, store: DynamoDBStore) -> None:
    other = json.dumps(json.loads(REFUSED) | {"Item": ROW | {"id": {"S": "y"}}})
    server.answer = Answer(400, DATE, other.encode())
    error = execute(store)
    assert isinstance(error, LeaseStoreError)
    assert "not this request's" in str(error)


def test_a_refusal_of_ten_megabytes_is_a_short_error(server: Server, store: DynamoDBStore) -> None:
    said = {"__type": "x#ValidationException", "message": "no\n" * 3_000_000}
    server.answer = Answer(400, DATE, json.dumps(said).encode())
    error = execute(store)
    assert isinstance(error, LeaseConfigError)
    assert len(str(error)) < 2000
    assert str(error).isprintable()
    assert error.__cause__ is None, "a traceback would tell all of it"


def test_a_refusal_that_repeats_a_credential(
    server: Server, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "IQoJb3JpZ2luX2VjEXAMPLE" * 20
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    for echoed in (token, f"http://me:{token}@example"):
        said = {"__type": "x#UnrecognizedClientException", "message": f"not valid: {echoed}"}
        server.answer = Answer(400, DATE, json.dumps(said).encode())
        error = execute(store)
        assert isinstance(error, LeaseConfigError)
        assert "[secret]" in str(error)
        assert "EXAMPLE" not in str(error)
        assert error.__cause__ is None


def test_of_a_holder_only_what_is_known_is_read_and_a_little_of_it(
    server: Server, store: DynamoDBStore
) -> None:
    endless = {"S": "x" * 300_000}
    holder = {"M": dict.fromkeys((*HOLDER_FACTS, "note", "x" * 10_000), endless)}
    row = ROW | {"holder": holder, "last_run": holder | {"M": {"outcome": endless, "y": endless}}}
    server.answer = Answer(400, DATE, json.dumps(json.loads(REFUSED) | {"Item": row}).encode())
    reply = execute(store)
    assert isinstance(reply, Reply)
    assert reply.record is not None
    assert reply.record.holder == dict.fromkeys(HOLDER_FACTS, "x" * LONGEST_FACT)
    assert reply.record.last_run == {"outcome": "x" * LONGEST_FACT}


@pytest.mark.parametrize("attribute", ["owner", "taken_from"])
def test_an_owner_that_nobody_would_choose_is_no_leases(
    server: Server, store: DynamoDBStore, attribute: str
) -> None:
    for text, is_a_leases in (("o" * 255, True), ("o" * 256, False)):
        row = ROW | {attribute: {"S": text}}
        server.answer = Answer(400, DATE, json.dumps(json.loads(REFUSED) | {"Item": row}).encode())
        assert isinstance(execute(store), Reply) is is_a_leases


def test_rows_of_any_kind_in_a_scan(server: Server, store: DynamoDBStore) -> None:
    for odd in without_each_member({"Items": [], "Item": ROW}):
        body = {"Items": [ROW, odd.get("Item")]}
        server.answer = Answer(200, DATE, json.dumps(body).encode())
        try:
            records = list(store.records())
        except LeaseError:
            continue
        assert records[0].name == "x"
