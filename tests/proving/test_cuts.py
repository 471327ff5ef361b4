"""Cut everywhere, in short. `make cuts` takes every point."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def cuts(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "proof.cuts", *arguments],
        check=False,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_nothing_is_left_behind_wherever_it_is_cut() -> None:
    summary = re.search(r"(\d+) scenarios, (\d+) cuts, .* 0 violations", cuts("--sample", "3"))
    assert summary is not None
    scenarios, points = map(int, summary.groups())
    assert scenarios >= 30
    assert points >= 15 * scenarios


@pytest.mark.parametrize(
    "scenario",
    [
        "both_lost",
        "dropped",
        "full_executor",
        "outer_lost",
        "outer_lost_while_inner_leaves",
        "overlapping",
        "stolen_from_inner_gather",
        "stolen_from_inner_group",
        "stolen_in_thread",
        "sync_in_coroutine",
    ],
)
def test_an_undisturbed_run_leaves_nothing_behind(scenario: str) -> None:
    cuts("--scenario", scenario, "--exception", "none")


@pytest.mark.parametrize(
    ("scenario", "exception"), [("lock", "KeyboardInterrupt"), ("by_hand", "SystemExit")]
)
def test_a_cut_leaves_nothing_behind(scenario: str, exception: str) -> None:
    cuts("--scenario", scenario, "--exception", exception, "--sample", "8")
