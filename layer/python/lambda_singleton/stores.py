"""What a store of your own is written with.

A store keeps one row for each lease and applies the operations to it, each one atomically: where
`operation.allows(record)` holds, the row becomes `operation.apply(record)`. A database with
conditional writes may evaluate the same rules itself, as DynamoDB does with `operation.condition`
and `operation.update`. `docs/wire-protocol.md` specifies both.
"""

from ._clock import Clock
from ._protocol.operations import (
    Acquire,
    ForceRelease,
    Operation,
    Release,
    Renew,
    TakeTicket,
)
from ._protocol.record import LeaseRecord
from ._protocol.store import LeaseStore, Reply

__all__ = [
    "Acquire",
    "Clock",
    "ForceRelease",
    "LeaseRecord",
    "LeaseStore",
    "Operation",
    "Release",
    "Renew",
    "Reply",
    "TakeTicket",
]
