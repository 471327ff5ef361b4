"""The operations of a durable execution, which holds a lease over its waits.

The service runs such a function from its start again after each wait: one attempt after another.
Each attempt is an owner of its own, and tells its execution and its start by its beginning:

    <32 hexadecimal digits of the execution>/<13 digits: the start in epoch ms>/<random>

So one comparison of texts says whose attempt a row names, and which of two is the later one. While
it is suspended, a lease is parked: its owner is the attempt's beginning, and the word that stands
for nobody who works.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .._clock import milliseconds, utc
from .operation import Value
from .operations import Acquire
from .record import LeaseRecord

#: How the owner ends of a lease whose execution is suspended.
PARKED = "/parked"


def attempt_of(execution: str, start: int, nonce: str) -> str:
    """Return the owner's id for an attempt that begins at `start` (epoch milliseconds)."""
    return f"{execution}{start:013d}/{nonce}"


def parked(attempt: str) -> str:
    """Return the owner of the lease that this attempt has parked."""
    # After every random id of the same millisecond: what the attempt sent earlier is refused.
    return attempt.rpartition("/")[0] + PARKED


def is_parked(owner: str | None) -> bool:
    """Say whether that owner is an execution that is suspended, so that nobody works."""
    return owner is not None and owner.endswith(PARKED)


class Claim(NamedTuple):
    """Take the lease for an attempt of a durable execution, or go on under it.

    `execution` is the beginning that all of its attempts' ids have. Its lease is claimed from any
    earlier attempt, whether it has parked or died: the service runs one at a time. A late claim of
    an attempt that has a later one behind it is refused, and one of the attempt that has come to
    its end: nobody would be there to give it back.

    A first attempt may also take what anybody may take. A replay may not: somebody else may have
    been at work between its two halves. What it finds free must be what an earlier attempt of its
    own has given back, whose answer was lost on its way.

    A first claim that is late must not take the lease after somebody who has come since it was
    sent: a replay would believe that its execution has had it all the time.
    """

    name: str
    owner: str
    holder: Mapping[str, str]
    now: int
    expires_at: int
    duration: int
    clock_skew: int
    execution: str
    is_replay: bool
    seen: LeaseRecord | None = None
    ticket: int | None = None

    @property
    def condition(self) -> str:
        mine = (
            "(#owner BETWEEN :execution AND :owner"
            " AND (#owner <> :owner OR #expires_at_ms <= :expires_at))"
        )
        if self.is_replay:
            return (
                f"{mine} OR (attribute_not_exists(#owner)"
                " AND #last_run.#attempt BETWEEN :execution AND :owner"
                " AND #last_run.#attempt <> :owner)"
            )
        return (
            f"{mine} OR (({self._acquire.condition})"
            " AND (attribute_not_exists(#last_run.#attempt) OR #last_run.#attempt <> :owner)"
            " AND (attribute_not_exists(#holder.#acquired_at)"
            " OR #holder.#acquired_at <= :latest))"
        )

    def allows(self, record: LeaseRecord | None) -> bool:
        last = None if record is None else (record.last_run or {}).get("attempt")
        if record is not None and record.owner is not None and self._is_ours(record.owner):
            return record.owner != self.owner or (
                record.expires_at is not None and milliseconds(record.expires_at) <= self.expires_at
            )
        if not self.is_replay:
            since = "" if record is None else (record.holder or {}).get("acquired_at", "")
            return self._acquire.allows(record) and last != self.owner and since <= self._latest
        is_free = record is not None and record.owner is None
        return is_free and last is not None and self._is_ours(last) and last != self.owner

    @property
    def _latest(self) -> str:
        # The latest moment that another clock may have shown when this was sent.
        return utc((self.now + self.clock_skew) / 1000)

    def _is_ours(self, owner: str) -> bool:
        return self.execution <= owner <= self.owner

    @property
    def _acquire(self) -> Acquire:
        return Acquire(
            self.name,
            self.owner,
            self.holder,
            self.now,
            self.expires_at,
            self.duration,
            self.clock_skew,
            self.seen,
            self.ticket,
        )

    @property
    def update(self) -> str:
        return self._acquire.update

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        return self._acquire.apply(record)

    @property
    def values(self) -> dict[str, Value]:
        return {**self._acquire.values, ":execution": self.execution, ":latest": self._latest}

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == self.owner


class Park(NamedTuple):
    """Stop working, and keep the lease for the execution's next attempt.

    The owner changes, so that nothing that the attempt has sent before is applied after it: the
    expiry may come down, as nobody believes in it any more. The duration moves with the expiry:
    whoever watches a silent holder waits as long as this one may be silent.
    """

    name: str
    owner: str
    now: int
    expires_at: int

    @property
    def condition(self) -> str:
        return "#owner = :owner"

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and record.owner == self.owner

    @property
    def update(self) -> str:
        return (
            "SET #owner = :parked, #expires_at_ms = :expires_at, #duration_ms = :duration,"
            " #expiration = :expiration"
        )

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(
            owner=parked(self.owner),
            expires_at=self.expires_at / 1000,
            duration=(self.expires_at - self.now) / 1000,
        )

    @property
    def values(self) -> dict[str, Value]:
        return {
            ":owner": self.owner,
            ":parked": parked(self.owner),
            ":expires_at": self.expires_at,
            ":duration": self.expires_at - self.now,
        }

    @property
    def in_use_until(self) -> int:
        return self.expires_at

    @property
    def wants_row(self) -> bool:
        return False

    def leaves(self, name: str | None, owner: str | None) -> bool:
        return name == self.name and owner == parked(self.owner)
