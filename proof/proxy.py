"""A proxy before the engine that hears every request, and spoils those that it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

Kind = Literal[
    # Not applied.
    "throttled",
    "error 500",
    "reset",
    "black hole",
    # Applied, but the client is not told.
    "reply lost",
    "reply cut",
    "applied late",
    # Applied and told.
    "slow",
    "applied twice",
    # What no engine may do: for tests of the tests.
    "condition ignored",
]


_REFUSALS: dict[Kind, tuple[int, str]] = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "error 500": (500, "InternalServerError"),
}


@dataclass(frozen=True)
class Request:
    """What was asked of DynamoDB."""

    action: str
    body: Any


@dataclass(frozen=True)
class Fault:
    """What happens to one request; `seconds` is how late, how slow, or when for the second time."""

    kind: Kind
    seconds: float = 0.0


#: Status, headers and body.
Answer = tuple[int, dict[str, str], bytes]


class Proxy:
    """Passes requests on to an endpoint; `fault` says what happens to each instead.

    `applied` is told of every request that the engine has applied, in their order.
    """

    def __init__(
        self,
        endpoint: str,
        fault: Callable[[Request], Fault | None] = lambda request: None,
        applied: Callable[[Request], None] | None = None,
    ) -> None:
        self.target = urlsplit(endpoint).netloc
        self.fault = fault
        self._applied = applied
        self._in_order = threading.Lock()
        self.requests: list[Request] = []
        #: How often each kind of fault has struck.
        self.faults: Counter[str] = Counter()
        #: How many of those that were applied late, or twice, the engine refused then.
        self.refused_late = 0
        proxy = self

        class Handler(_Handler):
            def do_POST(self) -> None:
                self.serve(proxy)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def pass_on(self, body: bytes, action: str, send: Callable[[bytes], Answer]) -> Answer:
        """Send it to the engine, and tell if that has applied it."""
        if self._applied is None:
            return send(body)
        with self._in_order:
            answer = send(body)
            if answer[0] == 200:
                self._applied(Request(action, json.loads(body)))
        return answer

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many clients may knock at the same moment.
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # A reply is sent in one piece.
    wbufsize = -1

    def serve(self, proxy: Proxy) -> None:
        self._target, self._proxy = proxy.target, proxy
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        action = (self.headers.get("x-amz-target") or "").rpartition(".")[2]
        request = Request(action, json.loads(body or b"null"))
        proxy.requests.append(request)
        fault = proxy.fault(request)
        if fault is not None:
            proxy.faults[fault.kind] += 1
        match fault:
            case None:
                self._answer(*self._forward(body))
            case Fault(kind) if kind in _REFUSALS:
                self._refuse(*_REFUSALS[kind])
            case Fault("reset"):
                self._hang_up()
            case Fault("black hole"):
                self._wait_for_the_client()
            case Fault("reply lost"):
                self._forward(body)
                self._hang_up()
            case Fault("reply cut"):
                self._answer(*self._forward(body), cut=True)
            case Fault("applied late", seconds):
                self._later(seconds, body, proxy)
                self._wait_for_the_client()
            case Fault("slow", seconds):
                answer = self._forward(body)
                time.sleep(seconds)
                self._answer(*answer)
            case Fault("applied twice", seconds):
                self._answer(*self._forward(body))
                self._later(seconds, body, proxy)
            case Fault("condition ignored"):
                request.body["ConditionExpression"] += (
                    " OR attribute_exists(#id) OR attribute_not_exists(#id)"
                )
                self._answer(*self._forward(json.dumps(request.body).encode()))

    def _forward(self, body: bytes) -> Answer:
        action = (self.headers.get("x-amz-target") or "").rpartition(".")[2]
        return self._proxy.pass_on(body, action, self._send)

    def _send(self, body: bytes) -> Answer:
        headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
        with contextlib.closing(HTTPConnection(self._target, timeout=30)) as connection:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            kept = {
                name: value
                for name, value in response.getheaders()
                if name.lower() not in ("content-length", "transfer-encoding", "connection")
            }
            return response.status, kept, response.read()

    def _later(self, seconds: float, body: bytes, proxy: Proxy) -> None:
        def run() -> None:
            # The engine may be gone by then.
            with contextlib.suppress(OSError, HTTPException):
                status, _, _ = self._forward(body)
                proxy.refused_late += status == 400

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        timer.start()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        with contextlib.suppress(OSError):
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
        self.close_connection = self.close_connection or cut

    def _refuse(self, status: int, code: str) -> None:
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code})
        self._answer(status, {"Content-Type": "application/x-amz-json-1.0"}, body.encode())

    def _hang_up(self) -> None:
        # Lingering for no time makes it a reset.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _wait_for_the_client(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True

    def handle(self) -> None:
        # A client that is killed hangs up wherever it is.
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None: ...
