"""pytest fixtures for tests of handlers and locks. They load themselves nowhere.

In a `conftest.py`: `pytest_plugins = ["lambda_singleton_testkit.fixtures"]`, or import those that
you want.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lambda_singleton import LeaseStore, MemoryStore
from lambda_singleton.testing import FakeClock, FakeContext, use_store

__all__ = ["lambda_context", "lease_clock", "lease_store"]


@pytest.fixture
def lease_clock() -> FakeClock:
    """A clock that stands until the test turns it."""
    return FakeClock()


@pytest.fixture
def lease_store(lease_clock: FakeClock) -> Iterator[LeaseStore]:
    """A store in memory under every handler and lock, with `lease_clock` as its clock."""
    with use_store(MemoryStore(clock=lease_clock)) as store:
        yield store


@pytest.fixture
def lambda_context(lease_clock: FakeClock) -> FakeContext:
    """The context of an invocation that has 60 seconds left, by `lease_clock`."""
    return FakeContext(clock=lease_clock)
