"""Leases in a SQLite file, for processes of one machine: a store written by public names alone.

    @singleton("nightly-report", duration=60, store=SQLiteStore("leases.db"))
    def handler(event, context): ...

One row for each lease. Each operation is one transaction, which locks the file, reads the row, and
writes it if the operation allows that.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from lambda_singleton import LeaseStoreError
from lambda_singleton.stores import (
    Clock,
    LeaseRecord,
    Loan,
    Operation,
    Progress,
    Reply,
    Success,
    force_release,
)

SCHEMA = "CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY NOT NULL, record TEXT NOT NULL)"
#: How long to wait for the file while others use it, in seconds.
BUSY_TIMEOUT = 2.5


class SQLiteStore:
    """Leases in the SQLite database at `path`, which is made if it is not there.

    `clock_skew` and `kill_grace` are seconds, as in every store. The parties are on one machine and
    read the same clock: it needs no allowance for a skew.
    """

    def __init__(
        self, path: str, *, clock: Clock = time, clock_skew: float = 0.0, kill_grace: float = 2.0
    ) -> None:
        self.clock = clock
        self.clock_skew = clock_skew
        self.kill_grace = kill_grace
        self._path = path

    def __repr__(self) -> str:
        return f"SQLiteStore({self._path!r})"

    def prepare(self, *, timeout: float) -> None:
        """Make the table, the first time."""
        with self._transaction(timeout):
            pass

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        """Apply the operation in one transaction. Raises `LeaseStoreError` if the file is busy."""
        with self._transaction(timeout) as connection:
            record = _read(connection, operation.name)
            if not operation.allows(record):
                return Reply(applied=False, record=record)
            record = operation.apply(record)
            row = (record.name, json.dumps(record._asdict()))
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?)", row)
            return Reply(applied=True, record=record)

    def get(self, name: str) -> LeaseRecord | None:
        """Read one row; None if there is none. Raises `LeaseStoreError` if the file is busy."""
        with self._transaction() as connection:
            return _read(connection, name)

    def records(self) -> Iterator[LeaseRecord]:
        """Read all rows. Raises `LeaseStoreError` if the file is busy."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT record FROM leases").fetchall()
        return (_decode(text) for (text,) in rows)

    def force_release(self, name: str) -> LeaseRecord:
        """Free a lease whoever holds it, and raise its token."""
        return force_release(self, name)

    @contextmanager
    def _transaction(self, timeout: float = BUSY_TIMEOUT) -> Iterator[sqlite3.Connection]:
        # A connection for each request: threads and children of fork() share none.
        try:
            with closing(sqlite3.connect(self._path, timeout, isolation_level=None)) as connection:
                # Locks the file before the row is read: nobody can write in between.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(SCHEMA)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LeaseStoreError(f"{self!r} did not answer: {error}") from error


def _read(connection: sqlite3.Connection, name: str) -> LeaseRecord | None:
    row = connection.execute("SELECT record FROM leases WHERE id = ?", (name,)).fetchone()
    return None if row is None else _decode(row[0])


def _decode(text: str) -> LeaseRecord:
    known = json.loads(text)
    # JSON knows no named tuples.
    for name, kind in (("progress", Progress), ("success", Success), ("loan", Loan)):
        known[name] = None if known.get(name) is None else kind(*known[name])
    return LeaseRecord(**known)
