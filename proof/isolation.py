"""`make isolation`: demo and tests reach no other address, whatever the environment says.

Each variable that leads elsewhere is set in turn, and then all of them at once, to the address of a
listener that has to stay silent. Only `AWS_ENDPOINT_URL` is left out: it is how people choose an
engine, and one that is not on this machine is refused.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .catalogue import ROOT

#: What leads boto3, Powertools, OpenTelemetry or Python's own clients elsewhere; {} is the address
#: there, {home} a folder with files that lead there as well.
VARIABLES = [
    *("AWS_ENDPOINT_URL_DYNAMODB={}", "AWS_ENDPOINT_URL_STS={}", "AWS_ENDPOINT_URL_LAMBDA={}"),
    *("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_PROFILE=elsewhere"),
    *("AWS_DEFAULT_PROFILE=elsewhere", "AWS_CONFIG_FILE={home}/.aws/config"),
    *("AWS_SHARED_CREDENTIALS_FILE={home}/.aws/config", "AWS_DATA_PATH={home}"),
    *("HTTP_PROXY={}", "http_proxy={}", "HTTPS_PROXY={}", "https_proxy={}"),
    *("ALL_PROXY={}", "all_proxy={}", "NO_PROXY=nowhere", "no_proxy=nowhere"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI={}", "AWS_EC2_METADATA_SERVICE_ENDPOINT={}"),
    *("AWS_USE_DUALSTACK_ENDPOINT=true", "AWS_USE_FIPS_ENDPOINT=true"),
    *("AWS_CA_BUNDLE=/nowhere", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1"),
    *("AWS_STS_REGIONAL_ENDPOINTS=legacy", "OTEL_EXPORTER_OTLP_ENDPOINT={}"),
]

CONFIG = """
[default]
endpoint_url = {address}
services = elsewhere
[profile elsewhere]
endpoint_url = {address}
services = elsewhere
[services elsewhere]
dynamodb =
  endpoint_url = {address}
"""

#: Of each room one file: stores, transports, handlers, the command line, real processes.
REPRESENTATIVE = [
    *("tests/stores/test_store_contract.py", "tests/stores/test_dynamodb.py"),
    *("tests/stores/test_carrier.py", "tests/core/test_fencing.py"),
    *("tests/platform/test_samples.py", "tests/platform/test_telemetry.py"),
    *("tests/command_line/test_doctor.py", "tests/process/test_clients.py"),
]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


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
        """Stop listening."""
        self._socket.close()


@contextmanager
def listening() -> Iterator[Listener]:
    """Return a listener for a while."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()


def elsewhere(listener: Listener, home: Path, variables: Sequence[str]) -> dict[str, str]:
    """Return an environment that leads there; only an engine's address in it is right."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(CONFIG.format(address=listener.address))
    found = [variable.format(listener.address, home=home).split("=", 1) for variable in variables]
    kept = ("PATH", "AWS_ENDPOINT_URL")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return inherited | {"HOME": str(home)} | dict(found)


class Outcome(NamedTuple):
    """How a command went in such an environment, and how often somebody elsewhere heard of it."""

    code: int
    output: str
    heard: int


def run(command: Sequence[str], variables: Sequence[str], folder: Path) -> Outcome:
    """Run a command where these variables lead elsewhere, with `folder` as its home."""
    with listening() as listener:
        done = subprocess.run(
            command,
            env=elsewhere(listener, folder, variables) | {"PYTHONPATH": str(ROOT)},
            # The demo leaves its page where it is.
            cwd=folder if "demo" in command else ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, listener.heard)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if everything passed and nobody elsewhere heard of it."""
    parser = argparse.ArgumentParser(prog="make isolation", description=__doc__)
    parser.add_argument("--short", action="store_true", help="all variables at once only")
    parser.add_argument("--whole", action="store_true", help="all variables, the whole suite")
    options = parser.parse_args(arguments)
    runs = [] if options.short or options.whole else [[variable] for variable in VARIABLES]
    tests = ["-n", "4", "--dist", "loadfile"] if options.whole else REPRESENTATIVE
    failed = 0
    for variables in [*runs, VARIABLES]:
        what = variables[0] if len(variables) == 1 else f"all {len(variables)} at once"
        for title, command in (
            ("demo", [sys.executable, "-m", "demo"]),
            ("tests", [*PYTEST, *tests]),
        ):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                outcome = run(command, variables, Path(folder))
            is_fine = outcome.code == 0 and outcome.heard == 0
            failed += not is_fine
            seconds = time.monotonic() - began
            print(f"{'  ' if is_fine else '! '}{what}: {title}, {seconds:.0f} s", end="")
            print(f", exit {outcome.code}, {outcome.heard} connections elsewhere", flush=True)
            if not is_fine:
                print(outcome.output[-3000:])
    print(f"{failed} runs failed or were heard of elsewhere")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
