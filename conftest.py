"""Notes each test that was skipped in the file that NOT_RUN names, for the end of `make test`."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write a line for each: the test, its reason, and the interpreter."""
    path = os.environ.get("NOT_RUN")
    # Workers of pytest-xdist tell their controller.
    if not path or hasattr(terminalreporter.config, "workerinput"):
        return
    python = "Python {}.{}".format(*sys.version_info)
    with open(path, "a", encoding="utf-8") as notes:
        for report in terminalreporter.stats.get("skipped", ()):
            reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
            reason = str(reason).removeprefix("Skipped: ")
            notes.write(json.dumps([report.nodeid, reason, python]) + "\n")
