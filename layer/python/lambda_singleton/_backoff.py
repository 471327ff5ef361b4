"""How long to wait before trying again."""

from __future__ import annotations

import os


def uniform(a: float, b: float) -> float:
    """Return a random number from a to b.

    Not by the default generator: its state is part of a SnapStart snapshot, and every clone would
    draw the same.
    """
    return a + (b - a) * int.from_bytes(os.urandom(7)) / 2**56


class Backoff:
    """Growing, fully jittered delays: `first` seconds doubled up to `longest`, times 0.5 to 1."""

    def __init__(self, first: float, longest: float) -> None:
        self._next = first
        self._longest = longest

    def delay(self) -> float:
        """Return the next delay in seconds."""
        delay = min(self._next, self._longest)
        self._next = delay * 2
        return delay * uniform(0.5, 1.0)
