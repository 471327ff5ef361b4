"""The demo's scenes, as `make demo` plays them, in an environment that leads elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo.scenes import all_scenes
from proof.isolation import VARIABLES, run


def test_every_scene_goes_as_it_is_told_and_reaches_no_other_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With an engine of its own, as people run it.
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    outcome = run([sys.executable, "-m", "demo"], VARIABLES, tmp_path)
    assert (outcome.code, outcome.heard) == (0, 0), outcome.output
    said = " ".join(outcome.output.split())
    assert all(scene.title in said for scene in all_scenes())
    assert "✗" not in said
    assert "No two handlers of one lease overlapped, and every token rose." in said
    assert (tmp_path / "demo-timeline.html").stat().st_size > 10_000
