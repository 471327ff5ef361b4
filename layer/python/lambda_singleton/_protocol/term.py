"""How long a lease may last."""

from math import inf
from typing import NamedTuple

from .._clock import milliseconds

#: The longest that one request may take, in seconds.
REQUEST_TIMEOUT = 2.5


class Term(NamedTuple):
    """A lease lasts `duration` seconds at a time, and never outlives the invocation.

    `deadline` is the epoch time at which the invocation ends, `kill_grace` how many seconds late
    the platform may be to kill it. At least one of `duration` and `deadline` is given. Nobody may
    take the lease again within `min_hold` seconds of its start. Where the platform does not kill at
    the deadline, `stop_at_deadline` tells the library to interrupt the handler then.
    """

    duration: float | None
    deadline: float | None = None
    kill_grace: float = 0.0
    min_hold: float = 0.0
    stop_at_deadline: bool = False

    def expiry(self, now: float) -> int:
        """Return the expiry to write at `now`, in epoch milliseconds."""
        return milliseconds(min(now + (self.duration or inf), self._latest))

    def is_over_at(self, expires_at: float) -> bool:
        """Say whether a lease that ends then has nothing left to renew."""
        return self.deadline is not None and milliseconds(expires_at) >= milliseconds(self._latest)

    def rests_until(self, started: float, now: float) -> int | None:
        """Return the end of the minimum hold in epoch milliseconds; None if it is over."""
        free_at = started + self.min_hold
        return milliseconds(free_at) if free_at > now else None

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
