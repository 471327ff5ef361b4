from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lambda_singleton import DynamoDBStore, LeaseConfigError, MemoryStore
from local_lambda import Engine

from .fakes import FakeClock

# The engine of the whole session; without one the tests refuse to start. Everything that boto3
# needs is pinned before anything can ask for it, so that no test reaches for the real AWS.
_engine = Engine()


class PinnedSession(boto3.Session):
    """Does for an old boto3 what AWS_ENDPOINT_URL does since 1.28."""

    def client(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["endpoint_url"] = kwargs.get("endpoint_url") or os.environ["AWS_ENDPOINT_URL"]
        return super().client(*args, **kwargs)


#: What takes half a minute or more, the longest first: one file is run by one worker, and the last
#: one to begin would be waited for.
LONG = (
    *(
        "platform/test_borrowed_stack.py",
        "platform/test_stack.py",
        "platform/test_durable_lease.py",
    ),
    *("proving/test_cuts.py", "proving/test_simulation.py", "proving/test_soak.py"),
    *("platform/test_isolation.py", "platform/test_demo.py", "proving/test_callers.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = [f"tests/{name}" for name in LONG]
    begins = {file: number for number, file in enumerate(files)}
    items.sort(key=lambda item: begins.get(item.nodeid.partition("::")[0], len(files)))


def pytest_sessionstart() -> None:
    _engine.__enter__()
    _engine.pin()
    session = boto3.Session()
    if "ignore_configured_endpoint_urls" not in Config.OPTION_DEFAULTS:
        session = boto3.DEFAULT_SESSION = PinnedSession()
    _engine.check(session.client("dynamodb"))
    for name in [name for name in os.environ if name.startswith("SINGLETON_")]:
        del os.environ[name]


def pytest_sessionfinish() -> None:
    _engine.__exit__(None, None, None)


def pytest_report_header() -> str:
    return f"DynamoDB engine: {_engine.endpoint}"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return _engine


@pytest.fixture(scope="session")
def whole_engine() -> Iterator[Engine]:
    """An engine with all of AWS's services that it knows, not only with DynamoDB."""
    with Engine(stack=True) as engine:
        yield engine


@pytest.fixture(scope="session")
def table(engine: Engine) -> str:
    """A table of leases on the real engine, for the whole session."""
    name = f"leases-{uuid.uuid4().hex[:8]}"
    try:
        DynamoDBStore(name).create_table()
    except LeaseConfigError as error:
        # Some engines know no TTL: the table is there, and nothing but a garbage collector is not.
        if "UnknownOperation" not in str(error):
            raise
    return name


@pytest.fixture(scope="session")
def shows_refusals(table: str) -> bool:
    """Whether the engine returns the row that a condition failed on."""
    key = {"id": {"S": "shown"}}
    client = boto3.client("dynamodb")
    client.put_item(TableName=table, Item=key)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refusal:
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET a = id",
            ConditionExpression="attribute_not_exists(id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    client.delete_item(TableName=table, Key=key)
    return "Item" in refusal.value.response


@pytest.fixture(scope="session")
def dynamodb(table: str) -> DynamoDBStore:
    return DynamoDBStore(table)


@pytest.fixture
def name() -> str:
    """A lease that no other test uses."""
    return f"lease-{uuid.uuid4().hex}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause is as long as it can be."""
    for module in ("_backoff", "_holding.renewal"):
        monkeypatch.setattr(f"lambda_singleton.{module}.uniform", lambda a, b: b)


@pytest.fixture
def memory(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def lambda_variables(engine: Engine, table: str) -> dict[str, str]:
    return {**engine.environment, "SINGLETON_TABLE": table}
