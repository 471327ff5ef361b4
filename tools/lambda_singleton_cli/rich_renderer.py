"""The same with colours, by rich. No colour says what no word says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .changes import Kind
from .columns import GAP, Grid, grid
from .screen import Fact, Picture
from .status import State, Status
from .terminal_text import clip

_STATES = {
    State.HELD: "green",
    State.ENDING: "yellow",
    State.DEAD: "bold red",
    State.RESTING: "cyan",
    State.PAUSED: "magenta",
    State.FREE: "dim",
}
_KINDS = {
    Kind.ACQUIRED: "green",
    Kind.RENEWED: "dim",
    Kind.RELEASED: "",
    Kind.EXPIRED: "bold red",
    Kind.TAKEN_OVER: "magenta",
    Kind.FORCED: "yellow",
    Kind.GONE: "yellow",
}


class RichRenderer:
    """Prints to a terminal. Texts are never read as markup."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)

    def table(self, statuses: Sequence[Status]) -> None:
        """Print one lease a line, in the colour of its state."""
        self._console.print(_table(grid(statuses, self._console.width)))

    def facts(self, title: str, facts: Sequence[Fact]) -> None:
        """Print one fact a line, not cut and without breaks: somebody may want to copy them."""
        self._console.print(Text(title, "bold"), soft_wrap=True)
        label = max(len(fact.label) for fact in facts)
        for fact in facts:
            words = ((f"  {fact.label:{label}}  ", "dim"), (fact.text, _style(fact.state)))
            self._console.print(Text.assemble(*words), soft_wrap=True)

    @contextmanager
    def live(self) -> Iterator[Callable[[Picture], None]]:
        """Take the alternate screen, and leave the last picture behind on the other one."""
        last: Group | None = None

        def show(picture: Picture) -> None:
            nonlocal last
            last = self.picture(picture)
            live.update(last, refresh=True)

        try:
            with Live(console=self._console, screen=True, auto_refresh=False) as live:
                yield show
        finally:
            if last is not None:
                self._console.print(last)

    def picture(self, picture: Picture) -> Group:
        """Return the picture as something that rich draws."""
        width, height = self._console.size
        leases = picture.grid(width, height)
        parts: list[Text | Table] = [
            Text(clip(picture.title, width), "bold"),
            Text(clip(picture.summary(leases), width), "dim"),
            *(Text(clip(note, width), "yellow") for note in picture.notes),
            Text(),
            _table(leases),
            Text(),
        ]
        for line in picture.latest(leases, width, height):
            gap = " " * GAP
            text = Text.assemble(
                (line.when + gap, "dim"),
                line.name + gap,
                (line.word + gap, _KINDS[line.kind]),
                line.rest,
                no_wrap=True,
                overflow="ellipsis",
            )
            parts.append(text)
        return Group(*parts)


def _table(leases: Grid) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for title, width in zip(leases.titles, leases.widths, strict=True):
        table.add_column(title, width=width, no_wrap=True)
    for row in leases.rows:
        name, state, *rest = row.texts
        style = "dim" if row.state is State.FREE else ""
        known = [Text(text, style) for text in rest]
        table.add_row(Text(name, style or "bold"), Text(state, _style(row.state)), *known)
    return table


def _style(state: State | None) -> str:
    return "" if state is None else _STATES[state]
