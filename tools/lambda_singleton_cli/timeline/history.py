"""Who held which lease when, as far as the log lines tell."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Literal

from .decision import Decision, Facts, when
from .log import Log

Ending = Literal["", "released", "lost", "killed", "release failed"]

#: A line is written a moment after what it tells of, and clocks differ (seconds).
BLUR = 0.05
#: Who gets a lease within this time has not waited for it (seconds).
BRIEF = 0.1

#: The first overlaps are told. One is a catastrophe, and a thousand are one log of nonsense.
MOST_OVERLAPS = 100
#: A forced release is about the latest holders of its lease.
_RECENT = 100


@dataclass(slots=True)
class Holding:
    """A lease in one pair of hands, from the acquisition on."""

    lease: str
    owner: str
    start: float
    token: int | None = None
    until: float | None = None
    taken_from: str = ""
    caller: Facts = field(default_factory=dict)
    end: float | None = None
    ending: Ending = ""
    why: str = ""
    renewed: list[float] = field(default_factory=list)
    not_renewed: list[float] = field(default_factory=list)
    wrote: list[float] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    heard: float = 0.0

    @property
    def dead(self) -> bool:
        """Whether it ends by itself, if it ends: nobody gave it back."""
        return self.ending not in ("released", "lost")

    @property
    def last_word(self) -> float:
        """When it was last known to be alive."""
        return max(self.start, self.heard) if self.end is None else self.end

    @property
    def over(self) -> float:
        """When the lease was free for others."""
        if self.ending == "released":
            return self.last_word
        if self.until is None:
            return inf if self.end is None else self.end
        return self.until if self.dead else min(self.last_word, self.until)

    @property
    def worked_until(self) -> float:
        """When it was, or must have been, no longer at work under its lease."""
        return self.over if self.end is None else min(self.over, self.end)


@dataclass(slots=True)
class Attempt:
    """A try to take a lease that took a while, or came to nothing."""

    lease: str
    start: float
    end: float
    outcome: Literal["", "acquired", "skipped", "coalesced", "failed"] = ""
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in a moment."""

    kind: Literal["forced", "refused"]
    lease: str
    at: float
    holding: Holding | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two hands on one lease: what must never be."""

    start: float
    end: float
    first: Holding
    second: Holding


class Timeline:
    """Who had which lease when, as far as a log tells."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.holdings: list[Holding] = []
        self.attempts: list[Attempt] = []
        self.marks: list[Mark] = []
        self._by_owner: dict[tuple[str, str], Holding] = {}
        self._waiting: dict[tuple[str, str], Attempt] = {}
        self._recent: defaultdict[str, deque[Holding]] = defaultdict(lambda: deque(maxlen=_RECENT))
        for decision in log.decisions:
            getattr(self, f"_on_{decision.what}")(decision)
        for before, after in self.take_overs():
            if before.dead and before.until is None:
                # Nobody has said when its lease ended: at the latest now.
                before.until = after.start
        self.holdings.sort(key=lambda holding: holding.start)
        self.attempts.sort(key=lambda attempt: attempt.start)
        ends = [log.decisions[0].at, log.decisions[-1].at] if log.decisions else [0.0, 0.0]
        self.start, self.end = min([ends[0], *(a.start for a in self.attempts)]), ends[1]

    @property
    def leases(self) -> list[str]:
        """All names, in the order of their first use."""
        firsts = [
            *((holding.start, holding.lease) for holding in self.holdings),
            *((attempt.start, attempt.lease) for attempt in self.attempts),
            *((mark.at, mark.lease) for mark in self.marks),
        ]
        return list(dict.fromkeys(lease for _, lease in sorted(firsts)))

    def take_overs(self) -> Iterator[tuple[Holding, Holding]]:
        """Yield each dead holder of whom there is a line, with the one that came after it."""
        for holding in self.holdings:
            before = self._by_owner.get((holding.lease, holding.taken_from))
            if before is not None and before is not holding:
                yield before, holding

    def overlaps(self) -> Iterator[Overlap]:
        """Yield where two had one lease at the same time, the first `MOST_OVERLAPS` of them."""
        return islice(self._overlaps(), MOST_OVERLAPS)

    def _overlaps(self) -> Iterator[Overlap]:
        # Holders at one time are that many overlaps, so that there never are many to compare.
        current: defaultdict[str, list[Holding]] = defaultdict(list)
        for holding in self.holdings:
            others = [h for h in current[holding.lease] if h.worked_until > holding.start + BLUR]
            for other in others:
                end = min(other.worked_until, holding.worked_until)
                if end > holding.start + BLUR:
                    yield Overlap(holding.start, min(end, self.end), other, holding)
            current[holding.lease] = [*others, holding]

    def _holding(self, decision: Decision) -> Holding | None:
        holdings = (self._by_owner.get((decision.lease, id_)) for id_ in decision.ids)
        return next((holding for holding in holdings if holding is not None), None)

    def _on_acquired(self, decision: Decision) -> None:
        holding = Holding(
            decision.lease,
            decision.text("owner"),
            decision.at,
            decision.token,
            decision.moment("until"),
            decision.text("taken_from"),
            decision.caller,
        )
        self.holdings.append(holding)
        self._recent[decision.lease].append(holding)
        for id_ in decision.ids:
            self._by_owner[decision.lease, id_] = holding
        if self._is_waiting(decision) or decision.length("waited") > BRIEF:
            self._attempt(decision).outcome = "acquired"

    def _on_renewed(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.renewed.append(decision.at)
            holding.heard = decision.at
            _extend(holding, decision.moment("until"))

    def _on_renewal_failed(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.not_renewed.append(decision.at)

    def _on_lost(self, decision: Decision) -> None:
        self._end(decision, "lost", decision.text("reason", "error"))

    def _on_released(self, decision: Decision) -> None:
        self._end(decision, "released", decision.text("outcome"))

    def _on_release_failed(self, decision: Decision) -> None:
        self._end(decision, "release failed", decision.text("error"))

    def _on_unrecorded(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.caller["Success"] = "not recorded"

    def _on_killed(self, decision: Decision) -> None:
        self._end(decision, "killed", "")

    def _end(self, decision: Decision, ending: Ending, why: str) -> None:
        holding = self._holding(decision)
        # Of a lost lease it is told last that it was given back, or could not be.
        if holding is not None and not holding.ending:
            lost = ending == "released" and why == "lost"
            holding.ending = "lost" if lost else ending
            holding.why = "" if lost else why
            # The lease was free once the request was under way.
            took = decision.length("took") if ending == "released" else 0.0
            holding.end = max(holding.start, decision.at - took)

    def _on_paused(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.pauses.append((decision.at, inf))

    def _on_resumed(self, decision: Decision) -> None:
        if (holding := self._holding(decision)) and holding.pauses:
            holding.pauses[-1] = (holding.pauses[-1][0], decision.at)

    def _on_waiting(self, decision: Decision) -> None:
        self._refused(self._attempt(decision), decision)

    def _on_skipped(self, decision: Decision) -> None:
        attempt = self._attempt(decision)
        attempt.outcome = "skipped"
        if (reason := decision.text("reason")) in ("done", "superseded"):
            attempt.facts["Because"] = reason
        self._refused(attempt, decision)

    def _on_coalesced(self, decision: Decision) -> None:
        attempt = self._attempt(decision)
        attempt.outcome = "coalesced"
        attempt.facts["Shared"] = f"the run with token {decision.token}"

    def _on_failed(self, decision: Decision) -> None:
        attempt = self._attempt(decision)
        attempt.outcome = "failed"
        attempt.facts["Error"] = decision.text("error") or "unknown"

    def _on_forced(self, decision: Decision) -> None:
        for holding in self._recent[decision.lease]:
            if holding.over > decision.at:
                # What its holder believes does not count any more.
                holding.until = decision.at
        self._mark("forced", decision)

    def _on_write_refused(self, decision: Decision) -> None:
        self._mark("refused", decision)

    def _on_write_accepted(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.wrote.append(decision.at)
            holding.heard = decision.at

    def _mark(self, kind: Literal["forced", "refused"], decision: Decision) -> None:
        facts = {"Token": decision.text("token"), "By": decision.text("by", "reason", "error")}
        facts = {label: fact for label, fact in facts.items() if fact} | decision.caller
        holding = self._holding(decision)
        self.marks.append(Mark(kind, decision.lease, decision.at, holding, facts))

    def _is_waiting(self, decision: Decision) -> bool:
        return any((decision.lease, id_) in self._waiting for id_ in decision.ids)

    def _attempt(self, decision: Decision) -> Attempt:
        start = decision.at - (decision.length("took") or decision.length("waited"))
        attempt = Attempt(decision.lease, start, decision.at, facts=decision.caller)
        for id_ in decision.ids:
            attempt = self._waiting.get((decision.lease, id_), attempt)
        if not self._is_waiting(decision):
            self.attempts.append(attempt)
        for id_ in decision.ids:
            if decision.what == "waiting":
                self._waiting[decision.lease, id_] = attempt
            else:
                self._waiting.pop((decision.lease, id_), None)
        attempt.start, attempt.end = min(attempt.start, start), decision.at
        return attempt

    def _refused(self, attempt: Attempt, decision: Decision) -> None:
        until, other = decision.moment("held_until"), decision.other
        known = ("function", "host", "paused_by", "request_id")
        held_by = [other[fact] for fact in known if fact in other]
        # In its minimum hold nobody has it.
        rests = decision.text("reason") == "resting"
        if held_by:
            attempt.facts["Last held by" if rests else "Held by"] = ", ".join(held_by)
        if until is not None:
            attempt.facts["Rests until" if rests else "Held until"] = when(until)
        # Who is refused hears of renewals that their holder may not have logged.
        holding = self._by_owner.get((decision.lease, other.get("request_id", "")))
        if holding is not None and holding.dead:
            _extend(holding, until)


def _extend(holding: Holding, until: float | None) -> None:
    if until is not None:
        holding.until = max(until, holding.until or 0.0)
