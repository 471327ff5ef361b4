"""Real processes, a real engine: never two at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lambda_singleton import DynamoDBStore, Lease, LeaseHeldError, Lock
from proof.history import Event, History

WORKER = Path(__file__).parents[1] / "handlers" / "worker.py"


def test_of_fifty_callers_at_once_one_gets_the_lease(dynamodb: DynamoDBStore, name: str) -> None:
    lock = Lock(name, 60, store=dynamodb)

    def attempt(_: int) -> Lease | None:
        try:
            return lock.acquire()
        except LeaseHeldError:
            return None

    with ThreadPoolExecutor(50) as pool:
        leases = [lease for lease in pool.map(attempt, range(50)) if lease is not None]
    assert len(leases) == 1


def test_of_four_processes_each_name_has_one_winner(
    lambda_variables: Mapping[str, str], name: str
) -> None:
    output = run_workers(lambda_variables, "race", name, "100")
    winners = Counter(line["won"] for line in output)
    assert set(winners) == {f"{name}-{number}" for number in range(100)}
    assert set(winners.values()) == {1}


def test_processes_that_wait_for_each_other_never_overlap(
    lambda_variables: Mapping[str, str], name: str
) -> None:
    output = run_workers(lambda_variables, "queue", name, "10")
    history = History(Event.from_json(json.dumps(line)) for line in output)
    assert len(history.runs) == 40
    assert history.violations() == []


def run_workers(
    variables: Mapping[str, str], *arguments: str, processes: int = 4
) -> list[dict[str, Any]]:
    workers = [
        subprocess.Popen(
            [sys.executable, WORKER, *arguments],
            env=dict(variables),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    lines = "".join(worker.communicate(timeout=100)[0] for worker in workers).splitlines()
    assert [worker.returncode for worker in workers] == [0] * processes
    return [json.loads(line) for line in lines]
