"""What a type checker makes of the package that users install. mypy is part of `make lint`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYRIGHT = ROOT / ".node-pyright" / "node_modules" / ".bin" / "pyright"

needs_pyright = pytest.mark.skipif(
    shutil.which("node") is None or not PYRIGHT.exists(),
    reason="NOT CHECKED: pyright needs Node.js and npm, and this machine has none",
)


def pyright(*options: str, environment: Path | None = None) -> dict[str, Any]:
    """Run it with a python of this environment, or with the project's configuration."""
    first = "" if environment is None else f"{environment / 'bin'}{os.pathsep}"
    done = subprocess.run(
        [PYRIGHT, "--outputjson", *options],
        cwd=environment or ROOT,
        env={**os.environ, "PATH": first + os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@needs_pyright
def test_pyright_sees_through_all_kinds_of_handlers_and_events() -> None:
    report = pyright()
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == len(list((ROOT / "tests/typing").glob("*.py")))


@needs_pyright
@pytest.mark.parametrize("package", ["lambda_singleton", "lambda_singleton_testkit"])
def test_every_public_name_of_the_installed_package_has_a_known_type(
    fresh_environment: Path, package: str
) -> None:
    report = pyright("--ignoreexternal", "--verifytypes", package, environment=fresh_environment)
    completeness = report["typeCompleteness"]
    unknown = [
        symbol["name"]
        for symbol in completeness["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    ]
    assert unknown == []
    assert completeness["exportedSymbolCounts"]["withKnownType"] > 2
