"""The operations of an execution that lends its lease to its tasks.

State machines send them as native DynamoDB calls: they are written down here so that the same tests
hold for them. An execution takes its lease with `Acquire`, and its id is the owner.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .._clock import milliseconds
from .operation import Value
from .record import LeaseRecord

# The execution has it itself, or one of its attempts that is dead: it may have come late to a
# request that nobody waits for any more, and nobody else has had the lease since.
_GOES_ON = (
    "#owner = :owner"
    " OR (attribute_exists(#owner) AND #baton = :owner AND #baton_token = #token"
    " AND #attempt_until_ms <= :dead)"
)


def goes_on(record: LeaseRecord, execution: str, dead: int) -> bool:
    """Say whether the execution's lease is with an attempt that is dead at that time."""
    loan = record.loan
    return (
        record.owner is not None
        and loan is not None
        and loan.execution == execution
        and loan.token == record.token
        and loan.until is not None
        and milliseconds(loan.until) <= dead
    )


class Keep(NamedTuple):
    """Move the expiry on, and take the lease back from an attempt that is dead.

    The expiry rises: with the same one, and another `duration`, it would be the same sight to a
    watcher, who would count what it has seen before.
    """

    name: str
    owner: str
    holder: Mapping[str, str]
    now: int
    expires_at: int
    clock_skew: int

    @property
    def condition(self) -> str:
        return f"#expires_at_ms < :expires_at AND ({_GOES_ON})"

    def allows(self, record: LeaseRecord | None) -> bool:
        return (
            record is not None
            and record.expires_at is not None
            and milliseconds(record.expires_at) < self.expires_at
            and (
                record.owner == self.owner
                or goes_on(record, self.owner, self.now - self.clock_skew)
            )
        )

    @property
    def update(self) -> str:
        return (
            "SET #owner = :owner, #holder = :holder, #expires_at_ms = :expires_at,"
            " #duration_ms = :duration, #expiration = :expiration REMOVE #attempt_until_ms"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(
            owner=self.owner,
            holder=self.holder,
            expires_at=self.expires_at / 1000,
            duration=(self.expires_at - self.now) / 1000,
            loan=None if record.loan is None else record.loan._replace(until=None),
        )

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":holder": self.holder,
            ":expires_at": self.expires_at,
            ":duration": self.expires_at - self.now,
            ":dead": self.now - self.clock_skew,
        }

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class Return(NamedTuple):
    """Free the lease, at the end of the execution. It waits for an attempt that may be alive."""

    name: str
    owner: str
    now: int
    clock_skew: int
    last_run: Mapping[str, str]

    @property
    def condition(self) -> str:
        return _GOES_ON

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and (
            record.owner == self.owner or goes_on(record, self.owner, self.now - self.clock_skew)
        )

    @property
    def update(self) -> str:
        return "SET #last_run = :last_run, #expiration = :expiration REMOVE #owner, #expires_at_ms"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(owner=None, expires_at=None, last_run=self.last_run)

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":last_run": self.last_run,
            ":dead": self.now - self.clock_skew,
        }

    @property
    def in_use_until(self) -> int:
        return self.now

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner is None
