"""SnapStart restores many environments from one import: what import made is the same in each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import lambda_singleton

LAYER = Path(lambda_singleton.__file__).parent.parent
RESTORED = Path(__file__).parents[1] / "handlers" / "restored.py"


def test_no_id_and_no_jitter_repeats(lambda_variables: Mapping[str, str], name: str) -> None:
    output = subprocess.run(
        [sys.executable, RESTORED, "20", name],
        env={**lambda_variables, "PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    restored = [json.loads(line) for line in output.splitlines()]
    assert len({facts["owner"] for facts in restored}) == 20
    assert len({facts["delay"] for facts in restored}) == 20
