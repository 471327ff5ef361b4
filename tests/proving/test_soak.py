"""The short form of `make soak`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from proof.history import Event, History

ROOT = Path(__file__).parents[2]


def soak(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proof.soak", *options]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )


def test_a_short_one_keeps_every_promise(tmp_path: Path) -> None:
    written = tmp_path / "history.jsonl"
    done = soak("--seconds", "25", "--history", str(written))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **overlaps: two handlers of a lease at once** |   **0** |" in done.stdout
    history = History(Event.from_json(line) for line in written.read_text().splitlines())
    kinds = {event.kind for event in history.events}
    assert kinds >= {"attempted", "refused", "started", "wrote", "released", "killed", "frozen"}
    assert kinds >= {"recorded", "begun", "advanced", "effected", "succeeded"}


def test_a_store_that_loses_conditions_does_not() -> None:
    done = soak("--seconds", "15", "--break", "0.5")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "VIOLATED: two handlers of soak#" in done.stdout
