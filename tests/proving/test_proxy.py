"""Every fault of the proxy does to a request what its name says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)

from local_lambda import Engine
from proof.proxy import Fault, Kind, Proxy


@pytest.fixture
def proxy(engine: Engine) -> Iterator[Proxy]:
    with Proxy(engine.endpoint) as proxy:
        yield proxy


class Counter:
    """A number in the table that one request raises by one."""

    def __init__(self, proxy: Proxy, table: str, name: str) -> None:
        self._key: dict[str, Any] = {"TableName": table, "Key": {"id": {"S": name}}}
        retries: Any = {"mode": "standard", "total_max_attempts": 1}
        config = Config(read_timeout=0.5, retries=retries)
        self._client = boto3.client("dynamodb", endpoint_url=proxy.endpoint, config=config)
        self._direct = boto3.client("dynamodb")

    def add(self, at_most: int = 1000) -> None:
        self._client.update_item(
            **self._key,
            ReturnValues="ALL_NEW",
            UpdateExpression="ADD #n :one",
            ConditionExpression="attribute_not_exists(#id) OR #n < :most",
            ExpressionAttributeNames={"#id": "id", "#n": "n"},
            ExpressionAttributeValues={":one": {"N": "1"}, ":most": {"N": str(at_most)}},
        )

    @property
    def value(self) -> int:
        item = self._direct.get_item(**self._key).get("Item", {"n": {"N": "0"}})
        return int(item["n"]["N"])

    def wait_for(self, value: int) -> None:
        give_up_at = time.monotonic() + 10
        while self.value != value:
            assert time.monotonic() < give_up_at, f"still {self.value}"
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "error", "at_once", "later"),
    [
        ("throttled", ClientError, 0, 0),
        ("error 500", ClientError, 0, 0),
        ("reset", ConnectionClosedError, 0, 0),
        ("black hole", ReadTimeoutError, 0, 0),
        ("reply lost", ConnectionClosedError, 1, 1),
        # boto3 notices nothing, and returns a reply without its contents.
        ("reply cut", None, 1, 1),
        ("applied late", ReadTimeoutError, 0, 1),
        ("slow", None, 1, 1),
        ("applied twice", None, 1, 2),
    ],
)
def test_a_fault(
    proxy: Proxy,
    table: str,
    name: str,
    kind: Kind,
    error: type[Exception] | None,
    at_once: int,
    later: int,
) -> None:
    counter = Counter(proxy, table, name)
    proxy.fault = lambda request: Fault(kind, 0.7 if later > at_once else 0.1)
    if error is None:
        counter.add()
    else:
        with pytest.raises(error):
            counter.add()
    assert counter.value == at_once
    counter.wait_for(later)
    assert proxy.faults == {kind: 1}


def test_without_one_it_is_not_noticed(proxy: Proxy, table: str, name: str) -> None:
    counter = Counter(proxy, table, name)
    for _ in range(20):
        counter.add()
    assert counter.value == 20
    assert [request.action for request in proxy.requests] == ["UpdateItem"] * 20
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        counter.add(at_most=20)


def test_a_condition_can_be_ignored(proxy: Proxy, table: str, name: str) -> None:
    counter = Counter(proxy, table, name)
    counter.add()
    proxy.fault = lambda request: Fault("condition ignored")
    counter.add(at_most=0)
    assert counter.value == 2
