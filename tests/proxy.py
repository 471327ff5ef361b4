"""A wire to the engine that is listened to, and can be cut: bytes then go nowhere."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit


class Wire:
    """Passes bytes between its clients and an endpoint, until `silent` is set."""

    def __init__(self, endpoint: str) -> None:
        address = urlsplit(endpoint)
        self._target = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.silent = False
        #: What was asked of DynamoDB: actions with their arguments.
        self.requests: list[tuple[str, Any]] = []
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for end in self._sockets:
            # Wakes up the thread that waits on it, which closing alone does not.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._start(self._listen, client, server)
                self._start(self._pass, server, client)

    def _listen(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            heard = b""
            while data := client.recv(65536):
                if not self.silent:
                    server.sendall(data)
                heard = self._note_requests(heard + data)
            server.shutdown(socket.SHUT_WR)

    def _note_requests(self, heard: bytes) -> bytes:
        while b"\r\n\r\n" in heard:
            head, _, rest = heard.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                break
            heard = rest[size:]
            if target := re.search(rb"(?i)x-amz-target: DynamoDB_\d+\.(\w+)", head):
                self.requests.append((target[1].decode(), json.loads(rest[:size])))
        return heard

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
