"""What a store of your own is written with.

A store keeps one row for each lease and applies operations to it, one at a time:

    class MyStore:
        clock, clock_skew, kill_grace = time, 1.0, 2.0

        def execute(self, operation: Operation, *, timeout: float) -> Reply:
            with my_transaction(operation.name) as row:
                if not operation.allows(row.record):
                    return Reply(applied=False, record=row.record)
                row.record = operation.apply(row.record)
                return Reply(applied=True, record=row.record)

        def force_release(self, name: str) -> LeaseRecord:
            return force_release(self, name)

`LeaseStore` says what the other methods do. A database with conditional writes may evaluate the
same rules itself, as DynamoDB does with `operation.condition` and `operation.update`:
`docs/wire-protocol.md` specifies both, and `examples/sqlite_store` is a whole store.
`lambda_singleton_testkit.StoreContract` are its tests.
"""

from ._clock import Clock
from ._protocol.borrowing import Borrow, CheckpointLoan, GiveBack, RenewLoan
from ._protocol.coalesce import LaterSuccess, Success
from ._protocol.execution import Keep, Return
from ._protocol.loan import Loan
from ._protocol.operation import Operation
from ._protocol.operations import Acquire, ForceRelease, Release, Renew, TakeTicket
from ._protocol.parking import Claim, Park
from ._protocol.progress import Advance, Checkpoint
from ._protocol.record import LeaseRecord, Progress
from ._protocol.redo import Redo
from ._protocol.store import LeaseStore, Reply
from ._stores.force_release import force_release

__all__ = [
    "Acquire",
    "Advance",
    "Borrow",
    "Checkpoint",
    "CheckpointLoan",
    "Claim",
    "Clock",
    "ForceRelease",
    "GiveBack",
    "Keep",
    "LaterSuccess",
    "LeaseRecord",
    "LeaseStore",
    "Loan",
    "Operation",
    "Park",
    "Progress",
    "Redo",
    "Release",
    "Renew",
    "RenewLoan",
    "Reply",
    "Return",
    "Success",
    "TakeTicket",
    "force_release",
]
