"""How long to wait before trying again."""

from __future__ import annotations

from random import SystemRandom

# The default generator's state is part of a SnapStart snapshot: every clone would draw the same.
random = SystemRandom()


class Backoff:
    """Growing, fully jittered delays: `first` seconds doubled up to `longest`, times 0.5 to 1."""

    def __init__(self, first: float, longest: float) -> None:
        self._next = first
        self._longest = longest

    def delay(self) -> float:
        """Return the next delay in seconds."""
        delay = min(self._next, self._longest)
        self._next = delay * 2
        return delay * random.uniform(0.5, 1.0)
