"""The package as it was before jobs that have to happen, for those who compare."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The last commit whose rows have neither orders nor progress nor successes.
COMMIT = "2eee372"


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That package, out of this repository's history: a folder for PYTHONPATH."""
    git = shutil.which("git") or pytest.skip("NOT CHECKED: this machine has no git")
    done = subprocess.run(
        [git, "archive", "--format=tar", COMMIT, "layer/python"],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    if done.returncode != 0:
        pytest.skip(f"NOT CHECKED: this checkout's history does not go back to {COMMIT}")
    folder = tmp_path_factory.mktemp("released")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "layer" / "python"
