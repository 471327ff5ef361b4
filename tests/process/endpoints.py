"""Servers on loopback that do to a client what real ones do on a bad day."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Server:
    """An HTTP server that answers by `answer(handler, body)`, in threads of its own."""

    def __init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                # A client may hang up wherever it is.
                with contextlib.suppress(OSError):
                    server.answer(self, body)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()


def send(handler: BaseHTTPRequestHandler, body: bytes, kind: str, status: int = 200) -> None:
    """Answer at once."""
    handler.send_response_only(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def in_minutes(minutes: float) -> str:
    """Return the time in so many minutes, as AWS writes it."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


class CredentialsEndpoint(Server):
    """Hands out credentials that are due for a refresh at once; `/hang` makes it deaf.

    "silent": it accepts and never answers. "drips": its answer never ends.
    """

    def __init__(self, way: str = "silent", most: float = 8.0) -> None:
        super().__init__()
        self._way = way
        self._over = threading.Event()
        self._most = most
        self._hangs = False
        self.asked = 0

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/hang":
            self._hangs = True
            send(handler, b"{}", "application/json")
            return
        self.asked += 1
        if self._hangs and self._way == "drips":
            drip(handler, self._most)
            return
        if self._hangs:
            self._over.wait(self._most)
        credentials = {
            "AccessKeyId": "CONTAINER",
            "SecretAccessKey": "secret",
            "Token": "token",
            # Within the time in which botocore insists on new ones.
            "Expiration": in_minutes(5),
        }
        send(handler, json.dumps(credentials).encode(), "application/json")

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        super().__exit__(*exc_info)


def drip(handler: BaseHTTPRequestHandler, seconds: float, every: float = 0.04) -> None:
    """Send an answer byte by byte: no read waits long, and the whole never comes."""
    length = round(seconds / every)
    handler.send_response_only(200)
    handler.send_header("Content-Type", "application/x-amz-json-1.0")
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    for _ in range(length):
        handler.wfile.write(b" ")
        time.sleep(every)
    handler.close_connection = True


def drip_headers(handler: BaseHTTPRequestHandler, seconds: float, every: float = 0.04) -> None:
    """Send headers byte by byte."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    for _ in range(round(seconds / every)):
        handler.wfile.write(b"a")
        time.sleep(every)
    handler.close_connection = True


class Gate(Server):
    """Passes requests on to the engine, remembers by whom they were signed, and may spoil them.

    `spoil(action)` returns what answers instead, if anything does. With `closes` each answer is
    the last of its connection.
    """

    def __init__(self, target: str, *, closes: bool = False) -> None:
        super().__init__()
        self._target = urlsplit(target).netloc
        self._closes = closes
        self.signers: list[str] = []
        self.actions: list[str] = []
        #: How many seconds the answer to the n-th request of its kind takes.
        self.slow: Callable[[str, int], float] = lambda action, number: 0.0
        self.spoil: Callable[[str], Callable[[BaseHTTPRequestHandler], None] | None] = (
            lambda action: None
        )

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _, _, scope = (handler.headers.get("authorization") or "").partition("Credential=")
        self.signers.append(scope.partition("/")[0])
        action = (handler.headers.get("x-amz-target") or "").rpartition(".")[2]
        delay = self.slow(action, self.actions.count(action))
        self.actions.append(action)
        spoiled = self.spoil(action)
        if spoiled is not None:
            spoiled(handler)
            return
        headers = dict(handler.headers.items())
        with contextlib.closing(HTTPConnection(self._target, timeout=30)) as connection:
            connection.request("POST", handler.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        time.sleep(delay)
        handler.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        if self._closes:
            handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(answer)
        handler.close_connection = handler.close_connection or self._closes


class Issuer(Server):
    """STS and SSO, as far as botocore's providers need them: each key says who has issued it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path.startswith("/federation/credentials"):
            self.asked.append("GetRoleCredentials")
            role: dict[str, Any] = {
                "accessKeyId": "GetRoleCredentials",
                "secretAccessKey": "secret",
                "sessionToken": "token",
                "expiration": round((time.time() + 3600) * 1000),
            }
            send(handler, json.dumps({"roleCredentials": role}).encode(), "application/json")
            return
        action = parse_qs(body.decode()).get("Action", [""])[0]
        self.asked.append(action)
        answer = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials><AccessKeyId>{action}XXXXXXXX</AccessKeyId>"
            "<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
            f"<Expiration>{in_minutes(60)}</Expiration></Credentials>"
            f"</{action}Result></{action}Response>"
        )
        send(handler, answer.encode(), "text/xml")
