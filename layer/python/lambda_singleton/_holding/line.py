"""The line of those who wait for a lease: a good guess of when to ask, and nothing more.

A refused waiter takes a ticket, one request, and asks when its turn should come: runs of one lease
tend to take as long as the one before. Whoever gets the lease with a ticket says so in the row.
Nobody is kept from asking earlier: a ticket grants nothing, and a lost or forgotten one only costs
those behind it a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._backoff import uniform
from .._clock import Clock, epoch

if TYPE_CHECKING:
    from .._protocol.record import LeaseRecord

#: How long a run is thought to take before one has been seen, in seconds.
FIRST_GUESS = 0.05

#: The first in line looks at least this often (seconds), those behind it less often.
LONGEST_PAUSE = 1.0


class Place:
    """One waiter's place in the line."""

    def __init__(self, clock: Clock) -> None:
        self.ticket: int | None = None
        self._clock = clock
        self._record: LeaseRecord | None = None
        self._since = clock.monotonic()
        self._first: tuple[float, int] | None = None

    def note(self, record: LeaseRecord | None) -> None:
        """Remember the row that was received last."""
        now = self._clock.monotonic()
        if record is None or self._record is None or record.token != self._record.token:
            self._since = now
        if record is not None and self._first is None:
            self._first = now, record.token
        self._record = record

    @property
    def position(self) -> int:
        """1 for the next in line."""
        if self._record is None or self.ticket is None:
            return 1
        return max(1, self.ticket - self._record.served)

    @property
    def turn_in(self) -> float:
        """In how many seconds the lease should be free for this waiter."""
        usual, so_far = self._usual_length() or FIRST_GUESS, self._length_so_far()
        # A run that takes longer than usual is looked at in growing intervals.
        left = usual - so_far if so_far < usual else max(usual / 8, so_far - usual)
        # A little late costs less than a little early, which is one more request.
        turn = left + 0.1 * usual + (self.position - 1) * max(1.1 * usual, so_far, self._pace())
        return turn * uniform(0.97, 1.03)

    @property
    def is_sure(self) -> bool:
        """Whether the guess is worth a try; a look costs a fifth, but then a try as well."""
        usual = self._usual_length()
        return usual is not None and self._length_so_far() < 2 * usual

    @property
    def longest_pause(self) -> float:
        """For how many seconds at most it does not look."""
        return LONGEST_PAUSE * min(self.position, 5)

    def _pace(self) -> float:
        """Return how long one run and its hand-over took since this waiter came."""
        if self._first is None or self._record is None or self._record.token <= self._first[1]:
            return 0.0
        return (self._since - self._first[0]) / (self._record.token - self._first[1])

    def _usual_length(self) -> float | None:
        run = {} if self._record is None else self._record.last_run or {}
        started, ended = epoch(run.get("started")), epoch(run.get("ended"))
        if started is None or ended is None:
            return None
        return max(0.001, ended - started)

    def _length_so_far(self) -> float:
        holder = {} if self._record is None else self._record.holder or {}
        began = epoch(holder.get("acquired_at"))
        seen = self._clock.monotonic() - self._since
        return seen if began is None else max(seen, self._clock.time() - began)
