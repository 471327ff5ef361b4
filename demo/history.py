"""What really happened, and whether it was allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Span:
    """A stretch of time, in epoch seconds."""

    start: float
    end: float

    def overlaps(self, other: Span) -> bool:
        """Whether the two have more than a moment in common."""
        return max(self.start, other.start) < min(self.end, other.end)


@dataclass(frozen=True)
class Run:
    """One handler at work under a lease: its token, and when it was there.

    `pauses` are the times at which its process was stopped and did nothing.
    """

    lease: str
    token: int
    span: Span
    pauses: tuple[Span, ...] = ()

    @property
    def active(self) -> Iterator[Span]:
        """The times at which the handler could act."""
        start = self.span.start
        for pause in self.pauses:
            yield Span(start, pause.start)
            start = pause.end
        yield Span(start, self.span.end)


@dataclass(frozen=True)
class Write:
    """An attempt to write to a guarded resource."""

    at: float
    resource: str
    token: int
    accepted: bool


@dataclass
class History:
    """Everything that was seen, to be judged by itself."""

    runs: list[Run] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return what must never happen and yet did, in words."""
        return [*self._overlaps(), *self._token_falls(), *self._stale_writes()]

    def _overlaps(self) -> Iterator[str]:
        for lease, runs in self._by_lease():
            for first, second in pairs(runs):
                if any(a.overlaps(b) for a in first.active for b in second.active):
                    yield (
                        f"two handlers of {lease} at the same time:"
                        f" tokens {first.token} and {second.token}"
                    )

    def _token_falls(self) -> Iterator[str]:
        for lease, runs in self._by_lease():
            for before, after in pairwise(sorted(runs, key=lambda run: run.span.start)):
                if after.token <= before.token:
                    yield f"the token of {lease} fell from {before.token} to {after.token}"

    def _stale_writes(self) -> Iterator[str]:
        highest: dict[str, int] = {}
        for write in sorted(self.writes, key=lambda write: write.at):
            if write.accepted:
                if write.token < highest.get(write.resource, 0):
                    yield f"{write.resource} accepted a write with the old token {write.token}"
                highest[write.resource] = max(write.token, highest.get(write.resource, 0))

    def _by_lease(self) -> Iterator[tuple[str, list[Run]]]:
        for lease in sorted({run.lease for run in self.runs}):
            yield lease, [run for run in self.runs if run.lease == lease]


def pairs(runs: Iterable[Run]) -> Iterator[tuple[Run, Run]]:
    """Return every two of them."""
    earlier: list[Run] = []
    for run in runs:
        for other in earlier:
            yield other, run
        earlier.append(run)
