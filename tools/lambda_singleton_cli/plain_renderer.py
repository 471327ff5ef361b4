"""Aligned text without any colour."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .columns import GAP, Grid, grid
from .screen import Fact, Picture
from .status import Status
from .terminal_text import clip, pad

#: ECMA-48: to the first cell, and erase what follows.
_HOME, _ERASE = "\033[H", "\033[J"


class PlainRenderer:
    """Prints lines of at most `width` cells; None is a place without an edge, such as a file."""

    def __init__(self, width: int | None) -> None:
        self._width = width

    def table(self, statuses: Sequence[Status]) -> None:
        """Print one lease a line."""
        print(*_lines(grid(statuses, self._width)), sep="\n")

    def facts(self, title: str, facts: Sequence[Fact]) -> None:
        """Print one fact a line. They are not cut: somebody may want to copy them."""
        print(title)
        label = max(len(fact.label) for fact in facts)
        for fact in facts:
            print(f"  {fact.label:{label}}  {fact.text}")

    @contextmanager
    def live(self) -> Iterator[Callable[[Picture], None]]:
        """Draw each picture over the one before."""
        print(_HOME + _ERASE, end="")

        def show(picture: Picture) -> None:
            width, height = shutil.get_terminal_size()
            lines = [clip(line, width) for line in _picture(picture, width, height)]
            print(_HOME + _ERASE + "\n".join(lines), flush=True)

        yield show


def _picture(picture: Picture, width: int, height: int) -> Iterator[str]:
    leases = picture.grid(width, height)
    yield picture.title
    yield picture.summary(leases)
    yield from picture.notes
    yield ""
    yield from _lines(leases)
    if picture.changes:
        yield ""
    for line in picture.latest(leases, width, height):
        yield (" " * GAP).join([line.when, line.name, line.word, line.rest])


def _lines(table: Grid) -> Iterator[str]:
    for texts in [[title.upper() for title in table.titles], *(row.texts for row in table.rows)]:
        cells = [pad(text, width) for text, width in zip(texts, table.widths, strict=True)]
        yield (" " * GAP).join(cells).rstrip()
