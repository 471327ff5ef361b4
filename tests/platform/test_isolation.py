"""Tests, demo and local Lambda reach no other address, whatever the environment says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local_lambda import Engine, EngineError
from local_lambda.engine import ROOT
from proof.isolation import VARIABLES, Listener, elsewhere, listening


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


#: What the demo does, and what tests do: a table, a lease, and a handler in the local Lambda.
USES = """
import sys
from pathlib import Path
from lambda_singleton import DynamoDBStore, Lock
from local_lambda import Engine, Function
with Engine() as engine:
    engine.pin()
    DynamoDBStore("isolated").create_table()
    with Lock("x", 30, store=DynamoDBStore("isolated")): pass
    variables = {**engine.environment, "SINGLETON_TABLE": "isolated"}
    with Function("probe.answers", variables=variables, task_root=Path(sys.argv[1])) as function:
        print(function.invoke({}))
"""


# Some at a time: `make isolation` has each by itself.
@pytest.mark.parametrize("variables", [VARIABLES[first::6] for first in range(6)])
def test_a_test_run(variables: list[str], listener: Listener, tmp_path: Path) -> None:
    test = "tests/stores/test_store_contract.py::TestEngine::test_all_leases_are_listed"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, "-k", "engine"],
        env=elsewhere(listener, tmp_path, variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert listener.heard == 0


def test_the_local_lambda_with_all_of_them_and_an_engine_of_its_own(
    listener: Listener, tmp_path: Path
) -> None:
    environment = elsewhere(listener, tmp_path, VARIABLES)
    environment.pop("AWS_ENDPOINT_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", USES, str(ROOT / "tests" / "handlers")],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'token': " in done.stdout, done.stdout
    assert listener.heard == 0


def test_a_client_that_goes_elsewhere_is_refused(engine: Engine, listener: Listener) -> None:
    engine.check(boto3.client("dynamodb"))
    with pytest.raises(EngineError, match="not to"):
        engine.check(boto3.client("dynamodb", endpoint_url=listener.address))


def test_the_engine_runs_no_functions(engine: Engine) -> None:
    # A page in a developer's browser can send it requests.
    functions = boto3.client("lambda", endpoint_url=engine.endpoint)
    with pytest.raises(Exception, match=r"(?i)unsupported|unknown|not found|not supported|404|400"):
        functions.list_functions()
