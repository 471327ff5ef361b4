"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import unicodedata

#: What stands for a fact that nobody knows.
NOTHING = "-"


def terminal_text(text: str) -> str:
    """Write control and invisible characters as escapes.

    Anybody who may write to the table chooses names and holders: none of them moves the cursor,
    sets a title, or turns the direction of reading.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


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
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
