"""What the environment decides: which store is used, and whether leases are used at all."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from ._errors import LeaseConfigError
from ._protocol.store import LeaseStore
from ._stores.dynamodb import DynamoDBStore
from ._stores.memory import MemoryStore
from ._switch import DISABLED, is_on

# One for the process. It reads the environment, and makes its client, with the first request.
_default_store = DynamoDBStore()

_store_types: set[type] = set()


def is_disabled() -> bool:
    """Read `SINGLETON_DISABLED`, and warn when it is on."""
    disabled = is_on(DISABLED)
    if disabled:
        warnings.warn(
            f"{DISABLED} is on: handlers run without a lease, several at a time", stacklevel=3
        )
    return disabled


def disabled_store() -> LeaseStore:
    """Return a store that nobody else knows: every lease in it is free."""
    return MemoryStore()


def store_or_default(store: LeaseStore | None) -> Callable[[], LeaseStore]:
    """Return what gets the store when it is first needed."""
    if store is None:
        return lambda: _default_store
    # A look for all that the protocol asks for takes as long as the rest of a lock's making.
    if type(store) not in _store_types:
        if not isinstance(store, LeaseStore):
            raise LeaseConfigError(
                f"store must be a LeaseStore such as DynamoDBStore(), not {store!r}"
            )
        _store_types.add(type(store))
    return lambda: store
