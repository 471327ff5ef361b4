"""What a table of leases says about each, and what it leaves out where there is no room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lambda_singleton._clock import epoch

from .status import State, Status
from .terminal_text import NOTHING, clip, terminal_text, width_of
from .times import at_a_glance, relative, rough

#: Blanks between columns.
GAP = 2

#: The least that is left of a name, in cells.
_LEAST = 6


class Column(NamedTuple):
    """`importance` decides which columns a narrow terminal does without: the highest ones."""

    title: str
    importance: int
    text: Callable[[Status], str]


class Row(NamedTuple):
    """One lease, in as many texts as there are columns."""

    state: State
    texts: list[str]


class Grid(NamedTuple):
    """What a renderer draws as it stands: nothing in it is wider than asked for."""

    titles: list[str]
    widths: list[int]
    rows: list[Row]


def who(status: Status) -> str:
    """Say in a few words who holds the lease."""
    holder = status.holder
    name = holder.get("function") or holder.get("host") or holder.get("paused_by")
    words = [name, holder.get("request_id", "")[:8]]
    if "process" in holder:
        words.append(f"pid {holder['process']}")
    return terminal_text(" ".join(word for word in words if word)) or "somebody"


def _last_run(status: Status) -> str:
    run = status.last_run
    ended = epoch(run.get("ended"))
    words = [terminal_text(run.get("outcome", "")), ended and relative(ended, status.now)]
    return " ".join(word for word in words if word) or NOTHING


COLUMNS = (
    Column("lease", 0, lambda status: terminal_text(status.record.name)),
    Column("state", 1, lambda status: status.state.value),
    Column("holder", 3, lambda status: NOTHING if status.record.owner is None else who(status)),
    Column(
        "since",
        6,
        lambda status: NOTHING if status.since is None else at_a_glance(status.since, status.now),
    ),
    Column(
        "until",
        2,
        lambda status: NOTHING if status.until is None else relative(status.until, status.now),
    ),
    Column("last run", 4, _last_run),
    Column("age", 5, lambda status: NOTHING if status.age is None else rough(status.age)),
)


def grid(statuses: Sequence[Status], width: int | None) -> Grid:
    """Say all, or as much as fits into `width` cells; None is a place without an edge."""
    texts = {column: [column.text(status) for status in statuses] for column in COLUMNS}
    if width is not None:
        for column in (COLUMNS[0], COLUMNS[2]):
            texts[column] = [clip(text, max(16, width // 3)) for text in texts[column]]
    columns = list(COLUMNS)
    while width is not None and len(columns) > 2 and _width_of(columns, texts) > width:
        columns.remove(max(columns, key=lambda column: column.importance))
    if width is not None and (excess := _width_of(columns, texts) - width) > 0:
        room = max(_LEAST, _width_of(columns[:1], texts) - excess)
        texts[columns[0]] = [clip(text, room) for text in texts[columns[0]]]
    return Grid(
        [column.title for column in columns],
        [_width_of([column], texts) for column in columns],
        [
            Row(status.state, [texts[column][number] for column in columns])
            for number, status in enumerate(statuses)
        ],
    )


def _width_of(columns: Sequence[Column], texts: dict[Column, list[str]]) -> int:
    widest = [max(map(width_of, [column.title, *texts[column]])) for column in columns]
    return sum(widest) + GAP * (len(columns) - 1)
