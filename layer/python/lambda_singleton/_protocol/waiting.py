"""When one who waits for a lease should ask for it, from what it has seen.

A refused waiter takes a ticket, one request, and asks when its turn should come: runs of one lease
tend to take as long as the one before. Whoever gets the lease with a ticket says so in the row.
Nobody is kept from asking earlier: a ticket grants nothing. One that was given up costs those
behind it a pause at the most: nobody trusts a line for longer whose members show no sign of life.
"""

from __future__ import annotations

from math import inf
from typing import Literal, NamedTuple

from .._backoff import uniform
from .._clock import Clock, epoch, milliseconds
from .record import LeaseRecord

#: How long a run is thought to take before one has been seen, in seconds.
FIRST_GUESS = 0.05

#: A waiter looks at least this often (seconds); in a line that moves, those behind less often.
LONGEST_PAUSE = 1.0

Action = Literal["try", "look", "take a ticket", "give up"]


class Next(NamedTuple):
    """What to do, after a pause of so many seconds."""

    action: Action
    pause: float = 0.0


class Waiting:
    """One waiter: what it has seen, and what it concludes. It reads the clock, and nothing else.

    `clock_skew` seconds more than a lease are waited for a silent holder, as two clocks do not run
    at exactly the same rate.
    """

    def __init__(self, clock: Clock, *, patience: float, clock_skew: float) -> None:
        self.ticket: int | None = None
        #: The latest row; None if there is none, or none was shown.
        self.record: LeaseRecord | None = None
        self._clock = clock
        self._clock_skew = clock_skew
        self._began = clock.monotonic()
        self._give_up_at = self._began + patience
        self._last: Action = "try"
        self._asked_for_ticket = False
        self._is_gone = False
        self._line_is_alive = False
        self._silent_since = self._run_since = self._began
        #: When it saw the first row, and the token in that: who has a higher one came later.
        self.first: tuple[float, int] | None = None

    # What it sees.

    def note(self, record: LeaseRecord | None, *, is_gone: bool = False) -> None:
        """Remember a row that has just been received; `is_gone`: that there is none."""
        now, previous = self._clock.monotonic(), self.record
        if _sign_of_life(record) != _sign_of_life(previous) or record is None:
            self._silent_since = now
        if record is None or previous is None or record.token != previous.token:
            self._run_since = now
        if record is not None:
            self._line_is_alive = previous is not None and record.served > previous.served
            self.first = self.first or (now, record.token)
        self.record, self._is_gone = record, is_gone

    def note_ticket(self, record: LeaseRecord | None, *, is_given: bool) -> None:
        """Remember the answer to the request for a ticket."""
        before = self.record
        if record is not None:
            self.note(record)
            self.ticket = record.tickets if is_given else None
            # Whoever has come since the refusal has not given up already.
            self._line_is_alive = before is not None and record.tickets > before.tickets + 1

    # What it concludes.

    def next(self) -> Next:
        """Return what to do next."""
        was_try, self._last = self._last == "try", "try"
        time_left = self._give_up_at - self._clock.monotonic()
        free_in = self.free_in
        if time_left <= 0 and (was_try or free_in > 0):
            self._last = "give up"
        elif not self._asked_for_ticket:
            self._asked_for_ticket, self._last = True, "take a ticket"
        elif free_in > 0:
            turn = min(self.turn_in, free_in) if self._is_held else free_in
            pause = max(0.001, min(time_left, turn, self.longest_pause))
            has_come = turn <= self.longest_pause and self.estimate_is_reliable
            # Looking costs a fifth of trying.
            self._last = "try" if has_come or free_in <= pause else "look"
            return Next(self._last, pause)
        return Next(self._last, 0.001 if was_try and self._last == "try" else 0.0)

    @property
    def silent_holder(self) -> LeaseRecord | None:
        """The holder that has not been heard of for a whole lease: dead, whatever clocks say."""
        return self.record if self._silent_in <= 0 else None

    @property
    def free_in(self) -> float:
        """In how many seconds the row may be taken, by either way to judge it."""
        record = self.record
        if self._is_gone:
            return 0.0
        if record is None or record.expires_at is None:
            return inf if record is None or record.owner is not None else 0.0
        skew = 0.0 if record.owner is None else self._clock_skew
        # In whole milliseconds, as the row's condition compares.
        end = milliseconds(record.expires_at) + milliseconds(skew)
        by_wall_clock = max(0, end - milliseconds(self._clock.time())) / 1000
        return min(by_wall_clock, self._silent_in)

    @property
    def turn_in(self) -> float:
        """In how many seconds the lease should be free for this waiter."""
        usual, so_far = self._usual_length() or FIRST_GUESS, self._length_so_far()
        # A run that takes longer than usual is looked at in growing intervals.
        left = usual - so_far if so_far < usual else max(usual / 8, so_far - usual)
        # A little late costs less than a little early, which is one more request.
        turn = left + 0.1 * usual + (self._position - 1) * max(1.1 * usual, so_far, self._pace())
        return turn * uniform(0.97, 1.03)

    @property
    def longest_pause(self) -> float:
        """For how many seconds at most it does not look."""
        return LONGEST_PAUSE * (min(self._position, 5) if self._line_is_alive else 1)

    @property
    def estimate_is_reliable(self) -> bool:
        """Whether the guess is worth a try; a look costs a fifth, but then a try as well."""
        usual = self._usual_length()
        return usual is not None and self._length_so_far() < 2 * usual

    @property
    def _is_held(self) -> bool:
        return self.record is None or self.record.owner is not None

    @property
    def _silent_in(self) -> float:
        record = self.record
        if record is None or None in (record.owner, record.expires_at, record.duration):
            return inf
        silent_at = self._silent_since + (record.duration or 0.0) + self._clock_skew
        return silent_at - self._clock.monotonic()

    @property
    def _position(self) -> int:
        # 1 for the next in line.
        if self.record is None or self.ticket is None:
            return 1
        return max(1, self.ticket - self.record.served)

    def _pace(self) -> float:
        """Return how long one run and its hand-over took since this waiter came."""
        if self.first is None or self.record is None or self.record.token <= self.first[1]:
            return 0.0
        return (self._run_since - self.first[0]) / (self.record.token - self.first[1])

    def _usual_length(self) -> float | None:
        run = {} if self.record is None else self.record.last_run or {}
        started, ended = epoch(run.get("started")), epoch(run.get("ended"))
        if started is None or ended is None:
            return None
        return max(0.001, ended - started)

    def _length_so_far(self) -> float:
        holder = {} if self.record is None else self.record.holder or {}
        began = epoch(holder.get("acquired_at"))
        seen = self._clock.monotonic() - self._run_since
        return seen if began is None else max(seen, self._clock.time() - began)


def _sign_of_life(record: LeaseRecord | None) -> tuple[str | None, float | None, int] | None:
    # An execution that has its lease back may have it with the same end: a loan raises the token.
    return None if record is None else (record.owner, record.expires_at, record.token)
