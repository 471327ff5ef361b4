"""The answer about a lease that nobody ever took."""

from __future__ import annotations

import sys

from lambda_singleton._protocol.store import LeaseStore

from ..place import table
from ..terminal_text import quoted

#: The exit code.
MISSING = 3


def missing(name: str, store: LeaseStore) -> int:
    """Say so, and return the exit code."""
    print(
        f"lambda-singleton: there is no lease {quoted(name)} in {table(store)}: nobody has"
        " taken it yet, or its row is past its retention",
        file=sys.stderr,
    )
    return MISSING
