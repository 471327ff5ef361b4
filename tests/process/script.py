"""A script in a process of its own, which ends in bounded time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lambda_singleton

ROOT = Path(__file__).resolve().parent.parent.parent
#: Where the package under test comes from.
PACKAGE = Path(lambda_singleton.__file__).resolve().parent.parent


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of such a process: nothing of AWS but `variables`."""
    path = os.pathsep.join([str(PACKAGE), str(ROOT / "tools"), str(ROOT)])
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": path, **variables}


def run(
    script: str, *arguments: object, variables: Mapping[str, str] | None = None, timeout: float = 40
) -> Any:
    """Run `scripts/<script>.py`; return what it printed, decoded. Fail if it hangs."""
    command = [sys.executable, "-m", f"tests.process.scripts.{script}", *map(str, arguments)]
    code, out, err = finish(command, variables or {}, timeout)
    assert code == 0, f"exit {code}:\n{out}\n{err}"
    return json.loads(out.splitlines()[-1])


def finish(
    command: list[str], variables: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code, output and errors."""
    process = subprocess.Popen(
        command,
        env=environment(variables),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Its children may outlive it, and hold its pipes: all of them go together.
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"it hangs:\n{out}\n{err}") from None
    return process.returncode, out, err
