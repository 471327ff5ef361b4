"""Memory: what the first cycles take, and that more of them take no more."""

from __future__ import annotations

from typing import Any

from .bench import LEASE, Bench
from .contenders import FLOOR
from .table import Cell, Table
from .worker import Worker

SOME = ("Lock, by hand", "with Lock", "@singleton", FLOOR)


def measure(bench: Bench) -> list[Table]:
    """Look at processes before and after many cycles."""
    return [_on_the_engine(bench), _in_memory(bench)]


def _on_the_engine(bench: Bench) -> Table:
    times = bench.pick(full=5000, short=200)
    table = Table(
        "Memory, on the engine",
        f"Of a process, after 50 cycles and after {times:,} more with new names; blocks are those"
        " of Python's allocator.",
    )
    for title in bench.pick(full=SOME, short=("Lock, by hand", FLOOR)):
        job = {"contender": title, "table": bench.table(title), "lease": LEASE}
        table.rows.append({"contender": title, **_growth(job, 50, times)})
    return table


def _in_memory(bench: Bench) -> Table:
    times = bench.pick(full=1_000_000, short=20_000)
    table = Table(
        "Memory, on MemoryStore",
        f"{times:,} cycles of one name.",
    )
    job = {"contender": "MemoryStore", "table": "", "lease": LEASE}
    table.rows.append({"contender": "Lock, by hand", **_growth(job, 1000, times, name="same")})
    return table


def _growth(job: dict[str, Any], first: int, times: int, name: str = "{}") -> dict[str, Cell]:
    with Worker() as worker:
        start = worker.do("count")
        before = worker.do("cycles", **job, times=first, name=f"first-{name}")
        after = worker.do("cycles", **job, times=times, name=name)
        traced = worker.do("cycles", **job, times=first, name=f"traced-{name}", trace=True)
    return {
        "first cycles, MB": (before["memory"] - start["memory"]) / 1e6,
        "more cycles, MB": (after["memory"] - before["memory"]) / 1e6,
        "more cycles, blocks": after["blocks"] - before["blocks"],
        f"traced after {first}, KB": traced["traced"] / 1e3,
    }
