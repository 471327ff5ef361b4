"""The DynamoDB engine that tests and demo talk to, on this machine only."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / ".venv-engine" / "bin" / "python"
SECONDS_TO_START = 30.0


class EngineError(Exception):
    """There is no engine that may be used."""


class Engine:
    """The engine at `AWS_ENDPOINT_URL` or, without that, an embedded one for the time of use.

    Only an endpoint on the loopback interface is accepted, so that nothing can reach the real AWS
    by accident. With `variables` it is always an embedded one, set up by them.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._variables = variables or {}
        self.endpoint = "" if variables else os.environ.get("AWS_ENDPOINT_URL", "")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this engine and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> Self:
        if self.endpoint:
            refuse_unless_loopback(self.endpoint)
            wait_for(self.endpoint)
        else:
            self._start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        if not EMBEDDED.exists():
            raise EngineError(
                "no engine: run `make setup` for the embedded one, or set AWS_ENDPOINT_URL to a"
                " DynamoDB engine on this machine"
            )
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [EMBEDDED, "-m", "ministack"],
            env={
                "PATH": os.environ.get("PATH", ""),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                **self.environment,
                **self._variables,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.endpoint, self._process)


def refuse_unless_loopback(endpoint: str) -> None:
    """Raise `EngineError` for an endpoint that is not on this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise EngineError(
            f"AWS_ENDPOINT_URL is {endpoint!r}: tests and demo only talk to this machine"
        )


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(endpoint: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return as soon as somebody listens there; raise `EngineError` if nobody ever does."""
    address = urlsplit(endpoint)
    give_up_at = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < give_up_at:
        if process is not None and process.poll() is not None:
            raise EngineError(f"the embedded engine ended at once (exit {process.returncode})")
        try:
            socket.create_connection((address.hostname, address.port or 80), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise EngineError(f"nobody listens at {endpoint}")


if __name__ == "__main__":
    with Engine() as engine:
        for key, value in engine.environment.items():
            print(f"export {key}={value}", flush=True)
        print("# Ctrl-C ends the engine", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(1e9)
