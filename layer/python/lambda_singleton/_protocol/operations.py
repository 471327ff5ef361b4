"""The lease protocol: five conditional updates of one row, each of them one request.

Every operation is written down twice, side by side: as the DynamoDB expression that the database
evaluates, and as `allows` and `apply`, which any store with an atomic compare-and-set can use. The
contract tests hold the two against each other on a real engine.

Names and units of the row are those of `docs/protocol.md`. All times in here are epoch
milliseconds, read on the caller's clock *before* the request is sent.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .._clock import milliseconds
from .besides import is_left_to_do, narrowed
from .coalesce import LaterSuccess, Success
from .operation import Value
from .order import Order
from .record import LeaseRecord


class Acquire(NamedTuple):
    """Take the lease.

    Who may, on the time line of the row's `expires_at_ms`:

        held, and renewed before its end        clocks may differ    dead holder
        ─────────────────────────────────┬───────────────────────┬──────────────▶
                                  expires_at_ms           + clock_skew
        only the owner, again: a lost reply                  anybody

    A free row (no owner) can be taken once its minimum hold is over. A waiter that has watched the
    same owner and expiry (`seen`) for a whole lease on its own monotonic clock may take it whatever
    the wall clocks say: a living holder would have renewed.

    The owner's own second try must not bring the expiry down: a request that is applied late would
    otherwise cut a lease that its holder has renewed since.

    A run of an `order` is refused once one of the same order has succeeded, or a later one has
    begun: it would overwrite what that one has written, also if that one has not succeeded yet.

    A waiter that may share a success (`unless`) is refused once there is one: a run that succeeded
    between its last look and its request would otherwise be followed by one run too many.
    """

    name: str
    owner: str
    holder: Mapping[str, str]
    now: int
    expires_at: int
    duration: int
    clock_skew: int
    seen: LeaseRecord | None = None
    ticket: int | None = None
    order: Order | None = None
    unless: LaterSuccess | None = None

    @property
    def condition(self) -> str:
        return narrowed(self._is_free, self.order, self.unless)

    @property
    def _is_free(self) -> str:
        anybody = (
            "attribute_not_exists(#id)"
            " OR (attribute_not_exists(#owner)"
            " AND (attribute_not_exists(#expires_at_ms) OR #expires_at_ms <= :now))"
            " OR #expires_at_ms <= :dead"
            " OR (#owner = :owner AND #expires_at_ms <= :expires_at)"
        )
        if self.seen is None:
            return anybody
        return f"{anybody} OR (#owner = :seen_owner AND #expires_at_ms = :seen_expires_at)"

    def allows(self, record: LeaseRecord | None) -> bool:
        if record is None:
            return True
        return self._finds_free(record) and is_left_to_do(record, self.order, self.unless)

    def _finds_free(self, record: LeaseRecord) -> bool:
        if record.expires_at is None:
            return record.owner is None
        expires_at = milliseconds(record.expires_at)
        return (
            (record.owner is None and expires_at <= self.now)
            or expires_at <= self.now - self.clock_skew
            or (record.owner == self.owner and expires_at <= self.expires_at)
            or (
                self.seen is not None
                and record.owner == self.seen.owner
                and record.expires_at == self.seen.expires_at
            )
        )

    # The token's seed is the clock, so that it keeps rising after the row was deleted: a name is
    # acquired far less than once a millisecond.
    @property
    def update(self) -> str:
        taken = (
            "SET #token = if_not_exists(#token, :now) + :one, #owner = :owner, #holder = :holder,"
            " #expires_at_ms = :expires_at, #duration_ms = :duration, #expiration = :expiration,"
            " #taken_from = if_not_exists(#owner, :owner)"
        )
        if self.order is not None:
            taken += ", #begun = :order"
        return taken if self.ticket is None else f"{taken}, #served = :ticket"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        return LeaseRecord(
            name=self.name,
            token=(self.now if record is None else record.token) + 1,
            owner=self.owner,
            expires_at=self.expires_at / 1000,
            holder=self.holder,
            last_run=None if record is None else record.last_run,
            duration=self.duration / 1000,
            tickets=0 if record is None else record.tickets,
            served=self.ticket or (0 if record is None else record.served),
            taken_from=(None if record is None else record.owner) or self.owner,
            done=None if record is None else record.done,
            begun=self.order if record is None or self.order is not None else record.begun,
            progress=None if record is None else record.progress,
            success=None if record is None else record.success,
            loan=None if record is None else record.loan,
        )

    @property
    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {
            ":owner": self.owner,
            ":holder": self.holder,
            ":now": self.now,
            ":dead": self.now - self.clock_skew,
            ":expires_at": self.expires_at,
            ":duration": self.duration,
            ":one": 1,
        }
        if self.seen is not None and self.seen.owner is not None and self.seen.expires_at:
            values[":seen_owner"] = self.seen.owner
            values[":seen_expires_at"] = milliseconds(self.seen.expires_at)
        if self.ticket is not None:
            values[":ticket"] = self.ticket
        if self.order is not None:
            values[":order"] = self.order
        return values if self.unless is None else values | self.unless.values

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class Renew(NamedTuple):
    """Move the expiry on, only while the owner is still me.

    The owner is new for every acquisition, so that a retried renewal is idempotent. The expiry
    never comes down: of two renewals in flight the later one counts, in whatever order they arrive.
    """

    name: str
    owner: str
    expires_at: int

    @property
    def condition(self) -> str:
        return "#owner = :owner AND #expires_at_ms <= :expires_at"

    def allows(self, record: LeaseRecord | None) -> bool:
        return (
            record is not None
            and record.owner == self.owner
            and record.expires_at is not None
            and milliseconds(record.expires_at) <= self.expires_at
        )

    @property
    def update(self) -> str:
        return "SET #expires_at_ms = :expires_at, #expiration = :expiration"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(expires_at=self.expires_at / 1000)

    @property
    def values(self) -> dict[str, Value]:
        return {":owner": self.owner, ":expires_at": self.expires_at}

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class Release(NamedTuple):
    """Give the lease back, only while the owner is still me.

    The row and its token stay. `free_at` is the end of the minimum hold, if that is still ahead.
    `done` is the order of a run that has succeeded, `success` what others may share of it. What
    such a run has left of its progress is removed if it `clears`.
    """

    name: str
    owner: str
    now: int
    free_at: int | None
    last_run: Mapping[str, str]
    done: Order | None = None
    clears: bool = False
    success: Success | None = None

    @property
    def condition(self) -> str:
        return "#owner = :owner"

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and record.owner == self.owner

    @property
    def update(self) -> str:
        left = "SET #last_run = :last_run, #expiration = :expiration"
        if self.done is not None:
            left += ", #done = :order"
        if self.success is not None:
            left += ", #succeeded = :token, #succeeded_by = :work"
        progress = ", #progress, #progress_token, #progress_seq" if self.clears else ""
        if self.free_at is None:
            return f"{left} REMOVE #owner, #expires_at_ms{progress}"
        return f"{left}, #expires_at_ms = :free_at REMOVE #owner{progress}"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(
            owner=None,
            expires_at=None if self.free_at is None else self.free_at / 1000,
            last_run=self.last_run,
            done=record.done if self.done is None else self.done,
            progress=None if self.clears else record.progress,
            success=self.success or record.success,
        )

    @property
    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {":owner": self.owner, ":last_run": self.last_run}
        if self.free_at is not None:
            values[":free_at"] = self.free_at
        if self.done is not None:
            values[":order"] = self.done
        return values if self.success is None else values | self.success.values

    @property
    def in_use_until(self) -> int:
        return self.now if self.free_at is None else self.free_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner is None


class TakeTicket(NamedTuple):
    """Join the line of those who wait, while somebody holds the lease."""

    name: str
    now: int

    @property
    def condition(self) -> str:
        return "attribute_exists(#owner)"

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and record.owner is not None

    @property
    def update(self) -> str:
        return "ADD #tickets :one"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(tickets=record.tickets + 1)

    @property
    def values(self) -> dict[str, Value]:
        return {":one": 1}

    @property
    def in_use_until(self) -> int:
        return self.now

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner is not None


class ForceRelease(NamedTuple):
    """Free the lease whoever holds it; the higher token fences the former holder.

    Somebody who was shown a holder (`seen`), and agreed, frees that one and nobody who came since.
    """

    name: str
    now: int
    seen: LeaseRecord | None = None

    @property
    def condition(self) -> str:
        if self.seen is None:
            return "attribute_exists(#id)"
        shown = "#token = :seen_token"
        if self.seen.token == 0:
            # Rows without any are read as 0.
            shown = f"(attribute_not_exists(#token) OR {shown})"
        owner = (
            "attribute_not_exists(#owner)" if self.seen.owner is None else "#owner = :seen_owner"
        )
        return f"attribute_exists(#id) AND {shown} AND {owner}"

    def allows(self, record: LeaseRecord | None) -> bool:
        if record is None or self.seen is None:
            return record is not None
        return (record.token, record.owner) == (self.seen.token, self.seen.owner)

    @property
    def update(self) -> str:
        return (
            "SET #token = if_not_exists(#token, :now) + :one, #expiration = :expiration"
            " REMOVE #owner, #expires_at_ms"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(token=record.token + 1, owner=None, expires_at=None)

    @property
    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {":now": self.now, ":one": 1}
        if self.seen is not None:
            values[":seen_token"] = self.seen.token
        if self.seen is not None and self.seen.owner is not None:
            values[":seen_owner"] = self.seen.owner
        return values

    @property
    def in_use_until(self) -> int:
        return self.now

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner is None
