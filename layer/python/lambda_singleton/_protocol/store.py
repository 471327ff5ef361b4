"""Where leases live."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from .._clock import Clock
from .operation import Operation
from .record import LeaseRecord


class Reply(NamedTuple):
    """What one request came back with.

    `applied` tells whether the condition held. `record` is the row after the update (None if the
    operation does not want it) or, when the condition failed, the row that refused it (None if the
    store does not return one).
    `store_time` is what the store's own clock showed, cut off to whole epoch seconds (None if it
    tells none).
    """

    applied: bool
    record: LeaseRecord | None = None
    store_time: float | None = None


@runtime_checkable
class LeaseStore(Protocol):
    """Where leases live. Write your own by making `execute` atomic for each name.

    `clock_skew` is how far, in seconds, two parties' clocks may differ; `kill_grace` how late, in
    seconds, a platform may kill an invocation after its deadline.
    """

    @property
    def clock(self) -> Clock: ...

    @property
    def clock_skew(self) -> float: ...

    @property
    def kill_grace(self) -> float: ...

    def prepare(self, *, timeout: float) -> None:
        """Get ready for requests of that length, so that the first one is as fast as any.

        A lease counts from before its request: what takes long the first time belongs in here.
        """

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        """Send the operation once, as exactly one request.

        Return or raise within `timeout` seconds. Raise `LeaseStoreError` where another try may
        help, also when the request may have been applied, and `LeaseConfigError` where none can.
        """

    def get(self, name: str) -> LeaseRecord | None:
        """Read one row, consistently; None if there is none."""

    def records(self) -> Iterator[LeaseRecord]:
        """Read all rows."""

    def force_release(self, name: str) -> LeaseRecord:
        """Free a lease whoever holds it, and fence the former holder by raising the token."""
