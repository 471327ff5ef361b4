"""What was measured, as rows that print as Markdown and go into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .measure import Spread

Cell = str | int | float | Spread | None


@dataclass
class Table:
    """Rows with the same columns, and a note on how to read them."""

    title: str
    note: str
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return it as a heading, the note and a table."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        cells = [columns, *([_text(row.get(column)) for column in columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = [_line(line, widths) for line in cells]
        rule = "|".join(
            ["", *("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)), ""]
        )
        return "\n".join([f"## {self.title}", "", self.note, "", lines[0], rule, *lines[1:], ""])

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON can say."""
        rows = [
            {
                column: vars(cell) if isinstance(cell, Spread) else cell
                for column, cell in row.items()
            }
            for row in self.rows
        ]
        return {"title": self.title, "note": self.note, "rows": rows}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Table:
        """Return what `as_json` has said."""
        rows: list[dict[str, Cell]] = [
            {
                column: Spread(**cell) if isinstance(cell, dict) else cell
                for column, cell in row.items()
            }
            for row in said["rows"]
        ]
        return cls(said["title"], said["note"], rows)


def _line(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {first[0]:{first[1]}} |" + "".join(f" {cell:>{width}} |" for cell, width in others)


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case Spread():
            low, high = _number(cell.low), _number(cell.high)
            middle = _number(cell.median)
            return middle if low == high else f"{middle} ({low} to {high})"
        case float():
            return _number(cell)
        case _:
            return str(cell)


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 0.1
        else f"{value:.2g}"
    )
