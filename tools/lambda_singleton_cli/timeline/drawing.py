"""Where in the picture everything has its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import chain
from typing import Any

from lambda_singleton._text import plain

from .decision import Facts, when
from .history import BLUR, MOST_OVERLAPS, Attempt, Holding, Timeline

#: Attempts that go on at the same time, side by side: more share these rows.
MOST_ROWS = 8
#: The same for holders, of which there should be one.
MOST_HOLDER_ROWS = 50


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

    def __post_init__(self) -> None:
        self.title = plain(self.title)
        self.facts = {label: plain(fact) for label, fact in self.facts.items()}
        self.label = [plain(line) for line in self.label]

    @property
    def beside(self) -> bool:
        """Whether it is about somebody who has no lease."""
        return self.kind in ("waited", "skipped", "failed")

    def as_json(self) -> dict[str, Any]:
        """Return it for the page, which has it under its lease."""
        shown = {name: getattr(self, name) for name in self.__slots__ if name != "lease"}
        return shown | {"beside": self.beside}


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
            _stack([item for item in items if not item.beside], MOST_HOLDER_ROWS)
            _stack([item for item in items if item.beside], MOST_ROWS, self._a_mark)
        for item in self._others():
            self.items[item.lease].append(item)
        for items in self.items.values():
            items.sort(key=lambda item: item.at)

    def summary(self) -> Iterator[str]:
        """Yield the numbers that tell most."""
        timeline = self.timeline
        refused = sum(mark.kind == "refused" for mark in timeline.marks)
        found, enough = len(self.overlaps), len(self.overlaps) == MOST_OVERLAPS
        numbers = (
            ("lease", "leases", len(timeline.leases)),
            ("run", "runs", len(timeline.holdings)),
            ("skip", "skips", sum(a.outcome == "skipped" for a in timeline.attempts)),
            ("take-over", "take-overs", sum(bool(h.taken_from) for h in timeline.holdings)),
            ("loss", "losses", sum(holding.ending == "lost" for holding in timeline.holdings)),
            ("refused write", "refused writes", refused),
            ("overlap", "overlaps or more" if enough else "overlaps", found),
            ("forced release", "forced releases", len(timeline.marks) - refused),
            ("line ignored", "lines ignored", timeline.log.ignored),
            ("earlier decision left out", "earlier decisions left out", timeline.log.left_out),
        )
        for one, many, number in numbers:
            if number or one not in ("forced release", "line ignored", "earlier decision left out"):
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
                    "name": plain(lease),
                    "rows": max((item.row + 1 for item in items if not item.beside), default=1),
                    "beside": max((item.row + 1 for item in items if item.beside), default=0),
                    "items": [item.as_json() for item in items],
                }
                for lease, items in self.items.items()
            ],
        }

    def table(self) -> Iterator[str]:
        """Yield a row for each item, in the order of time."""
        for item in sorted(chain(*self.items.values()), key=lambda item: item.at):
            facts = "; ".join(f"{label}: {fact}" for label, fact in item.facts.items())
            cells = (when(item.at), plain(item.lease), item.title, facts)
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
            "From": when(holding.start),
            "To": f"{when(last_word)}, {_length(last_word - holding.start)}",
            "Renewed": _times(holding.renewed),
            "Renewals failed": _times(holding.not_renewed),
            "Writes accepted": _times(holding.wrote),
        }
        parts = [("paused", start, min(to, end)) for start, to in holding.pauses if start < end]
        if still_on:
            del facts["To"]
        elif holding.dead:
            facts |= {"Last word": when(last_word), "Lease until": when(end)}
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
            "coalesced": "Waited, shared another run",
            "failed": "Failed",
            "": "Waited",
        }[attempt.outcome]
        facts = attempt.facts | ({"Waited": waited} if attempt.end > attempt.start else {})
        return Item(kind, attempt.lease, attempt.start, attempt.end, title, facts)

    def _others(self) -> Iterator[Item]:
        for before, after in self.take_overs:
            yield self._take_over(before, after)
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

    def _take_over(self, before: Holding, after: Holding) -> Item:
        bar, gap = self._bars[id(after)], (min(before.over, after.start), after.start)
        blocked = after.start - before.last_word
        is_dead = before.dead and blocked >= -BLUR
        facts = {
            "Last word": when(before.last_word),
            "Its lease, as known": f"until {when(gap[0])}",
            "Taken over": f"{when(after.start)}, {_length(gap[1] - gap[0])} later",
        }
        if is_dead:
            facts["Blocked for"] = _length(max(0.0, blocked))
        elif blocked < 0:
            facts["At work past that for"] = _length(-blocked)
        facts["Tokens"] = f"{before.token} → {after.token}"
        # Who was stopped, or did not notice, is heard of again.
        title = "Taken over from a dead holder" if is_dead else "Taken over: its lease was over"
        return Item("take-over", before.lease, *gap, title, facts, row=bar.row)


def _stack(items: list[Item], most: int, least: float = 0.0) -> None:
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


def _length(seconds: float) -> str:
    # To the hundredth, so that 59.999 s are a minute.
    seconds = max(0.0, round(seconds, 2))
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{seconds:.2f} s"


def _times(times: list[float]) -> str:
    return "" if not times else "once" if len(times) == 1 else f"{len(times)} times"
