"""An application in an empty folder, made of what the pages show, with what is uploaded to PyPI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_singleton import DynamoDBStore
from local_lambda import Engine

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def application(wheel: Path, tmp_path: Path, engine: Engine, table: str) -> Shell:
    """What runs a command in the folder, which has the page's files, and the wheel on its path."""
    folder, site = tmp_path / "application", tmp_path / "site"
    folder.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    page = (ROOT / "docs" / "testing.md").read_text()
    for name, text in BLOCK.findall(page):
        (folder / name).write_text(text)
    (event,) = re.findall(r"^echo '(.*)' > event\.json$", page, re.MULTILINE)
    (folder / "event.json").write_text(event)
    variables = {
        **os.environ,
        **engine.environment,
        "PYTHONPATH": str(site),
        "SINGLETON_TABLE": table,
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    where = run("-c", "import lambda_singleton.testing as it; print(it.__file__)").stdout
    assert Path(where.strip()).is_relative_to(site)
    return run


def test_its_own_tests(application: Shell) -> None:
    done = application("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^6 passed", done.stdout, re.MULTILINE), done.stdout


def test_its_own_local_run(application: Shell) -> None:
    words = ("local", "nightly_report.handler", "--event", "event.json", "-n", "3")
    done = application("-m", "lambda_singleton_cli", *words)
    assert done.returncode == 0, done.stderr
    results = map(json.loads, re.findall(r" s  (\{.*\})$", done.stdout, re.MULTILINE))
    assert {result["status"] for result in results} <= {"written", "skipped"}
    assert re.search(r"^lease nightly-report#north: token \d+, free$", done.stdout, re.MULTILINE)


def test_its_own_run_line(application: Shell, name: str, dynamodb: DynamoDBStore) -> None:
    program = "import os; print(os.environ['SINGLETON_LEASE'], os.environ['SINGLETON_TOKEN'])"
    words = ("run", name, "--on-held", "skip", "--", sys.executable, "-c", program)
    done = application("-m", "lambda_singleton_cli", *words)
    record = dynamodb.get(name)
    assert record is not None
    assert (done.returncode, done.stdout.split()) == (0, [name, str(record.token)])
    assert record.owner is None
