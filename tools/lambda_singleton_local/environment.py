"""One execution environment: AWS's runtime client in a process, and what Lambda does to it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lambda_singleton

from .runtime_api import Request, RuntimeApi

#: Where this package is, as a layer's would be.
LAYER = Path(lambda_singleton.__file__).parents[1]


@dataclass(frozen=True)
class Outcome:
    """What the caller of a function is told."""

    request_id: str
    started: float
    ended: float
    payload: Any = None
    error_type: str | None = None
    error_message: str = ""

    @property
    def result(self) -> Any:
        """The handler's result; raises `RuntimeError` if it failed."""
        if self.error_type is not None:
            raise RuntimeError(f"{self.error_type}: {self.error_message}")
        return self.payload


class Environment:
    """A cold start, then one invocation at a time.

    It is frozen (SIGSTOP) between invocations, and killed (SIGKILL) at an invocation's deadline.
    With `managed` it behaves as on Lambda Managed Instances: never frozen, and not killed.
    """

    def __init__(
        self,
        handler: str,
        *,
        name: str,
        timeout: float,
        variables: Mapping[str, str],
        task_root: Path,
        managed: bool = False,
    ) -> None:
        self.id = uuid.uuid4().hex
        self._logs: list[str] = []
        self._unfinished = b""
        self._reading = threading.Lock()
        #: Of the invocation that is running, or was the latest.
        self.request_id = ""
        self._ended = False
        self._name = name
        self._timeout = timeout
        self._managed = managed
        self._frozen = False
        self._api = RuntimeApi()
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=task_root,
            env=self._lambda_variables(handler, task_root) | dict(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Stopped, it would have the kernel hang up on its whole group when their parent ends.
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read_logs, daemon=True)
        self._reader.start()

    @property
    def logs(self) -> list[str]:
        """All lines that it has written up to now."""
        self._read_what_is_there()
        return self._logs

    @property
    def pid(self) -> int:
        """The runtime's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (or is frozen)."""
        return self._process.poll() is None

    @property
    def idle(self) -> bool:
        """Whether the runtime waits for its next event."""
        return self._api.idle.is_set()

    def invoke(self, event: Any) -> Outcome:
        """Run the handler, and return what Lambda would tell the caller."""
        started = time.time()
        if not self.wait_until_idle():
            return self._died(str(uuid.uuid4()), started)
        self.thaw()
        started = time.time()
        deadline = started + self._timeout
        request = Request(
            request_id=str(uuid.uuid4()),
            event=event,
            deadline_ms=int(deadline * 1000),
            function_arn=f"arn:aws:lambda:us-east-1:000000000000:function:{self._name}",
        )
        self.request_id = request.request_id
        self._api.hand_over(request)
        while not request.answered.wait(min(0.05, max(0.0, deadline - time.time()))):
            if not self.alive:
                return self._died(request.request_id, started)
            if time.time() >= deadline:
                return self._timed_out(request.request_id, started)
        if not self._managed:
            self.freeze()
        error = request.error or {}
        return Outcome(
            request.request_id,
            started,
            time.time(),
            payload=request.payload,
            error_type=error.get("errorType"),
            error_message=error.get("errorMessage", ""),
        )

    def freeze(self) -> None:
        """Stop the process once it asks for its next event, as Lambda does."""
        if self.wait_until_idle():
            self.pause()

    def pause(self) -> None:
        """Stop the process wherever it is."""
        self._frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen or paused process go on."""
        if self._frozen:
            self._frozen = False
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as a timeout, a lack of memory or a lost host does."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Remove the environment."""
        self.kill()
        self._api.close()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        if self.alive:
            self._process.send_signal(number)

    def wait_until_idle(self) -> bool:
        """Return when the runtime asks for an event; False if it dies before."""
        while not self._api.idle.wait(0.05):
            if not self.alive:
                return False
        return self.alive

    def _died(self, request_id: str, started: float) -> Outcome:
        code = self._process.returncode
        how = "signal: killed" if code is not None and code < 0 else f"exit status {code}"
        error = self._api.init_error or {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: {how}",
        }
        return Outcome(
            request_id,
            started,
            time.time(),
            error_type=error["errorType"],
            error_message=error["errorMessage"],
        )

    def _timed_out(self, request_id: str, started: float) -> Outcome:
        if not self._managed:
            self.kill()
        return Outcome(
            request_id,
            started,
            time.time(),
            error_type="Sandbox.Timedout",
            error_message=f"RequestId: {request_id} Error: Task timed out after"
            f" {self._timeout:.2f} seconds",
        )

    def _read_logs(self) -> None:
        # Nobody else empties the pipe while the function runs.
        assert self._process.stdout is not None
        while not self._ended:
            select.select([self._process.stdout], [], [])
            self._read_what_is_there()

    def _read_what_is_there(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with self._reading:
            while not pipe.closed and not self._ended and select.select([pipe], [], [], 0)[0]:
                read = os.read(pipe.fileno(), 65536)
                self._ended = not read
                *lines, self._unfinished = (self._unfinished + read).split(b"\n")
                if self._ended and self._unfinished:
                    lines.append(self._unfinished)
                self._logs += [line.decode(errors="replace") for line in lines]

    def _lambda_variables(self, handler: str, task_root: Path) -> dict[str, str]:
        day = time.strftime("%Y/%m/%d", time.gmtime())
        initialization = "lambda-managed-instances" if self._managed else "on-demand"
        return {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{day}/[$LATEST]{self.id}",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(task_root),
            "PATH": os.environ.get("PATH", ""),
            "POWERTOOLS_METRICS_NAMESPACE": "Local",
            "POWERTOOLS_SERVICE_NAME": self._name,
            "POWERTOOLS_TRACE_DISABLED": "true",
            "PYTHONPATH": f"{task_root}:{LAYER}",
            "PYTHONUNBUFFERED": "1",
            "TZ": ":UTC",
            "_HANDLER": handler,
        }
