"""Where a command's answer goes: a terminal with rich or without, a file or a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from .changes import Change, Kind
from .columns import Grid, grid
from .status import State, Status
from .terminal_text import clip, pad, width_of
from .times import at_a_glance

#: Lines of a live picture that are neither leases nor changes.
_FRAME = 6

#: Lines that changes get at least, if there are any.
_CHANGES = 6


#: Lines that notes get at most, without the one that counts the rest.
_NOTES = 3


class Fact(NamedTuple):
    """One line about a lease. The state gives it a colour."""

    label: str
    text: str
    state: State | None = None


class Line(NamedTuple):
    """One change on the screen; its texts stand below each other."""

    when: str
    name: str
    word: str
    rest: str
    kind: Kind


class Picture(NamedTuple):
    """What `watch` shows at one moment, the latest change last."""

    title: str
    statuses: Sequence[Status]
    changes: Sequence[Change]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        title: str,
        statuses: Iterable[Status],
        changes: Sequence[Change],
        notes: Sequence[str] = (),
    ) -> Picture:
        """Leave out notes where there are too many: the leases are what somebody wants to see."""
        more = len(notes) - _NOTES
        shown = [*notes[:_NOTES], f"and {more} more notes"] if more > 0 else notes
        return cls(title, list(statuses), changes, shown)

    def grid(self, width: int, height: int) -> Grid:
        """Return the leases; where there is no room for all of them, those that are in use."""
        room = max(1, height - _FRAME - len(self.notes) - min(_CHANGES, len(self.changes)))
        by_use = sorted(self.statuses, key=lambda status: status.state is State.FREE)
        shown = sorted(by_use[:room], key=lambda status: status.record.name)
        return grid(shown, width)

    def latest(self, leases: Grid, width: int, height: int) -> list[Line]:
        """Return the changes that fit below the leases, the latest one first."""
        room = max(1, height - _FRAME - len(self.notes) - len(leases.rows))
        latest = self.changes[: -room - 1 : -1]
        texts = [change.texts for change in latest]
        names = [clip(name, max(16, width // 4)) for name, _, _ in texts]
        widest = max(map(width_of, names), default=0)
        longest = max((len(word) for _, word, _ in texts), default=0)
        return [
            Line(
                at_a_glance(change.status.now, change.status.now),
                pad(name, widest),
                pad(word, longest),
                rest,
                change.kind,
            )
            for change, name, (_, word, rest) in zip(latest, names, texts, strict=True)
        ]

    def summary(self, leases: Grid) -> str:
        """Count the leases by state, and say how many are not shown."""
        counts = [(state, sum(one.state is state for one in self.statuses)) for state in State]
        words = [f"{count} {state}" for state, count in counts if count]
        if hidden := len(self.statuses) - len(leases.rows):
            words.append(f"{hidden} not shown")
        return ", ".join(words) or "no leases"


class Renderer(Protocol):
    """Draws what others have decided."""

    def table(self, statuses: Sequence[Status]) -> None:
        """Print a table of leases."""

    def facts(self, title: str, facts: Sequence[Fact]) -> None:
        """Print all about one lease."""

    def live(self) -> AbstractContextManager[Callable[[Picture], None]]:
        """Take the whole screen, and return what replaces the picture on it."""


def is_screen() -> bool:
    """Whether a picture can be drawn over the one before it."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
