"""`make coverage`: which test runs which line and branch of the package and the command line.

The tests run once under coverage, their children too; what is left uncovered is printed. `make
mutants` reads from the same data which tests may notice a change. As a plugin of pytest this module
tells coverage which test runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from .catalogue import ROOT

FOLDER = ROOT / ".coverage"
DATA = FOLDER / "data"
#: The sources that were measured: lines move afterwards.
SOURCES = FOLDER / "sources"
DURATIONS = FOLDER / "durations.json"
SETTINGS = ROOT / "proof" / "coverage.ini"
MEASURED = ("layer/python/lambda_singleton", "tools/lambda_singleton_cli")

#: They run what is measured in processes with an environment of their own, and for minutes.
LEFT_OUT = (
    *("tests/platform/test_stack.py", "tests/platform/test_isolation.py"),
    *("tests/platform/test_demo.py", "tests/shipping/test_application.py"),
    *("tests/platform/test_empty_folder.py", "tests/proving/test_rules.py"),
)

#: Under the tracer it does not end on Python 3.11: see docs/evidence.md.
HANGS = "test_a_lost_lease_ends_the_job_and_no_other"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name the test to coverage, and to the processes that it starts."""
    from coverage import Coverage

    measuring = Coverage.current()
    if measuring is not None:
        measuring.switch_context(item.nodeid)
    os.environ["COVERED_BY"] = item.nodeid
    yield
    del os.environ["COVERED_BY"]
    if measuring is not None:
        measuring.switch_context("")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write down how long each test took that has passed, in seconds."""
    if hasattr(terminalreporter.config, "workerinput"):
        return
    lengths: dict[str, float] = {}
    for report in terminalreporter.stats.get("passed", ()):
        lengths[report.nodeid] = lengths.get(report.nodeid, 0.0) + report.duration
    DURATIONS.write_text(json.dumps(lengths))


def measure() -> int:
    """Run the tests under coverage, and return what pytest returned."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name in MEASURED:
        shutil.copytree(ROOT / name, SOURCES / name, ignore=shutil.ignore_patterns("__pycache__"))
    pytest_command = ["-m", "pytest", "-q", "-p", "proof.covering", "-p", "no:cacheprovider"]
    ignored = [*(f"--ignore={name}" for name in LEFT_OUT), "-k", f"not {HANGS}"]
    # What hangs in a traced call ends with its worker, not the whole run.
    ignored.append("--timeout-method=thread")
    environment = os.environ | {"ROOT": str(ROOT), "COVERAGE_PROCESS_START": str(SETTINGS)}
    done = subprocess.run(
        [sys.executable, *pytest_command, "-n", "3", "--dist", "loadfile", "--tb=no", *ignored],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    coverage("combine", "-q")
    return done.returncode


def coverage(*arguments: str) -> str:
    """Run one of coverage's commands on what was measured, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *arguments, f"--rcfile={SETTINGS}"],
        cwd=ROOT,
        env=os.environ | {"ROOT": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what no test has run; return 0 if it could be measured."""
    parser = argparse.ArgumentParser(prog="make coverage", description=__doc__)
    parser.add_argument("--again", action="store_true", help="measure, also if there are data")
    options = parser.parse_args(arguments)
    # Some tests look at what a process loads or how long it takes, and fail where it is watched.
    if options.again or not DATA.exists():
        measure()
    print(coverage("report", "--show-missing", "--skip-covered"))
    return 0 if DATA.exists() else 1


if __name__ == "__main__":
    sys.exit(main())
