"""A scene's lanes, drawn against time."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .lane import Lane

#: Tokens have as many digits as epoch milliseconds.
TOKEN_WIDTH = 13

LEGEND = (
    ("█", "green", "handler at work"),
    ("░", "yellow", "process stopped"),
    ("▪", "red", "dead, still blocking"),
    ("│", "blue", "held: refused"),
    ("✕", "red", "killed"),
    ("ϟ", "magenta", "interrupted"),
    ("✎", "green", "write accepted"),
    ("⊘", "magenta", "write refused"),
)


def legend() -> Table:
    """Explain the signs."""
    table = Table.grid(padding=(0, 2))
    signs = [Text(f"{sign} ", style=style).append(text, "dim") for sign, style, text in LEGEND]
    for row in (signs[:4], signs[4:]):
        table.add_row("", *row)
    return table


def draw(console: Console, lanes: list[Lane]) -> None:
    """Print the lanes of one scene."""
    start = min(lane.tries[0].started for lane in lanes)
    end = max(start + 1.0, *(lane.outcome.ended for lane in lanes))
    endings = [_ending(lane) for lane in lanes]
    taken = max(len(lane.label) for lane in lanes) + max(len(text.plain) for text in endings)
    width = max(20, min(64, console.width - taken - TOKEN_WIDTH - 8))

    def column(at: float) -> int:
        return min(width - 1, max(0, int((at - start) / (end - start) * width)))

    table = Table.grid(padding=(0, 1), pad_edge=True)
    table.add_row("", "", Text("token", style="dim"), Text("outcome", style="dim"))
    for lane, ending in zip(lanes, endings, strict=True):
        token = "" if lane.run is None else str(lane.run.token)
        bar = _bar(lane, lanes, column, width)
        table.add_row(Text(lane.label, style="bold"), bar, token, ending)
    table.add_row("", _axis(end - start, width), "", "")
    console.print(table)


def _bar(lane: Lane, lanes: list[Lane], column: Callable[[float], int], width: int) -> Text:
    cells: list[tuple[str, str]] = [("·", "dim")] * width
    for outcome in lane.tries:
        if outcome.error_type == "LeaseHeldError" or lane.skipped or lane.shared:
            cells[column(outcome.ended)] = ("│", "blue")
    run = lane.run
    if run is not None:
        for cell in range(column(run.span.start), column(run.span.end) + 1):
            cells[cell] = ("█", "green")
        for pause in run.pauses:
            for cell in range(column(pause.start), column(pause.end) + 1):
                cells[cell] = ("░", "yellow")
        died_at = _died_at(lane)
        if died_at is not None:
            others = [o.run for o in lanes if o is not lane and o.run is not None]
            followers = [r.span.start for r in others if r.span.start > died_at]
            if followers:
                for cell in range(column(died_at), column(min(followers))):
                    cells[cell] = ("▪", "red")
            cells[column(died_at)] = ("✕", "red bold")
        elif lane.outcome.error_type == "LeaseLostError":
            cells[column(run.span.end)] = ("ϟ", "magenta bold")
    bar = Text()
    for sign, style in cells:
        bar.append(sign, style=style)
    return bar


def _died_at(lane: Lane) -> float | None:
    if lane.killed_at is not None:
        return lane.killed_at
    return lane.outcome.ended if lane.outcome.error_type == "Sandbox.Timedout" else None


def _ending(lane: Lane) -> Text:
    text = Text("done", style="green")
    if lane.skipped or lane.shared:
        text = Text("skipped" if lane.skipped else "shared a run", style="blue")
    elif lane.outcome.error_type is not None:
        text = Text(lane.outcome.error_type, style="red")
    for accepted in lane.writes:
        text.append(" ✎" if accepted else " ⊘", "green" if accepted else "magenta")
    return text


def _axis(seconds: float, width: int) -> Text:
    step = next(step for step in (1, 2, 5, 10, 20, 60, 600) if seconds / step * 5 <= width)
    axis = [" "] * (width + 4)
    for tick in range(0, int(seconds) + 1, step):
        for offset, sign in enumerate(f"{tick} s"):
            axis[min(len(axis) - 1, int(tick / seconds * width) + offset)] = sign
    return Text("".join(axis), style="dim")
