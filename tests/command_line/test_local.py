"""`lambda-singleton local`: handlers of a user's own, in any folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_lambda import Engine

pytestmark = pytest.mark.timeout(120)

APP = """
import time
from lambda_singleton import singleton

@singleton("report", duration=2, on_held="skip")
def handler(event, context, lease):
    time.sleep(event["seconds"])
    return {"status": "written", "token": lease.token}

@singleton("whole")
def slow(event, context):
    time.sleep(60)

def fails(event, context):
    raise LookupError("what it says")
"""

Local = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def local(tmp_path: Path, engine: Engine) -> Local:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "event.json").write_text('{"seconds": 3}')

    def local(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lambda_singleton_cli", "local", *arguments],
            cwd=tmp_path,
            env={**os.environ, **engine.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return local


def test_of_several_at_a_time_one_runs(local: Local, tmp_path: Path) -> None:
    done = local("app.handler", "--event", "event.json", "-n", "4", "--timeline", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    results = [
        json.loads(found) for found in re.findall(r" s  (\{.*\})$", done.stdout, re.MULTILINE)
    ]
    assert sorted(result["status"] for result in results) == ["skipped"] * 3 + ["written"]
    assert re.search(r"^lease report: token \d+, free$", done.stdout, re.MULTILINE)
    assert str(tmp_path / "page.html") in done.stdout
    page = (tmp_path / "page.html").read_text()
    assert "report" in page
    assert "skipped" in page


def test_a_holder_is_killed(local: Local) -> None:
    done = local("app.handler", "--event", "event.json", "-n", "2", "--kill", "1")
    assert done.returncode == 1
    assert "Runtime.ExitError" in done.stdout
    assert "left by" in done.stdout


def test_a_timeout(local: Local) -> None:
    done = local("app.slow", "--timeout", "2")
    assert done.returncode == 1
    assert "Sandbox.Timedout" in done.stdout


def test_an_error(local: Local) -> None:
    done = local("app.fails")
    assert done.returncode == 1
    assert "LookupError: what it says" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["other.handler"], "there is no module 'other'"),
        (["app"], "give MODULE.HANDLER"),
        (["app.handler", "--event", "none.json"], "the event cannot be read"),
        (["app.handler", "--event", "app.py"], "the event cannot be read"),
    ],
)
def test_what_it_cannot_use(local: Local, arguments: list[str], said: str) -> None:
    done = local(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
