"""Where the leases are that somebody looks at."""

from __future__ import annotations

from lambda_singleton._protocol.store import LeaseStore
from lambda_singleton._stores.dynamodb import DynamoDBStore

from .terminal_text import terminal_text


def table(store: LeaseStore) -> str:
    """Return `table leases`, or whatever another store says of itself."""
    if isinstance(store, DynamoDBStore):
        return f"table {terminal_text(store.table_name)}"
    return terminal_text(repr(store))
