"""What requests cost, in DynamoDB's units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from proof.proxy import Request

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
READS = frozenset({"GetItem", "Query"})


class Units(NamedTuple):
    """Units of rows that are smaller than 1 KB, as leases are.

    A conditional write costs its unit also when the condition fails. A consistent read costs one
    unit, any other a half.
    """

    writes: float
    reads: float

    @classmethod
    def of(cls, requests: Iterable[Request]) -> Units:
        """Add up; calls that only describe a table are free."""
        writes = reads = 0.0
        for request in requests:
            if request.action in WRITES:
                writes += 1
            elif request.action in READS:
                reads += 1 if request.body.get("ConsistentRead") else 0.5
        return cls(writes, reads)
