from __future__ import annotations

import os
import uuid

import pytest

from lambda_singleton import DynamoDBStore, MemoryStore
from local_lambda import Engine

from .fakes import FakeClock

# The engine of the whole session; without one the tests refuse to start. Everything that boto3
# needs is pinned before anything can ask for it, so that no test reaches for the real AWS.
_engine = Engine()


def pytest_sessionstart() -> None:
    _engine.__enter__()
    os.environ.update(_engine.environment)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "SINGLETON_TABLE", "SINGLETON_DISABLED"):
        os.environ.pop(name, None)


def pytest_sessionfinish() -> None:
    _engine.__exit__(None, None, None)


def pytest_report_header() -> str:
    return f"DynamoDB engine: {_engine.endpoint}"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return _engine


@pytest.fixture(scope="session")
def table(engine: Engine) -> str:
    """A table of leases on the real engine, for the whole session."""
    name = f"leases-{uuid.uuid4().hex[:8]}"
    DynamoDBStore(name).create_table()
    return name


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
def memory(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def lambda_variables(engine: Engine, table: str) -> dict[str, str]:
    return {**engine.environment, "SINGLETON_TABLE": table}
