"""What a minute costs: of holding a lock, and of waiting for one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from proof.proxy import Proxy

from .bench import LEASE, Bench
from .contenders import load
from .table import Cell, Table
from .units import Units
from .worker import Worker

#: A waiter that never pauses is measured for this long only (seconds).
GREEDY = 2.0

#: They wait like a lock by hand.
ALIKE = {"with Lock", "@singleton", "@singleton, renewed"}


def measure(bench: Bench) -> list[Table]:
    """Hold and wait, all contenders at the same time."""
    return [_holding(bench), _waiting(bench)]


def _holding(bench: Bench) -> Table:
    seconds = bench.pick(full=60.0, short=4.0)
    table = Table(
        "Holding a lock for a minute",
        f"Renewals of a lease of {LEASE:g} s, counted by a proxy"
        + (f"; here of one of {seconds:g} s for as long." if bench.short else "."),
    )

    def hold(title: str) -> Units:
        job = {"contender": title, "table": bench.table(title), "lease": seconds}
        return _counted(bench, seconds, {**job, "name": "a", "hold": seconds + 5}, "granted")

    titles = bench.having("renews")
    with ThreadPoolExecutor(len(titles)) as pool:
        for title, units in zip(titles, pool.map(hold, titles), strict=True):
            table.rows.append({"contender": title, "writes": units.writes, "reads": units.reads})
    return table


def _waiting(bench: Bench) -> Table:
    minute = bench.pick(full=60.0, short=4.0)
    table = Table(
        "Waiting for a minute for a lock that stays held",
        "Read units (a consistent read: 1, another: 0.5) and write units (also of a condition that"
        f" fails: 1), counted by a proxy for {minute:g} s and scaled; of a waiter that never pauses"
        f" for {GREEDY:g} s.",
    )
    titles = [title for title in bench.having("waits") if title not in ALIKE]

    def wait(title: str) -> dict[str, Cell]:
        seconds = GREEDY if load(title).greedy else minute
        # A lease that outlives the wait, and can be held so long.
        job = {"contender": title, "table": bench.table(title), "lease": 3 * LEASE}
        holder.start("guard", **job, name="a", hold=10 * LEASE).wait("granted")
        units = _counted(bench, seconds, {**job, "name": "a", "wait": 2 * LEASE}, None)
        return {
            "contender": title,
            "read units": round(units.reads * 60 / seconds, 1),
            "write units": round(units.writes * 60 / seconds, 1),
        }

    idle = [title for title in titles if not load(title).greedy]
    with Worker() as holder, ThreadPoolExecutor(len(idle)) as pool:
        rows = dict(zip(idle, pool.map(wait, idle), strict=True))
        rows |= {title: wait(title) for title in titles if title not in rows}
    table.rows = [rows[title] for title in titles]
    return table


def _counted(bench: Bench, seconds: float, job: dict[str, Any], begins: str | None) -> Units:
    with Proxy(bench.endpoint) as proxy, Worker(proxy.endpoint) as worker:
        worker.do("make", **job)
        guard = worker.start("guard", **job)
        if begins is not None:
            guard.wait(begins)
        before = len(proxy.requests) if begins else 0
        time.sleep(seconds)
        return Units.of(proxy.requests[before:])
