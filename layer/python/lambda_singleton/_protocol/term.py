"""How long a lease may last, and how long an invocation does."""

import os
from math import inf
from typing import Any, NamedTuple

from .._clock import LONGEST, Clock, milliseconds

#: The longest that one request may take, in seconds.
REQUEST_TIMEOUT = 2.5


class Term(NamedTuple):
    """A lease lasts `duration` seconds at a time, and never outlives the invocation.

    `deadline` is the epoch time at which the invocation ends, `kill_grace` how many seconds late
    the platform may be to kill it. At least one of `duration` and `deadline` is given.
    """

    duration: float | None
    deadline: float | None = None
    kill_grace: float = 0.0

    def expiry(self, now: float) -> int:
        """Return the expiry to write at `now`, in epoch milliseconds."""
        return milliseconds(min(now + (self.duration or inf), self._latest))

    def is_over_at(self, expires_at: float) -> bool:
        """Say whether a lease that ends then has nothing left to renew."""
        return self.deadline is not None and milliseconds(expires_at) >= milliseconds(self._latest)

    def time_left(self, now: float) -> float:
        """Return the seconds of the invocation that are left at `now`."""
        return inf if self.deadline is None else self.deadline - now

    def timeout(self, now: float) -> float:
        """Return the seconds that one request of a lease taken at `now` may take.

        A renewal that hangs must not outlast the lease, nor an acquire the invocation.
        """
        return min(REQUEST_TIMEOUT, (self.duration or inf) / 4, max(0.0, self.time_left(now)))

    @property
    def _latest(self) -> float:
        return inf if self.deadline is None else self.deadline + self.kill_grace


def deadline_of(context: Any, clock: Clock) -> float | None:
    """Return the epoch time at which the invocation ends; None if the context cannot tell.

    A remaining time of 0 means that there is none left, never that there is no deadline. `sam
    local` has returned negative numbers and epoch times; a durable function's context wraps the
    one that knows.
    """
    lambda_context = getattr(context, "lambda_context", None) or context
    read = getattr(lambda_context, "get_remaining_time_in_millis", None)
    if not callable(read):
        return None
    try:
        remaining = read()
    except Exception:
        return None
    if isinstance(remaining, bool) or not isinstance(remaining, (int, float)):
        return None
    # Nothing compares with NaN, and some ints are too large for a float.
    if not remaining <= LONGEST * 1000:
        return None
    return clock.time() + max(0, remaining) / 1000


def platform_kills_at_deadline() -> bool:
    """Lambda does; Managed Instances let the handler run on, so the library has to stop it."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "lambda-managed-instances"
