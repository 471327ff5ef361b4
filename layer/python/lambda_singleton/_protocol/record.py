"""One lease as the store knows it."""

from collections.abc import Mapping
from typing import NamedTuple

from .coalesce import Success
from .loan import Loan

#: What a holder tells about itself, and a run about how it went. All else that a row may say of
#: them is not read: whoever writes it would choose what others are shown.
HOLDER_FACTS = (
    "function",
    "version",
    "execution",
    "request_id",
    "log_group",
    "log_stream",
    "region",
    "host",
    "process",
    "paused_by",
    "acquired_at",
)
RUN_FACTS = ("started", "ended", "outcome", "attempt")

#: What is read of one such fact, in signs: AWS's own limit for the longest, a log group's name.
LONGEST_FACT = 512

#: What a run's progress may have, in bytes: most rows stay within 1 KB, and cost one unit.
LONGEST_PROGRESS = 400

#: What an owner's id may have, in signs.
LONGEST_OWNER = 255


#: How the owner of a maintenance window begins: an operator who has the lease so that nobody runs.
PAUSE = "paused-"


def is_pause(owner: str | None) -> bool:
    """Say whether that owner is an operator, and no holder that could die."""
    return owner is not None and owner.startswith(PAUSE)


class Progress(NamedTuple):
    """How far a run has come: a JSON value as text, whose run's token, and which step of it."""

    text: str
    token: int
    seq: int


class LeaseRecord(NamedTuple):
    """A row of the table, decoded. Times are epoch seconds, lengths are seconds.

    `owner` is None while the lease is free; `expires_at` then is the end of a minimum hold, if one
    is still set. `holder` and `last_run` describe the latest holder and the latest completed run
    for people: nothing is decided on them. `tickets` were given to those who waited, and `served`
    is the latest of these that got the lease. `taken_from` is the owner whom the latest acquisition
    found in the row, who had died; its own owner if the lease was free. `done` is the order of the
    latest run that has succeeded, `begun` of the latest that has begun: a number, or a time.
    `progress` is how far a run has come that has not succeeded. `success` is the latest one that
    others may share. `loan` is the latest one of an execution to one of its tasks.
    """

    name: str
    token: int
    owner: str | None = None
    expires_at: float | None = None
    holder: Mapping[str, str] | None = None
    last_run: Mapping[str, str] | None = None
    duration: float | None = None
    tickets: int = 0
    served: int = 0
    taken_from: str | None = None
    done: int | str | None = None
    begun: int | str | None = None
    progress: Progress | None = None
    success: Success | None = None
    loan: Loan | None = None

    @property
    def is_paused(self) -> bool:
        """Whether an operator has it, so that nobody runs."""
        return is_pause(self.owner)
