"""Run targets of make, and say at the end, whatever came of them, what was not run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

#: What some machines do not have, and what is not run there.
PROGRAMS = (
    (("chromium", "google-chrome"), "the page is not opened in a browser"),
    (("node",), "no CDK, no pyright, no dynalite, none of the benchmark's peers on Node.js"),
    (("npm",), "what needs Node.js is not installed"),
)


def find_python(version: str) -> str | None:
    """Return a Python of that version (`3.12`) which can make environments."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")):
        if found is not None:
            tried = subprocess.run(  # noqa: S603
                [found, "-c", "import venv, ensurepip"], capture_output=True, check=False
            )
            if tried.returncode == 0:
                return str(found)
    return None


def missing() -> Iterator[str]:
    """Yield what this machine does not have."""
    for version in os.environ.get("OTHER_PYTHONS", "").split():
        if sys.version_info[:2] != tuple(map(int, version.split("."))) and not find_python(version):
            yield f"Python {version}: not on this machine"
    for names, what in PROGRAMS:
        if not any(map(shutil.which, names)):
            yield f"{' or '.join(names)}: not on this machine, {what}"
    if "AWS_ENDPOINT_URL" not in os.environ:
        yield "DynamoDB Local: AWS's own, start it yourself and set AWS_ENDPOINT_URL"


def skipped(notes: str) -> Iterator[str]:
    """Yield each reason for which tests were skipped, and those tests."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for test, reason, python in map(json.loads, notes.splitlines()):
        by_reason.setdefault(reason, {}).setdefault(test, []).append(python)
    for reason, tests in by_reason.items():
        yield f"skipped: {reason}"
        for test, pythons in tests.items():
            yield f"    {test} ({', '.join(dict.fromkeys(pythons))})"


def main(targets: Sequence[str]) -> int:
    """Return what make returned for the first target that failed."""
    code, left = 0, list(targets)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as notes:
        environment = os.environ | {"NOT_RUN": notes.name}
        make = [*shlex.split(os.environ.get("MAKE", "make")), "--no-print-directory"]
        while left and not code:
            command = [*make, left.pop(0)]
            code = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
        found = [*missing(), *skipped(notes.read())]
    if left:
        found.insert(0, f"{', '.join(left)}: something failed before")
    print("\nNOT RUN:" if found else "\nNOT RUN: nothing")
    for line in found:
        print(f"  {line}")
    return code


if __name__ == "__main__":
    if sys.argv[1] == "--find":
        print(find_python(sys.argv[2]) or "")
    else:
        sys.exit(main(sys.argv[1:]))
