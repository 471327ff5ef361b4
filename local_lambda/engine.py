"""The DynamoDB engine that tests and demo talk to, on this machine only."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from lambda_singleton_local.engine import Engine as AnyEngine
from lambda_singleton_local.engine import (
    EngineError,
    free_port,
    refuse_unless_loopback,
    wait_for,
)

__all__ = [
    "EMBEDDED",
    "ROOT",
    "Engine",
    "EngineError",
    "free_port",
    "refuse_unless_loopback",
    "wait_for",
]

ROOT = Path(__file__).resolve().parent.parent
#: It pins what it needs, and has an environment of its own.
EMBEDDED = ROOT / ".venv-engine" / "bin" / "python"


class Engine(AnyEngine):
    """The engine at `AWS_ENDPOINT_URL`, or this checkout's own."""

    def python(self) -> Path:
        """Return the interpreter of the engine's environment."""
        if not EMBEDDED.exists():
            raise EngineError(
                "no engine: run `make setup` for the embedded one, or set AWS_ENDPOINT_URL to a"
                " DynamoDB engine on this machine"
            )
        return EMBEDDED


if __name__ == "__main__":
    with Engine() as engine:
        for key, value in engine.environment.items():
            print(f"export {key}={value}", flush=True)
        print("# Ctrl-C ends the engine", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(1e9)
