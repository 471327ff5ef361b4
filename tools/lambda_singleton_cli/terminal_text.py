"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import unicodedata

from lambda_singleton._text import plain, quoted

__all__ = ["NOTHING", "clip", "message", "pad", "quoted", "terminal_text", "width_of"]

#: What stands for a fact that nobody knows.
NOTHING = "-"

#: What is shown of one message at most, in signs.
_MESSAGE = 4000


def terminal_text(text: str) -> str:
    """Write what cannot be seen as escapes, and leave out the middle of what is endless.

    Anybody who may write to the table chooses names and holders: none of them moves the cursor,
    sets a title, or turns the direction of reading.
    """
    return plain(text, _MESSAGE)


def message(text: str) -> str:
    """Do the same for what the package says, which has its escapes already."""
    return plain(text, _MESSAGE, is_escaped=True)


def width_of(text: str) -> int:
    """Return how many of a terminal's cells the text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def clip(text: str, most: int) -> str:
    """Take the middle out of what is wider than `most` cells: keys differ at their ends."""
    if width_of(text) <= most:
        return text
    head, tail = list(text[: len(text) // 2]), list(text[len(text) // 2 :])
    while head and width_of("".join(head)) > most // 2:
        head.pop()
    while tail and width_of("".join(tail)) > most - most // 2 - 1:
        tail.pop(0)
    return "".join([*head, "…", *tail])


def pad(text: str, width: int) -> str:
    """Fill up with blanks."""
    return text + " " * (width - width_of(text))


def _cells(sign: str) -> int:
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
