"""A place in a run of a scenario where something can go wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

#: The thread that holds the lease, or any other that runs the package's code.
Role = Literal["holder", "other"]


class Point(NamedTuple):
    """The `nth` time that a thread of this role comes to this line, or instruction, of `file`."""

    role: Role
    file: str
    line: int
    nth: int
    #: Offset of the instruction; -1: the line as a whole.
    offset: int = -1
    function: str = ""
    #: Whether it is where the function begins.
    first: bool = False
    #: Whether nothing is done there, as at `try:`.
    idle: bool = False

    def __str__(self) -> str:
        instruction = "" if self.offset < 0 else f"+{self.offset}"
        return f"{self.role}:{self.file}:{self.line}{instruction}#{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` has written."""
        place, _, nth = text.partition("#")
        role, file, line = place.split(":")
        number, _, offset = line.partition("+")
        kept: Role = "holder" if role == "holder" else "other"
        return cls(kept, file, int(number), int(nth), int(offset or -1))

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        """What tells it from others."""
        return self[:5]
