"""Leases a second over many names, from one process and from several."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from .bench import LEASE, Bench
from .contenders import FLOOR, REPLAY, Contender
from .measure import Usage, cycles, in_turns, ratio
from .table import Table
from .worker import Worker

SOME = ("Lock, by hand", REPLAY, FLOOR, "raw socket")


def measure(bench: Bench) -> list[Table]:
    """Take a new name for every cycle."""
    return [_many_processes(bench), _many_names(bench)]


def _many_processes(bench: Bench) -> Table:
    table = Table(
        "Leases: time for as many, each with a new name",
        "In units of F with as many processes, in the same round. The engine shares the machine:"
        " with several processes it is the limit.",
    )
    table.rows = [{"contender": title} for title in SOME]
    for processes in bench.pick(full=(1, 2, 4), short=(1, 2)):
        team = [Worker() for _ in range(processes)]
        times = bench.pick(full=100, short=15)
        turns = {title: _all_at_once(bench, title, team, times) for title in SOME}
        used = in_turns(bench.pick(full=7, short=1), turns)
        for worker in team:
            worker.kill()
        for title, row in zip(SOME, table.rows, strict=True):
            row[f"processes: {processes}"] = ratio(used[title], used[FLOOR], "wall")
    return table


def _all_at_once(bench: Bench, title: str, team: list[Worker], times: int) -> Callable[[], Usage]:
    numbers = itertools.count()
    job: dict[str, Any] = {"contender": title, "table": bench.table(title), "lease": LEASE}

    def turn() -> Usage:
        names = [f"{next(numbers)}-{{}}" for _ in team]
        running = [
            worker.start("cycles", **job, times=times, name=name)
            for worker, name in zip(team, names, strict=True)
        ]
        done = [job.wait("done") for job in running]
        return Usage(max(one["cpu"] for one in done), max(one["wall"] for one in done))

    return turn


def _many_names(bench: Bench) -> Table:
    rounds, part = bench.pick(full=(100, 100), short=(20, 10))
    table = Table(
        "The last names of many at the cost of the first",
        f"CPU of a cycle in units of F, of {rounds * part:,} names from one process: its first,"
        " middle and last tenths.",
    )
    titles = ("Lock, by hand", "@singleton", FLOOR)
    used = in_turns(rounds, {title: _new_names(bench.make(title), part) for title in titles})
    for title in titles:
        tenth = rounds // 10
        table.rows.append(
            {
                "contender": title,
                **{
                    label: ratio(
                        used[title][start : start + tenth],
                        used[FLOOR][start : start + tenth],
                        "cpu",
                    )
                    for label, start in (("first", 0), ("middle", 5 * tenth), ("last", 9 * tenth))
                },
            }
        )
    return table


def _new_names(contender: Contender, count: int) -> Callable[[], Usage]:
    numbers = itertools.count()
    return lambda: cycles(contender, [f"name-{next(numbers)}" for _ in range(count)])
