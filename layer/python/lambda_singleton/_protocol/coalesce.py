"""A success that others may share: of a run that began after they came."""

from __future__ import annotations

from typing import Any, NamedTuple

#: What is read of the name of a work, in characters.
LONGEST_WORK = 128

#: What a waiter's Acquire asks for besides: otherwise it may return without a run of its own.
NO_LATER_SUCCESS = (
    "(attribute_not_exists(#succeeded) OR #succeeded <= :since OR #succeeded_by <> :work)"
)


class Success(NamedTuple):
    """The latest success that its run has recorded for others: its own token, and its work."""

    token: int
    work: str

    @property
    def values(self) -> dict[str, Any]:
        """The values of a release that leaves it."""
        return {":token": self.token, ":work": self.work}


class LaterSuccess(NamedTuple):
    """The success that a waiter may share: of the same work, with a higher token than it has seen.

    Tokens rise in the order of the database, so that such a run has begun after the row with the
    token `since` was seen, and so after the waiter came.
    """

    since: int
    work: str

    def is_in(self, success: Success | None) -> bool:
        """Say whether it is the one that the row tells of."""
        return success is not None and success.token > self.since and success.work == self.work

    @property
    def values(self) -> dict[str, Any]:
        """The values of the request that asks for it."""
        return {":since": self.since, ":work": self.work}
