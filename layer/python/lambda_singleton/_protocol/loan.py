"""What a row says of a lease that a state machine's execution lends to its tasks."""

from __future__ import annotations

from typing import NamedTuple


class Loan(NamedTuple):
    """The latest loan: of which execution, with which token, and until when its task has it.

    `until` is in epoch seconds; None once the task has given it back. It counts while the row has
    its token: whoever else takes the lease raises that, also if it knows nothing of loans.
    """

    execution: str
    token: int
    until: float | None = None
