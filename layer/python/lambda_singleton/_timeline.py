"""A history of leases as a picture: one page that needs nothing but a browser.

It is drawn from the log lines in which this package says what it decided. All of one acquisition
has one `owner`; who waits or skips has none yet, and is known by its request id.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from html import escape
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, Literal

from ._clock import LONGEST, utc

Facts = dict[str, str]
Ending = Literal["", "released", "lost", "killed", "release failed"]

#: A line is written a moment after what it tells of, and clocks differ (seconds).
BLUR = 0.05
#: Who gets a lease within this time has not waited for it (seconds).
BRIEF = 0.1
#: The end of the year 9999, as for the times of a row.
LATEST = 253_402_300_799.0
#: Attempts that go on at the same time, side by side: more share these rows.
MOST_ROWS = 8


@dataclass(frozen=True, slots=True)
class Decision:
    """One log line of this package."""

    what: str
    at: float
    lease: str
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, line: str) -> Decision | None:
        """Read a line, also behind a prefix or in the "message" of another; None if it is none."""
        facts = _object(line)
        if "decision" not in facts:
            facts = _object(facts.get("message"))
        lease = facts.get("lease")
        at = _moment(facts.get("at")) or _moment(facts.get("timestamp"))
        if "decision" not in facts or not isinstance(lease, str) or at is None:
            return None
        return cls(str(facts["decision"]), at, lease, facts)

    def text(self, *keys: str) -> str:
        """Return the first of these facts that is there, in words."""
        return next((str(self.facts[key]) for key in keys if self.facts.get(key)), "")

    def moment(self, key: str) -> float | None:
        """Return a time."""
        return _moment(self.facts.get(key))

    def length(self, key: str) -> float:
        """Return a length of time; 0 if it is not there."""
        return min(_moment(self.facts.get(key)) or 0.0, LONGEST, self.at)

    @property
    def request(self) -> str:
        """The request id of the invocation that says it."""
        return self.text("request_id", "requestId", "function_request_id")

    @property
    def ids(self) -> list[str]:
        """What may tie it to other lines."""
        return [id_ for id_ in (self.text("owner"), self.request) if id_]

    @property
    def other(self) -> Facts:
        """The holder who was in the way."""
        holder = self.facts.get("holder")
        return {k: str(v) for k, v in holder.items()} if isinstance(holder, dict) else {}

    @property
    def caller(self) -> Facts:
        """Who says it, for people."""
        facts = {
            "Function": self.text("function_name", "function", "service"),
            "Request": self.request,
            "Log stream": self.text("log_stream", "logStream"),
        }
        return {label: fact for label, fact in facts.items() if fact}


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

    @property
    def dead(self) -> bool:
        """Whether it ends by itself, if it ends: nobody gave it back."""
        return self.ending not in ("released", "lost")

    @property
    def last_word(self) -> float:
        """When it was last known to be alive."""
        if self.end is not None:
            return self.end
        return max([self.start, *self.renewed, *self.wrote])

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
    outcome: Literal["", "acquired", "skipped", "failed"] = ""
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
    """Who had which lease when, as far as these lines tell."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.holdings: list[Holding] = []
        self.attempts: list[Attempt] = []
        self.marks: list[Mark] = []
        self.passed_over = 0
        self._by_owner: dict[tuple[str, str], Holding] = {}
        self._waiting: dict[tuple[str, str], Attempt] = {}
        decisions = []
        for line in lines:
            decision = Decision.read(line)
            if decision is not None and hasattr(self, f"_on_{decision.what}"):
                decisions.append(decision)
            elif line.strip():
                self.passed_over += 1
        decisions.sort(key=lambda decision: decision.at)
        for decision in decisions:
            getattr(self, f"_on_{decision.what}")(decision)
        for before, after in self.take_overs():
            if before.dead and before.until is None:
                # Nobody has said when its lease ended: at the latest now.
                before.until = after.start
        self.holdings.sort(key=lambda holding: holding.start)
        self.attempts.sort(key=lambda attempt: attempt.start)
        starts = [decisions[0].at, *(a.start for a in self.attempts)] if decisions else [0.0]
        self.start, self.end = min(starts), decisions[-1].at if decisions else 0.0

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
        """Yield where two had one lease at the same time."""
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
        token = decision.facts.get("token")
        holding = Holding(
            decision.lease,
            decision.text("owner"),
            decision.at,
            token if isinstance(token, int) else None,
            decision.moment("until"),
            decision.text("taken_from"),
            decision.caller,
        )
        self.holdings.append(holding)
        for id_ in decision.ids:
            self._by_owner[decision.lease, id_] = holding
        if self._is_waiting(decision) or decision.length("waited") > BRIEF:
            self._attempt(decision).outcome = "acquired"

    def _on_renewed(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.renewed.append(decision.at)
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
        self._refused(attempt, decision)

    def _on_failed(self, decision: Decision) -> None:
        attempt = self._attempt(decision)
        attempt.outcome = "failed"
        attempt.facts["Error"] = decision.text("error") or "unknown"

    def _on_forced(self, decision: Decision) -> None:
        for holding in self.holdings:
            if holding.lease == decision.lease and holding.over > decision.at:
                # What its holder believes does not count any more.
                holding.until = decision.at
        self._mark("forced", decision)

    def _on_write_refused(self, decision: Decision) -> None:
        self._mark("refused", decision)

    def _on_write_accepted(self, decision: Decision) -> None:
        if holding := self._holding(decision):
            holding.wrote.append(decision.at)

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
        held_by = [other[fact] for fact in ("function", "host", "request_id") if fact in other]
        if held_by:
            attempt.facts["Held by"] = ", ".join(held_by)
        if until is not None:
            attempt.facts["Held until"] = _when(until)
        # Who is refused hears of renewals that their holder may not have logged.
        holding = self._by_owner.get((decision.lease, other.get("request_id", "")))
        if holding is not None and holding.dead:
            _extend(holding, until)


@dataclass(slots=True)
class Item:
    """One thing that the page shows, with the stretches and moments that are seen in it."""

    kind: str
    lease: str
    at: float
    to: float
    title: str
    facts: Facts
    #: In lines.
    label: list[str] = field(default_factory=list)
    row: int = 0
    parts: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def beside(self) -> bool:
        """Whether it is about somebody who has no lease."""
        return self.kind in ("waited", "skipped", "failed")


class Drawing:
    """A timeline's items, each in its place."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.overlaps = list(timeline.overlaps())
        self.take_overs = list(timeline.take_overs())
        self.items: dict[str, list[Item]] = {lease: [] for lease in timeline.leases}
        self._taken_at = {id(before): after.start for before, after in self.take_overs}
        self._bars = {id(holding): self._bar(holding) for holding in timeline.holdings}
        for item in (*self._bars.values(), *map(self._try, timeline.attempts)):
            self.items[item.lease].append(item)
        for items in self.items.values():
            _stack([item for item in items if not item.beside])
            _stack([item for item in items if item.beside], self._a_mark, MOST_ROWS)
        for item in self._others():
            self.items[item.lease].append(item)
        for items in self.items.values():
            items.sort(key=lambda item: item.at)

    def summary(self) -> Iterator[str]:
        """Yield the numbers that tell most."""
        timeline = self.timeline
        refused = sum(mark.kind == "refused" for mark in timeline.marks)
        numbers = (
            ("lease", "leases", len(timeline.leases)),
            ("run", "runs", len(timeline.holdings)),
            ("skip", "skips", sum(a.outcome == "skipped" for a in timeline.attempts)),
            ("take-over", "take-overs", sum(bool(h.taken_from) for h in timeline.holdings)),
            ("loss", "losses", sum(holding.ending == "lost" for holding in timeline.holdings)),
            ("refused write", "refused writes", refused),
            ("forced release", "forced releases", len(timeline.marks) - refused),
            ("overlap", "overlaps", len(self.overlaps)),
            ("line passed over", "lines passed over", timeline.passed_over),
        )
        for one, many, number in numbers:
            if number or one not in ("forced release", "line passed over"):
                what = one if number == 1 else many
                yield f'<li data-of="{one}"><b>{number:,}</b> {what}</li>\n'

    def data(self) -> dict[str, Any]:
        """Return all that is drawn."""
        margin = max(0.2, 2.5 * self._a_mark)
        return {
            "start": self.timeline.start - margin,
            "end": self.timeline.end + margin,
            "leases": [
                {
                    "name": lease,
                    "rows": max((item.row + 1 for item in items if not item.beside), default=1),
                    "beside": max((item.row + 1 for item in items if item.beside), default=0),
                    "items": [asdict(item) | {"beside": item.beside} for item in items],
                }
                for lease, items in self.items.items()
            ],
        }

    def table(self) -> Iterator[str]:
        """Yield a row for each item, in the order of time."""
        for item in sorted(chain(*self.items.values()), key=lambda item: item.at):
            facts = "; ".join(f"{label}: {fact}" for label, fact in item.facts.items())
            cells = (_when(item.at), item.lease, item.title, facts)
            yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"

    @property
    def _a_mark(self) -> float:
        # How long something would have to take to be as wide as a mark.
        return (self.timeline.end - self.timeline.start) / 100

    def _bar(self, holding: Holding) -> Item:
        history_end, last_word = self.timeline.end, holding.last_word
        end = last_word
        if holding.dead:
            taken = self._taken_at.get(id(holding), history_end)
            end = max(last_word, min(holding.over, taken))
        still_on = not holding.ending and end >= history_end
        title = {
            "released": f"Run, {holding.why or 'released'}",
            "lost": "Run, lease lost",
            "killed": "Run, killed",
            "release failed": "Run, lease not given back",
            "": "Run, still on" if still_on else "Run, no word of its end",
        }[holding.ending]
        facts = holding.caller | {
            "Token": str(holding.token),
            "Taken over from": holding.taken_from,
            "From": _when(holding.start),
            "To": f"{_when(last_word)}, {_length(last_word - holding.start)}",
            "Renewed": _times(holding.renewed),
            "Renewals failed": _times(holding.not_renewed),
            "Writes accepted": _times(holding.wrote),
        }
        parts = [("paused", start, min(to, end)) for start, to in holding.pauses if start < end]
        if still_on:
            del facts["To"]
        elif holding.dead:
            facts |= {"Last word": _when(last_word), "Lease until": _when(end)}
            parts.append(("silent", last_word, end))
        if holding.ending == "lost" and holding.over < end:
            facts["Past its lease"] = _length(end - holding.over)
            parts.append(("late", holding.over, end))
        if holding.ending == "killed":
            parts.append(("killed", last_word, last_word))
        for kind, times in (
            ("wrote", holding.wrote),
            ("renewed", holding.renewed),
            ("not-renewed", holding.not_renewed),
        ):
            parts += [(kind, at, at) for at in times]
        facts = {label: fact for label, fact in facts.items() if fact not in ("", "None")}
        kind = "holding open" if still_on else "holding"
        label = _label(holding)
        return Item(kind, holding.lease, holding.start, end, title, facts, label, parts=parts)

    def _try(self, attempt: Attempt) -> Item:
        kind = attempt.outcome if attempt.outcome in ("skipped", "failed") else "waited"
        waited = _length(attempt.end - attempt.start)
        title = {
            "acquired": "Waited, got the lease",
            "skipped": "Skipped",
            "failed": "Failed",
            "": "Waited",
        }[attempt.outcome]
        facts = attempt.facts | ({"Waited": waited} if attempt.end > attempt.start else {})
        return Item(kind, attempt.lease, attempt.start, attempt.end, title, facts)

    def _others(self) -> Iterator[Item]:
        for before, after in self.take_overs:
            bar, gap = self._bars[id(after)], (min(before.over, after.start), after.start)
            facts = {
                "Last word": _when(before.last_word),
                "Its lease, as known": f"until {_when(gap[0])}",
                "Taken over": f"{_when(after.start)}, {_length(gap[1] - gap[0])} later",
                "Blocked for": _length(after.start - before.last_word),
                "Tokens": f"{before.token} → {after.token}",
            }
            title = "Taken over from a dead holder"
            yield Item("take-over", before.lease, *gap, title, facts, row=bar.row)
        for holding in self.timeline.holdings:
            if holding.ending == "lost":
                at, bar = holding.last_word, self._bars[id(holding)]
                title = f"Lease lost: {holding.why}" if holding.why else "Lease lost"
                yield Item("lost", holding.lease, at, at, title, bar.facts, row=bar.row)
        for mark in self.timeline.marks:
            row = 0 if mark.holding is None else self._bars[id(mark.holding)].row
            title = "Released by force" if mark.kind == "forced" else "Write refused: old token"
            yield Item(mark.kind, mark.lease, mark.at, mark.at, title, mark.facts, row=row)
        for overlap in self.overlaps:
            facts = {
                "For": _length(overlap.end - overlap.start),
                "Tokens": f"{overlap.first.token} and {overlap.second.token}",
            }
            title = "OVERLAP: two holders at once"
            lease, start, end = overlap.first.lease, overlap.start, overlap.end
            yield Item("overlap", lease, start, end, title, facts, ["overlap"])


def write(lines: Iterable[str]) -> str:
    """Return the page for these log lines."""
    drawing = Drawing(Timeline(lines))
    data = json.dumps(drawing.data(), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "summary": "".join(drawing.summary()),
        "rows": "".join(drawing.table()),
        # Nothing in it may look like the end of the script element that it stands in.
        "data": data.replace("<", r"\u003c"),
    }
    template = Path(__file__).with_name("timeline.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    # A log can have halves of characters, which no file can.
    return page.encode(errors="replace").decode()


def _object(text: object) -> dict[str, Any]:
    # What is before the first brace is a prefix, as of `aws logs tail`.
    if not isinstance(text, str):
        return text if isinstance(text, dict) else {}
    try:
        found = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(value: object) -> float | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LATEST else None


def _extend(holding: Holding, until: float | None) -> None:
    if until is not None:
        holding.until = max(until, holding.until or 0.0)


def _stack(items: list[Item], least: float = 0.0, most: float = inf) -> None:
    # Each in the first row that has room for it.
    ends: list[float] = []
    for item in sorted(items, key=lambda item: item.at):
        row = next((row for row, end in enumerate(ends) if end <= item.at), len(ends))
        if row == len(ends) and row < most:
            ends.append(0.0)
        item.row = min(row, len(ends) - 1)
        ends[item.row] = max(item.to, item.at + least)


def _label(holding: Holding) -> list[str]:
    # Tokens are as long as epoch milliseconds, and differ in their last digits.
    token = "" if holding.token is None else f"…{holding.token % 10_000:04d}"
    return [holding.caller.get("Function") or holding.caller.get("Request", "")[:8], token]


def _when(at: float) -> str:
    return utc(at).replace("T", " ").removesuffix("Z")


def _length(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{seconds:.2f} s"


def _times(times: list[float]) -> str:
    return "" if not times else "once" if len(times) == 1 else f"{len(times)} times"
