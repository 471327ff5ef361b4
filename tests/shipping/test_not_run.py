"""`make test` and `make prove` end with what was not run, whatever came of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Stands for make: one target has a test that is skipped, one fails.
MAKE = """#!/bin/sh
echo "made $2"
case $2 in
  tests) echo '["a.py::test_page", "no browser", "Python 3.11"]' >> "$NOT_RUN" ;;
  fails) exit 3 ;;
esac
"""


@pytest.fixture
def make(tmp_path: Path) -> Path:
    make = tmp_path / "make"
    make.write_text(MAKE)
    make.chmod(0o755)
    return make


def run(make: Path, *targets: str) -> tuple[int, list[str]]:
    """Run the targets where there are no other programs, and return the code and the lines."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "not_run.py", *targets],
        env={"MAKE": str(make), "PATH": "/nowhere", "OTHER_PYTHONS": "3.99", "PYENV_ROOT": "/x"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_what_this_machine_lacks_and_what_was_skipped_is_said_last(make: Path) -> None:
    code, lines = run(make, "lint", "tests")
    assert code == 0
    assert lines.index("made lint") < lines.index("made tests") < lines.index("NOT RUN:")
    said = "\n".join(lines[lines.index("NOT RUN:") :])
    for absent in ("Python 3.99", "chromium or google-chrome", "node", "npm", "DynamoDB Local"):
        assert f"\n  {absent}: " in said
    assert lines[-2:] == ["  skipped: no browser", "      a.py::test_page (Python 3.11)"]


def test_what_fails_is_not_the_last_word(make: Path) -> None:
    code, lines = run(make, "tests", "fails", "lint")
    assert code == 3
    assert "made lint" not in lines
    assert lines[lines.index("NOT RUN:") + 1] == "  lint: something failed before"
    assert lines[-1] == "      a.py::test_page (Python 3.11)"


def test_a_skipped_test_is_noted_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\n\ndef test_page():\n    pytest.skip('no browser')\n"
    )
    shutil.copy(ROOT / "conftest.py", tmp_path)
    notes = tmp_path / "notes"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "1"],
        cwd=tmp_path,
        env=os.environ | {"NOT_RUN": str(notes)},
        check=True,
        capture_output=True,
    )
    version = "{}.{}".format(*sys.version_info)
    assert notes.read_text() == f'["test_one.py::test_page", "no browser", "Python {version}"]\n'


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_without_npm_nothing_is_marked_ready(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "mkdir", "cp", "touch", "echo"):
        (programs / name).symlink_to(shutil.which(name) or "")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in ("requirements/pyright", "benchmarks/node"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    subprocess.run(
        [shutil.which("make") or "make", ".node-pyright/.ready", ".node-bench/.ready"],
        cwd=tmp_path,
        env={"PATH": str(programs)},
        check=True,
        capture_output=True,
    )
    assert not list(tmp_path.glob(".node-*"))
