"""The DynamoDB engine that handlers talk to, on this machine only."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

SECONDS_TO_START = 30.0

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LOOPBACK = re.compile(rf"https?://(localhost|127(\.{_BYTE}){{3}}|\[::1\])(:[0-9]{{1,5}})?/?")


class EngineError(Exception):
    """There is no engine that may be used."""


class Engine:
    """The engine at `AWS_ENDPOINT_URL` or, without that, an embedded one for the time of use.

    Only an endpoint on the loopback interface is accepted, so that nothing can reach the real AWS
    by accident. With `variables` it is always an embedded one, set up by them.

    The embedded engine answers every page that a browser on this machine has open, and checks no
    signature: it has no other service than DynamoDB unless a whole `stack` is deployed to it.
    """

    def __init__(self, variables: Mapping[str, str] | None = None, *, stack: bool = False) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._variables = {} if stack else {"SERVICES": "dynamodb"}
        self._variables |= variables or {}
        self.endpoint = "" if variables or stack else os.environ.get("AWS_ENDPOINT_URL", "")

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
            # Neither a proxy, nor what somebody has set up for all programs.
            "NO_PROXY": "*",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def pin(self) -> None:
        """Let this process and its children use this engine and nothing else."""
        for name in [name for name in os.environ if _leads_elsewhere(name)]:
            del os.environ[name]
        os.environ.update(self.environment)

    def check(self, client: Any) -> None:
        """Raise `EngineError` for a boto3 client that goes elsewhere, for whatever reason."""
        if client.meta.endpoint_url.rstrip("/") != self.endpoint.rstrip("/"):
            raise EngineError(
                f"boto3 would go to {client.meta.endpoint_url!r}, not to {self.endpoint!r}"
            )

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

    def python(self) -> Path:
        """Return the interpreter that has the embedded engine; raise `EngineError` without one."""
        if find_spec("ministack") is None:
            raise EngineError(
                "no engine: pip install 'lambda-singleton[local]', or set AWS_ENDPOINT_URL to a"
                " DynamoDB engine on this machine"
            )
        return Path(sys.executable)

    def _start(self) -> None:
        python = self.python()
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(  # noqa: S603
            [python, "-m", "ministack"],
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


def _leads_elsewhere(variable: str) -> bool:
    # All that boto3 reads begins with AWS_, such as AWS_ENDPOINT_URL_DYNAMODB.
    return variable.startswith("AWS_") or variable.lower().endswith("_proxy")


def refuse_unless_loopback(endpoint: str) -> None:
    """Raise `EngineError` for an endpoint that is not on this machine."""
    # Parsers differ about user info and backslashes: an address has neither here.
    if not _LOOPBACK.fullmatch(endpoint):
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
