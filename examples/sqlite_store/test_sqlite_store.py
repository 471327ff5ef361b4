"""The store passes the kit, and keeps real processes apart."""

from __future__ import annotations

import ast
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from lambda_singleton import LeaseStore, LeaseStoreError, singleton
from lambda_singleton_testkit import StoreContract
from sqlite_store import SQLiteStore

HERE = Path(__file__).parent
PROCESSES = 4


class TestSQLiteStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _use(self, tmp_path: Path) -> None:
        self.path = tmp_path / "leases.db"

    def open_store(self) -> LeaseStore:
        return SQLiteStore(str(self.path))


def run_processes(task: str, folder: Path, count: int) -> list[str]:
    command = [sys.executable, str(HERE / "worker.py"), task, str(folder), str(count)]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    lines = [line for worker in workers for line in worker.communicate(timeout=60)[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    return lines


def test_of_four_processes_each_lease_has_one_winner(tmp_path: Path) -> None:
    winners = Counter(run_processes("race", tmp_path, 50))
    assert winners == {f"race-{number}": 1 for number in range(50)}


def test_processes_that_wait_for_each_other_lose_no_update(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    lines = run_processes("count", tmp_path, 5)
    assert sorted(map(int, lines)) == list(range(1, 5 * PROCESSES + 1))
    assert number.read_text() == str(5 * PROCESSES)


def test_a_file_that_stays_busy_is_an_error_of_the_store(tmp_path: Path) -> None:
    path = str(tmp_path / "leases.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(LeaseStoreError, match="locked"):
            SQLiteStore(path).prepare(timeout=0.01)


def test_a_handler_uses_it(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "leases.db"))

    @singleton("nightly-report", 60, store=store)
    def handler(event: object, context: object) -> str:
        record = store.get("nightly-report")
        return "held" if record is not None and record.owner is not None else "free"

    assert handler({}, None) == "held"
    record = store.get("nightly-report")
    assert record is not None
    assert record.owner is None
    assert (record.last_run or {})["outcome"] == "succeeded"


def test_it_imports_public_names_only() -> None:
    for file in ("sqlite_store.py", "worker.py"):
        for node in ast.walk(ast.parse((HERE / file).read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lambda_singleton"):
                parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                assert not [part for part in parts if part.startswith("_")]
