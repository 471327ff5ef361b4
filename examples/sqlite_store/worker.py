"""One of several processes that use a SQLite store at the same time. Run by the test.

python worker.py race PATH COUNT     ask once for each of COUNT leases, and keep what was won
python worker.py count PATH COUNT    add one to a file's number COUNT times, one process at a time
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lambda_singleton import LeaseHeldError, Lock
from sqlite_store import SQLiteStore


def race(store: SQLiteStore, count: int) -> None:
    for number in range(count):
        try:
            Lock(f"race-{number}", 60, store=store).acquire()
        except LeaseHeldError:
            continue
        print(f"race-{number}")


def add_up(store: SQLiteStore, number: Path, count: int) -> None:
    for _ in range(count):
        with Lock("number", 60, wait=60, store=store):
            # Loses what another process adds between these two.
            before = int(number.read_text())
            number.write_text(str(before + 1))
            print(before + 1)


if __name__ == "__main__":
    task, path, times = sys.argv[1:]
    leases = SQLiteStore(os.path.join(path, "leases.db"))
    if task == "race":
        race(leases, int(times))
    else:
        add_up(leases, Path(path, "number"), int(times))
