"""Tests, demo and local Lambda reach no other address, whatever the environment says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local_lambda import Engine, EngineError
from local_lambda.engine import ROOT


class Listener:
    """Somebody elsewhere, who hears of everything that gets there."""

    def __init__(self) -> None:
        self.heard = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.heard += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


#: What leads boto3 elsewhere; {} is the address there.
VARIABLES = [
    *("AWS_ENDPOINT_URL_DYNAMODB={}", "AWS_ENDPOINT_URL_STS={}"),
    *("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_PROFILE=elsewhere"),
    *("HTTP_PROXY={}", "http_proxy={}", "HTTPS_PROXY={}", "ALL_PROXY={}", "all_proxy={}"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI={}", "AWS_EC2_METADATA_SERVICE_ENDPOINT={}"),
    *("AWS_USE_DUALSTACK_ENDPOINT=true", "AWS_CA_BUNDLE=/nowhere", "AWS_REGION=eu-west-1"),
    "AWS_DATA_PATH={home}",
]

CONFIG = """
[default]
endpoint_url = {address}
services = elsewhere
[profile elsewhere]
endpoint_url = {address}
[services elsewhere]
dynamodb =
  endpoint_url = {address}
"""

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


def elsewhere(listener: Listener, home: Path, variables: list[str]) -> dict[str, str]:
    """Return an environment that leads there, in which only the engine's address is right."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(CONFIG.format(address=listener.address))
    found = [variable.format(listener.address, home=home).split("=", 1) for variable in variables]
    inherited = {name: os.environ[name] for name in ("PATH", "AWS_ENDPOINT_URL")}
    return inherited | {"HOME": str(home)} | dict(found)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_test_run(variable: str, listener: Listener, tmp_path: Path) -> None:
    test = "tests/stores/test_store_contract.py::TestEngine::test_all_leases_are_listed"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, "-k", "engine"],
        env=elsewhere(listener, tmp_path, [variable]),
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
    del environment["AWS_ENDPOINT_URL"]
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
