"""Many waiters for one lock: how long until all have had it, and by how many requests."""

from __future__ import annotations

import time
from itertools import combinations
from typing import Any

from .bench import Bench
from .contenders import OTHERS
from .measure import Spread
from .table import Cell, Table
from .worker import Job, NotInTimeError, Worker, WorkerError

#: What each does under the lock (seconds).
WORK = 0.05
#: They ask one after the other, this far apart (seconds), so that there is an order to keep.
APART = 0.005
#: Waiters are threads in this many processes: more would be more than the machine bears.
PROCESSES = 8
LEASE = 2.0
#: Their invocation is too short to wait in.
LEFT_OUT = {"with Lock", "@singleton", "@singleton, direct"}
POLLS = [title for title in OTHERS if "polling" in title]


def measure(bench: Bench) -> list[Table]:
    """Let waiters compete, one contender after the other."""
    titles = [title for title in bench.having("waits") if title not in LEFT_OUT]
    titles += bench.pick(full=POLLS, short=POLLS[1:3])
    return [_measure(bench, waiters, titles) for waiters in bench.pick(full=(8, 64), short=(8,))]


def _measure(bench: Bench, waiters: int, titles: list[str]) -> Table:
    limit = bench.pick(full=30.0, short=3.0)
    table = Table(
        f"Hand-off: {waiters} waiters",
        f"{waiters} waiters in {PROCESSES} processes ask {APART * 1000:g} ms apart, each works for"
        f" {WORK * 1000:g} ms, with leases of {LEASE:g} s; after {limit:g} s it is over. Ideal:"
        f" {waiters * WORK:.2f} s, {2 * waiters} requests, and the order of asking (0 % overtaken;"
        " a lottery: 50 %).",
    )
    team = [Worker() for _ in range(PROCESSES)]
    for title in titles:
        job = {"contender": title, "table": bench.table(title), "lease": LEASE, "name": "a"}
        _warm_up(team, job, waiters)
        rounds: list[Round] = []
        while len(rounds) < bench.pick(full=5, short=1):
            rounds.append(_round(team, job, waiters, limit))
            if rounds[-1].unfinished:
                _dismiss(team)
                team = [Worker() for _ in range(PROCESSES)]
            if rounds[-1].grants < waiters:
                break
        table.rows.append(_row(title, waiters, rounds))
    _dismiss(team)
    return table


class Round:
    """What the waiters saw."""

    def __init__(self, jobs: list[Job], until: float) -> None:
        grants: list[dict[str, Any]] = []
        #: Whether some of them still wait.
        self.unfinished = False
        self.error: str | None = None
        self.requests = 0
        for job in jobs:
            try:
                granted = job.wait("granted", timeout=until - time.time())
                job.wait("done", timeout=until - time.time())
                grants.append(granted)
            except NotInTimeError as error:
                self.unfinished, self.error = True, str(error)
            except WorkerError as error:
                self.error = str(error)
        self.grants = len(grants)
        self.total = max((grant["at"] for grant in grants), default=0.0) + WORK
        self.total -= min((grant["asked"] for grant in grants), default=self.total)
        self.longest = max((grant["at"] - grant["asked"] for grant in grants), default=0.0)
        pairs = list(combinations(sorted(grants, key=lambda grant: grant["asked"]), 2))
        overtaken = sum(later["at"] < earlier["at"] for earlier, later in pairs)
        self.overtaken = 100 * overtaken / max(1, len(pairs))


def _row(title: str, waiters: int, rounds: list[Round]) -> dict[str, Cell]:
    complete = [one for one in rounds if one.grants == waiters]
    return {
        "contender": title,
        "had it": f"{rounds[-1].grants} of {waiters}",
        "total, s": Spread.of(one.total for one in complete),
        "requests": Spread.of(one.requests for one in rounds),
        "longest wait, s": Spread.of(one.longest for one in complete),
        "pairs overtaken, %": Spread.of(one.overtaken for one in complete),
        "why not all": rounds[-1].error,
    }


def _warm_up(team: list[Worker], job: dict[str, Any], waiters: int) -> None:
    # One at a time: what a peer makes for a name is made now, and nobody is refused.
    for slot in range(waiters // PROCESSES):
        making = [worker.start("make", **job, slot=slot) for worker in team]
        for made, worker in zip(making, team, strict=True):
            made.wait("done")
            worker.do("guard", **job, slot=slot, wait=10.0)


def _round(team: list[Worker], job: dict[str, Any], waiters: int, limit: float) -> Round:
    before = _requests(team)
    start = time.time() + 0.2
    jobs = [
        team[i % PROCESSES].start(
            "guard", **job, slot=i // PROCESSES, wait=limit, hold=WORK, at=start + i * APART
        )
        for i in range(waiters)
    ]
    result = Round(jobs, start + limit)
    result.requests = _requests(team) - before
    return result


def _dismiss(team: list[Worker]) -> None:
    for worker in team:
        worker.kill()


def _requests(team: list[Worker]) -> int:
    return sum(worker.do("count")["requests"] for worker in team)
