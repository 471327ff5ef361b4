"""What every operation says of itself: one conditional update of one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .record import LeaseRecord

Value = str | int | Mapping[str, str]


class Operation(Protocol):
    """One conditional update of the row called `name`."""

    @property
    def name(self) -> str: ...

    @property
    def condition(self) -> str:
        """The condition as a DynamoDB expression; `#id` is the key, other `#x` the attribute x."""

    @property
    def update(self) -> str:
        """The update as a DynamoDB expression; `:expiration` is filled in by the store."""

    @property
    def values(self) -> dict[str, Value]:
        """The expressions' values, without the store's own `:expiration`."""

    @property
    def in_use_until(self) -> int:
        """When the row's retention begins to count."""

    @property
    def wants_row(self) -> bool:
        """Whether anybody looks at the row after the update: a reply may come without it if not."""

    def leaves(self, name: str | None, owner: str | None) -> bool:
        """Say whether a row of that name and owner can be this operation's result.

        A reply to somebody else's request is not taken for this one's, however it got here.
        """

    def allows(self, record: LeaseRecord | None) -> bool:
        """Say whether the condition holds for this row; None: there is none."""

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        """Return the row after the update."""
