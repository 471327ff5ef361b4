"""The operations of a run that writes down how far it has come."""

from typing import NamedTuple

from .._clock import milliseconds
from .operation import Value
from .record import LeaseRecord, Progress


class Checkpoint(NamedTuple):
    """Write down how far the run has come, and renew the lease with the same request.

    `seq` rises with each step of a run, so that progress never goes back when requests overtake
    each other; the expiry does not come down either. Both are needed: at the deadline's cap all
    expiries are equal.
    """

    name: str
    owner: str
    expires_at: int
    progress: Progress

    @property
    def condition(self) -> str:
        return (
            "#expires_at_ms <= :expires_at AND #owner = :owner"
            " AND (attribute_not_exists(#progress_token) OR #progress_token < :token"
            " OR #progress_seq <= :seq)"
        )

    def allows(self, record: LeaseRecord | None) -> bool:
        return (
            record is not None
            and self.owner == record.owner
            and record.expires_at is not None
            and self.expires_at >= milliseconds(record.expires_at)
            and (
                record.progress is None
                or record.progress.token < self.progress.token
                or record.progress.seq <= self.progress.seq
            )
        )

    @property
    def update(self) -> str:
        return (
            "SET #expires_at_ms = :expires_at, #expiration = :expiration, #progress = :progress,"
            " #progress_token = :token, #progress_seq = :seq"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(expires_at=self.expires_at / 1000, progress=self.progress)

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":expires_at": self.expires_at,
            ":progress": self.progress.text,
            ":token": self.progress.token,
            ":seq": self.progress.seq,
        }

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class Advance(NamedTuple):
    """Write down how far the run has come, in one transaction with what it has done.

    A step is applied once, however often it is sent: its `seq` has to be higher than the row's.
    The lease is not renewed by it, and keeps the expiration that it has.
    """

    name: str
    owner: str
    now: int
    progress: Progress

    @property
    def condition(self) -> str:
        return (
            "#owner = :owner"
            " AND (attribute_not_exists(#progress_token) OR #progress_token < :token"
            " OR #progress_seq < :seq)"
        )

    def allows(self, record: LeaseRecord | None) -> bool:
        return (
            record is not None
            and record.owner == self.owner
            and (
                record.progress is None
                or record.progress.token < self.progress.token
                or record.progress.seq < self.progress.seq
            )
        )

    @property
    def update(self) -> str:
        return "SET #progress = :progress, #progress_token = :token, #progress_seq = :seq"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(progress=self.progress)

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":progress": self.progress.text,
            ":token": self.progress.token,
            ":seq": self.progress.seq,
        }

    @property
    def in_use_until(self) -> int:
        return self.now

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner
