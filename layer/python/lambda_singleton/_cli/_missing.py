"""The answer about a lease that nobody ever took."""

from __future__ import annotations

import sys

from .._store import LeaseStore
from ._printable import printable

#: The exit code.
MISSING = 3


def missing(name: str, store: LeaseStore) -> int:
    """Say so, and return the exit code."""
    print(
        f"lambda-singleton: there is no lease '{printable(name)}' in {store!r}: nobody has taken it"
        " yet, or its row is past its retention",
        file=sys.stderr,
    )
    return MISSING
