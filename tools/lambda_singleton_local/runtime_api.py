"""The HTTP interface between Lambda and a runtime.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "/2018-06-01/runtime"


@dataclass
class Request:
    """One event on its way through the runtime."""

    request_id: str
    event: Any
    deadline_ms: int
    function_arn: str
    #: X-Ray's, sampled.
    trace_id: str = field(
        default_factory=lambda: (
            f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
            f";Parent={secrets.token_hex(8)};Sampled=1"
        )
    )
    answered: threading.Event = field(default_factory=threading.Event)
    payload: Any = None
    error: dict[str, Any] | None = None


class RuntimeApi:
    """The server that one execution environment's runtime polls for its next event."""

    def __init__(self) -> None:
        self.idle = threading.Event()
        self.init_error: dict[str, Any] | None = None
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._current: Request | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where the runtime finds it: `host:port`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def hand_over(self, request: Request) -> None:
        """Give the runtime its next event."""
        self.idle.clear()
        self._requests.put(request)

    def close(self) -> None:
        """Stop serving."""
        self._requests.put(None)
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Request | None:
        """Wait for an event; None: the server is closing."""
        self.idle.set()
        self._current = self._requests.get()
        return self._current

    def answer(self, request_id: str, kind: str, body: bytes) -> None:
        """Take the runtime's response or error."""
        request = self._current
        if request is None or request.request_id != request_id:
            return
        if kind == "response":
            request.payload = json.loads(body)
        else:
            request.error = json.loads(body)
        request.answered.set()


def _handler_for(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Delayed acknowledgements would make a warm invocation take 88 ms instead of 0.6.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path != f"{VERSION}/invocation/next":
                self._reply(404, {}, b"")
                return
            request = api.next()
            if request is None:
                self.close_connection = True
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": request.request_id,
                "Lambda-Runtime-Deadline-Ms": str(request.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": request.function_arn,
                "Lambda-Runtime-Trace-Id": request.trace_id,
                "Content-Type": "application/json",
            }
            self._reply(200, headers, json.dumps(request.event).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == f"{VERSION}/init/error":
                api.init_error = json.loads(body)
            else:
                *_, request_id, kind = self.path.split("/")
                api.answer(request_id, kind, body)
            self._reply(202, {}, b'{"status":"OK"}')

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            lines = [f"HTTP/1.1 {status} .", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            # In one piece, for the same reason.
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            # The runtime may be killed at any time.
            with contextlib.suppress(OSError):
                super().handle()

    return Handler
