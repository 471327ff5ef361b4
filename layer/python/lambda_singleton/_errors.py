"""What can go wrong, by name. Step Functions' `ErrorEquals` matches the bare class names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

LossReason = Literal["stolen", "expired"]
RefusalReason = Literal["held", "resting", "paused", "done", "superseded"]


class LeaseError(Exception):
    """Base of every error that this package raises."""


class LeaseHeldError(LeaseError):
    """Somebody else holds the lease, or it rests.

    `reason` is "held", "resting" if the last holder has released it within its minimum hold, or
    "paused" if an operator has it, so that nobody runs: `holder["paused_by"]` says who. It is
    "done" if this slot or order has succeeded, or "superseded" if a later order has begun: then no
    other try helps, and the decorator returns a `Skipped` instead of raising.
    `holder` describes them and `held_until` is the end of their lease in epoch seconds; both are
    None when the store did not tell. `retry_after` is the number of seconds until a first try can
    succeed if they do not renew.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        reason: RefusalReason = "held",
        holder: Mapping[str, str] | None = None,
        held_until: float | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.reason: RefusalReason = reason
        self.holder = holder
        self.held_until = held_until
        self.retry_after = retry_after


class LeaseLostError(LeaseError):
    """The lease is not provably held any more.

    `reason` is "stolen" when the store said that the lease has another owner, and "expired" when
    its end came before a renewal could be confirmed.
    """

    def __init__(self, message: str, *, name: str = "", reason: LossReason = "expired") -> None:
        super().__init__(message)
        self.name = name
        self.reason: LossReason = reason


class LeaseStoreError(LeaseError):
    """The store did not do what was asked, and trying again may help.

    The cause is chained, unless it tells a credential, or more than anybody reads.
    """


class LeaseConfigError(LeaseError):
    """Something has to be changed before a lease can work; the message says what."""


class LeaseDeadlineError(LeaseError):
    """The invocation has too little time left to start the handler."""


class NoLeaseError(LeaseError, LookupError):
    """`current_lease()` was called where no lease is held."""


class LeasesDisabledWarning(UserWarning):
    """`SINGLETON_DISABLED` is on: what should have run one at a time ran without a lease."""


class LeaseInterrupt(BaseException):
    """Raised inside a running handler whose lease is lost.

    Not an Exception, so that a loop which logs every Exception and goes on cannot swallow it.
    What leaves the decorated handler is `LeaseLostError`. `name` and `owner` are those of the lost
    lease: a block passes on what is not its own.
    """

    def __init__(self, message: str = "the lease is lost", name: str = "", owner: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner
