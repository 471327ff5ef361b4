"""Requests, counted on the wire, and threads: of each operation."""

from __future__ import annotations

from typing import Any

from proof.proxy import Proxy

from .bench import LEASE, Bench
from .contenders import load
from .table import Cell, Table
from .units import Units
from .worker import Worker


def measure(bench: Bench) -> list[Table]:
    """Count for each contender, through a proxy."""
    table = Table(
        "Requests and threads",
        "Counted by a proxy, of a lock that was used before; a failed acquire does not wait."
        " Renewals are in the table of what a minute costs.",
    )
    with Proxy(bench.endpoint) as proxy, Worker(proxy.endpoint) as worker, Worker() as holder:
        count = Counting(proxy, worker, holder)
        table.rows = [
            {"contender": title, **count.of(title, bench.table(title))}
            for title in bench.contenders
        ]
    return [table]


class Counting:
    """One contender after the other, in a worker behind a proxy, beside another that holds."""

    def __init__(self, proxy: Proxy, worker: Worker, holder: Worker) -> None:
        self._proxy = proxy
        self._worker = worker
        self._holder = holder
        self._heard = 0

    def of(self, title: str, table: str) -> dict[str, Cell]:
        """Return what its operations take."""
        kind = load(title)
        job = {"contender": title, "table": table, "lease": LEASE}
        idle = self._worker.do("count")["threads"]
        self._new_requests()
        self._worker.do("make", **job)
        construction = self._new_requests()
        self._worker.do("guard", **job, name="a")
        self._new_requests()
        start = len(self._proxy.requests)
        acquire, release, threads = self._guard(job, "a")
        cycle = Units.of(self._proxy.requests[start:])
        failed = self._refused(job) if kind.fails_fast else None
        another, _, _ = self._guard(job, "b")
        return {
            "construction": construction,
            "acquire": acquire,
            "release": release,
            "failed acquire": failed or "waits a lease",
            "acquire another name": another,
            "threads while held": None if kind.elsewhere else threads - idle,
            "write units a cycle": cycle.writes,
            "read units a cycle": cycle.reads,
        }

    def _guard(self, job: dict[str, Any], name: str) -> tuple[int, int, int]:
        guard = self._worker.start("guard", **job, name=name, hold=0.05)
        granted = guard.wait("granted")
        acquire = self._new_requests()
        guard.wait("done")
        return acquire, self._new_requests(), granted["threads"]

    def _refused(self, job: dict[str, Any]) -> int:
        holding = self._holder.start("guard", **job, name="a", hold=0.2)
        holding.wait("granted")
        self._worker.start("guard", **job, name="a").wait("held")
        refused = self._new_requests()
        holding.wait("done")
        return refused

    def _new_requests(self) -> int:
        before, self._heard = self._heard, len(self._proxy.requests)
        return self._heard - before
