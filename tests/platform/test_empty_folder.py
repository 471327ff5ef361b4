"""An application that somebody makes in an empty folder from what the pages show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_lambda import Engine
from local_lambda.stack import Stack

from .cloudformation import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text()
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package index with this package only: what PyPI has after a release."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files, with the Python that this machine has."""
    folder = tmp_path_factory.mktemp("empty")
    blocks = re.findall(r"^```[\w ]*\n# ([\w/.]+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("python3.13", PYTHON))
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert names == {"template.yaml", "src/nightly_report.py", "src/requirements.txt"}
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path, wheels: Path) -> Iterator[Stack]:
    variables = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with Engine({"LAMBDA_EXECUTOR": "local"}, stack=True) as engine:
        stack = Stack(engine, "from-the-page", folder, variables)
        stack.deploy(stack.build(folder / "build"))
        yield stack


def test_the_pages_application_builds_deploys_and_runs(stack: Stack) -> None:
    functions = stack.client("lambda")
    (function,) = functions.list_functions()["Functions"]
    answer = functions.invoke(FunctionName=function["FunctionName"], Payload=json.dumps({}))
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert payload["status"] == "written"
    dynamodb = stack.client("dynamodb")
    (table,) = dynamodb.list_tables()["TableNames"]
    (row,) = dynamodb.scan(TableName=table)["Items"]
    assert row["id"] == {"S": "nightly-report"}
    assert row["last_run"]["M"]["outcome"] == {"S": "succeeded"}
    # Its minimum hold: a second delivery is skipped.
    answer = functions.invoke(FunctionName=function["FunctionName"], Payload=json.dumps({}))
    assert json.loads(answer["Payload"].read())["status"] == "skipped"


def test_the_pages_layer_is_made_by_one_command(wheels: Path, tmp_path: Path) -> None:
    command = "pip install --no-deps --target layer/python lambda-singleton"
    assert f"`{command}`" in PAGE
    assert f"`{command}`" in (ROOT / "README.md").read_text()
    subprocess.run(
        [sys.executable, "-m", *command.split(), "--no-index", "--find-links", str(wheels)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "layer/python/lambda_singleton/__init__.py").is_file()
