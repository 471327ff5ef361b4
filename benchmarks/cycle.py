"""CPU and time of taking a lock and giving it back, beside F in the same round."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from .bench import Bench
from .contenders import FLOOR, OURS, REPLAY, Contender
from .measure import Spread, Usage, cycles, in_turns, ratio
from .table import Cell, Table

#: A turn of one contender takes about this long (seconds).
TURN = 0.15
WAYS = ("fixed", "changing")
Used = dict[tuple[str, str], list[Usage]]


def measure(bench: Bench) -> list[Table]:
    """Let all take turns, with one name and with a new name for each cycle."""
    seconds = bench.pick(full=TURN, short=TURN / 3)
    turns: dict[tuple[str, str], Callable[[], Usage]] = {}
    for title in bench.contenders:
        contender = bench.make(title)
        turns |= {(title, way): _turn(contender, way, seconds) for way in WAYS}
    used = in_turns(bench.pick(full=25, short=4), turns)
    return [_ratios(bench.contenders, used), _beside_its_calls(used)]


def _turn(contender: Contender, way: str, seconds: float) -> Callable[[], Usage]:
    numbers = itertools.count()
    times = 3

    def names(count: int) -> list[str]:
        return ["fixed" if way == "fixed" else f"name-{next(numbers)}" for _ in range(count)]

    def turn() -> Usage:
        nonlocal times
        # The processor's caches are full of what the one before has left.
        cycles(contender, names(2))
        usage = cycles(contender, names(times))
        if times == 3:
            times = max(4, min(50, round(seconds / usage.wall)))
        return usage

    return turn


def _ratios(titles: list[str], used: Used) -> Table:
    table = Table(
        "A cycle: acquire and release",
        "In units of F in the same round: the median of the rounds, with its quartiles; the last"
        " column only tells what a unit was in this run. Peers on Node.js measure themselves.",
    )
    for title in titles:
        row: dict[str, Cell] = {"contender": title}
        for way in WAYS:
            row[f"CPU, {way} name"] = ratio(used[title, way], used[FLOOR, way], "cpu")
        for way in WAYS:
            row[f"time, {way} name"] = ratio(used[title, way], used[FLOOR, way], "wall")
        cpu = Spread.of(usage.cpu * 1000 for usage in used[title, "fixed"])
        row["CPU, ms"] = cpu and cpu.median
        table.rows.append(row)
    return table


def _beside_its_calls(used: Used) -> Table:
    table = Table(
        "A cycle beside its own two calls",
        "This library and its very two client calls, sent again without it in the same round. The"
        " engine takes longer for its conditions than for F's; what remains is the library's own."
        " CPU is the difference of two large numbers: the next table is less noisy.",
    )
    for title in OURS:
        row: dict[str, Cell] = {"contender": title}
        for way in WAYS:
            ours, calls = used[title, way], used[REPLAY, way]
            row[f"time / the calls, {way} name"] = ratio(ours, calls, "wall")
            row[f"CPU / the calls, {way} name"] = ratio(ours, calls, "cpu")
            more = Spread.of((a.cpu - b.cpu) * 1e6 for a, b in zip(ours, calls, strict=True))
            row[f"CPU over them, {way} name, us"] = more
        table.rows.append(row)
    return table
