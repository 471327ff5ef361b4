"""A log, of which the latest decisions are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from .decision import LONGEST_LINE, Decision

#: A browser has no use for more decisions than these.
MOST_DECISIONS = 20_000


class Log:
    """What is left of a log's lines, however many they are and whatever they say."""

    def __init__(self, lines: Iterable[str], most: int = MOST_DECISIONS) -> None:
        #: In the order of time.
        self.decisions: list[Decision] = []
        self.ignored = 0
        self.left_out = 0
        for line in lines:
            decision = Decision.read(line)
            if decision is not None:
                self.decisions.append(decision)
            elif line.strip():
                self.ignored += 1
            if len(self.decisions) >= 2 * most:
                self.keep(most)
        self.keep(most)

    def keep(self, most: int) -> None:
        """Leave out all but the latest decisions."""
        self.decisions.sort(key=lambda decision: decision.at)
        self.left_out += max(0, len(self.decisions) - most)
        del self.decisions[:-most]


def lines_of(file: BinaryIO) -> Iterable[str]:
    """Yield a file's lines, of those that are too long only as much as shows it."""
    while line := file.readline(LONGEST_LINE + 2):
        yield line.decode(errors="replace")
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
