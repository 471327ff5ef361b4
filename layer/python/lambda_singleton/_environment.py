"""What the environment decides: which store is used, and whether leases are used at all."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._errors import LeaseConfigError, LeasesDisabledWarning
from ._protocol.store import LeaseStore
from ._stores.dynamodb import DynamoDBStore
from ._stores.memory import MemoryStore
from ._switch import DISABLED, is_on

# One for the process. It reads the environment, and makes its client, with the first request.
_default_store = DynamoDBStore()

# What a test has put in the place of all stores.
_stand_in: LeaseStore | None = None

_store_types: set[type] = set()

_PACKAGE = __name__.partition(".")[0]


class _NobodysStore(MemoryStore):
    # What it would remember of a transaction's effects, nobody would apply.
    transact = None  # type: ignore[assignment]


def is_disabled() -> bool:
    """Read `SINGLETON_DISABLED`, and warn whoever wanted a lease when it is on."""
    disabled = is_on(DISABLED)
    if disabled:
        warnings.warn(
            f"{DISABLED} is on: handlers run without a lease, several at a time",
            LeasesDisabledWarning,
            stacklevel=_level_of_caller(),
        )
    return disabled


def _level_of_caller() -> int:
    level, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    return level


def disabled_store() -> LeaseStore:
    """Return a store that nobody else knows: every lease in it is free."""
    return _NobodysStore()


def store_or_default(store: LeaseStore | None) -> Callable[[], LeaseStore]:
    """Return what gets the store when it is first needed."""
    chosen = _default_store if store is None else check_store(store)
    return lambda: chosen if _stand_in is None else _stand_in


def check_store(store: LeaseStore) -> LeaseStore:
    """Return the store; raise `LeaseConfigError` if it is none."""
    # A look for all that the protocol asks for takes as long as the rest of a lock's making.
    if type(store) not in _store_types:
        if not isinstance(store, LeaseStore):
            raise LeaseConfigError(
                f"store must be a LeaseStore such as DynamoDBStore(), not {store!r}"
            )
        _store_types.add(type(store))
    return store


@contextmanager
def stand_in(store: LeaseStore) -> Iterator[None]:
    """Have every handler and lock of this process use that store meanwhile."""
    global _stand_in  # noqa: PLW0603
    before, _stand_in = _stand_in, check_store(store)
    try:
        yield
    finally:
        _stand_in = before


def current_stand_in() -> LeaseStore | None:
    """Return the store that stands for all others; None if none does."""
    return _stand_in
