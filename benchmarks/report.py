"""The tables and plots of a run, for the documentation.

Usage: python -m benchmarks.report RESULTS.json --out docs/performance
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from .contenders import FLOOR, FLOORS, OTHERS, OURS
from .measure import Spread
from .table import Table

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib import ticker

# From the palette of Okabe and Ito, which the colour-blind can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"

TABLES = """# All tables of a run

Written by `benchmarks.report`; what they say is in [README.md](README.md).
"""
COST = """# What it costs

Written by `benchmarks.report` from what one run has counted, and from prices of November 2026.

A short job pays for two writes, and for the time that they take. A long one pays for its renewals
as well: three in each lease's length, so that a longer `duration` costs less. Who is skipped pays
for one write. Who waits pays for looks, at a fifth of a write: waiting in a state machine costs
less than in a function, which pays for its own time as well.

**Below a million runs a month, metrics cost more than leases.** CloudWatch takes 0.30 dollars for a
metric and month. A run sends five for its lease's name, and troubles up to six more: up to 1.50
dollars a month where all goes well, against 0.0009 for the leases of an hourly job. Keys are no
dimension, so that a thousand tenants pay for five metrics as well.
`SINGLETON_METRICS_DISABLED=true` turns them off; the logs tell the same. An alarm is another 0.10 a
month, a dashboard 3.00 after the first three of an account.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `tables.md`, `cost.md` and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="what --json has written")
    parser.add_argument("--out", type=Path, required=True, help="the folder")
    options = parser.parse_args(arguments)
    said = json.loads(options.results.read_text())
    parts = {
        part: [Table.from_json(table) for table in tables] for part, tables in said["parts"].items()
    }
    options.out.mkdir(parents=True, exist_ok=True)
    of_money = {part: parts.pop(part) for part in ("cost", "telemetry") if part in parts}
    for name, title, chosen in (("tables", TABLES, parts), ("cost", COST, of_money)):
        tables = [table.markdown() for part in chosen.values() for table in part]
        (options.out / f"{name}.md").write_text("\n".join([title, *tables]))
    for name, draw in PICTURES.items():
        if name in parts:
            figure = draw(parts[name])
            figure.savefig(options.out / f"{name}.png", dpi=130, facecolor="white")
            plt.close(figure)


def _cycle(tables: Sequence[Table]) -> Any:
    rows = tables[0].rows
    figure, axes = _plot(len(rows), "CPU of a cycle, in units of F (less is better)")
    for way, color, shift in (("fixed", BLUE, -0.15), ("changing", ORANGE, 0.15)):
        _points(axes, rows, f"CPU, {way} name", color, shift=shift, label=f"{way} name")
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.5, 1, 2, 5, 10, 50], ["0.1", "0.5", "1", "2", "5", "10", "50"])
    axes.legend()
    return figure


def _cold_start(tables: Sequence[Table]) -> Any:
    rows = tables[0].rows
    figure, axes = _plot(len(rows), "Cold start with nothing imported: CPU, in units of F")
    _points(axes, rows, "CPU / F", BLUE)
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--")
    axes.set_xlim(left=0)
    return figure


def _take_over(tables: Sequence[Table]) -> Any:
    rows = [row for row in tables[0].rows if row["after the end, s"] is not None]
    figure, axes = _plot(len(rows), "Grant to a waiter after a holder was killed (seconds)")
    axes.axvline(0, color=ORANGE, linewidth=1, label="end of its lease")
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--", label="+ clock_skew of this library")
    for place, row in enumerate(rows):
        axes.plot([row["earliest, s"], row["latest, s"]], [place, place], color=GREY, linewidth=1)
    _points(axes, rows, "after the end, s", BLUE)
    axes.legend(loc="upper center")
    return figure


def _hand_off(tables: Sequence[Table]) -> Any:
    figure, all_axes = plt.subplots(
        1, len(tables), figsize=(7 * len(tables), 6), layout="constrained", squeeze=False
    )
    for axes, table in zip(all_axes[0], tables, strict=True):
        axes.set(title=table.title, xlabel="requests", ylabel="seconds until all have had it")
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.ScalarFormatter())
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.margins(x=0.3, y=0.15)
        axes.grid(color="#DDDDDD", linewidth=0.5)
        points = {str(row["contender"]): _point(row) for row in table.rows}
        polls = sorted(
            point for title, point in points.items() if point and title in {FLOOR, *OTHERS}
        )
        axes.plot(*zip(*polls, strict=True), color=GREY, linewidth=1, linestyle="--")
        for number, (title, point) in enumerate(points.items()):
            if point is None:
                continue
            color, marker = _look(title)
            axes.plot(*point, color=color, marker=marker, markersize=8)
            # Neighbours have theirs above and below.
            below = number % 2
            axes.annotate(
                title.replace("polling every ", "").replace("F: two boto3 calls", "F, 100 ms"),
                point,
                xytext=(7, -10) if below else (7, 5),
                textcoords="offset points",
                fontsize=8,
                color=color,
            )
    return figure


def _plot(rows: int, title: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(8.5, 1.5 + 0.32 * rows), layout="constrained")
    axes.set_title(title)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _points(
    axes: Any,
    rows: Sequence[Mapping[str, Any]],
    column: str,
    color: str,
    *,
    shift: float = 0.0,
    label: str | None = None,
) -> None:
    shown = [(place, row[column]) for place, row in enumerate(rows) if row.get(column)]
    axes.errorbar(
        [spread.median for _, spread in shown],
        [place + shift for place, _ in shown],
        xerr=[
            [spread.median - spread.low for _, spread in shown],
            [spread.high - spread.median for _, spread in shown],
        ],
        fmt="o",
        color=color,
        label=label,
    )
    axes.set_yticks(range(len(rows)), [str(row["contender"]) for row in rows])


def _point(row: Mapping[str, Any]) -> tuple[float, float] | None:
    total, requests = row["total, s"], row["requests"]
    if not isinstance(total, Spread) or not isinstance(requests, Spread):
        return None
    return requests.median, total.median


def _look(title: str) -> tuple[str, str]:
    if title in OURS:
        return BLUE, "o"
    return (GREY, "s") if title in {*FLOORS, *OTHERS} else (ORANGE, "^")


PICTURES = {
    "cycle": _cycle,
    "cold_start": _cold_start,
    "take_over": _take_over,
    "hand_off": _hand_off,
}


if __name__ == "__main__":
    main()
