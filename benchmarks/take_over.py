"""How soon a waiter has the lock of a holder that was killed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from .bench import Bench
from .contenders import load
from .measure import Spread
from .table import Table
from .worker import Worker, WorkerError

LEASE = 2.0
CLOCK_SKEW = 1.0
#: The waiters' patience (seconds).
REQUEST_TIMEOUT = 15.0
#: These do not renew: a killed one is no other case.
LEFT_OUT = {"Lock, by hand", "@singleton"}


def measure(bench: Bench) -> list[Table]:
    """Kill holders, several contenders at a time."""
    rounds = bench.pick(full=9, short=1)
    table = Table(
        "Take-over from a killed holder",
        f"Seconds from the end of its lease of {LEASE:g} s, counted from before it was asked for,"
        " to the grant of a waiter in another process. This library promises not before"
        f" {CLOCK_SKEW:g} (its `clock_skew`); less than 0 is a lock taken from a holder that may be"
        " alive.",
    )
    titles = [title for title in bench.having("waits") if title not in LEFT_OUT]
    idle = [title for title in titles if not load(title).greedy]
    with ThreadPoolExecutor(bench.pick(full=4, short=9)) as pool:
        taken = pool.map(lambda title: _rounds(bench, title, rounds), idle)
        found = dict(zip(idle, taken, strict=True))
    # A hot loop would be in the others' way.
    found |= {title: _rounds(bench, title, rounds) for title in titles if title not in found}
    for title in titles:
        distances = [distance for distance in found[title] if isinstance(distance, float)]
        errors = [error for error in found[title] if isinstance(error, str)]
        table.rows.append(
            {
                "contender": title,
                "after the end, s": Spread.of(distances),
                "earliest, s": min(distances, default=None),
                "latest, s": max(distances, default=None),
                "taken over": f"{len(distances)} of {rounds}",
                "why not all": errors[0] if errors else None,
            }
        )
    return [table]


def _rounds(bench: Bench, title: str, rounds: int) -> list[float | str]:
    job = {"contender": title, "table": bench.table(title), "lease": LEASE}
    with Worker() as waiter:
        waiter.do("guard", **job, name="warm-up")
        return [_round(waiter, {**job, "name": str(number)}) for number in range(rounds)]


def _round(waiter: Worker, job: dict[str, object]) -> float | str:
    with Worker() as holder:
        holder.do("guard", **{**job, "name": "warm-up"})
        granted = holder.start("guard", **job, hold=60.0).wait("granted")
        waiting = waiter.start("guard", **job, wait=REQUEST_TIMEOUT)
        time.sleep(0.3)
    try:
        taken = waiting.wait("granted", timeout=REQUEST_TIMEOUT + 5)
        waiting.wait("done")
    except WorkerError as error:
        return str(error)
    return float(taken["at"] - granted["asked"] - LEASE)
