"""A server that answers as a test tells it to, well or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from typing import Self

from lambda_singleton._stores.route import Address

#: Is called with each connection, and its number from 0 on. When it returns, the connection ends.
Script = Callable[["Peer", int], None]


class ScriptedServer:
    """Listens on the loopback interface, and plays the script with each connection."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._accepted: list[object] = []
        self.peers: list[Peer] = []
        self.refused: list[Exception] = []

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._listener.getsockname()[1], self._context is not None)

    @property
    def endpoint(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self.address.port}"

    @property
    def requests(self) -> list[bytes]:
        """Every request that arrived whole, on any connection."""
        return [request for peer in self.peers for request in peer.requests]

    def connections(self) -> int:
        """Return how many connections were opened until now, whether accepted yet or not."""
        with socket.create_connection(self._listener.getsockname()) as probe:
            while probe.getsockname() not in self._accepted:
                time.sleep(0.001)
            self._accepted.remove(probe.getsockname())
        return len(self._accepted)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        # A thread that waits in accept() is not woken by close().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            peer.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, address = self._listener.accept()
                self._accepted.append(address)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        if self._context is not None:
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError as error:
                self.refused.append(error)
                connection.close()
                return
        peer = Peer(connection)
        self.peers.append(peer)
        with contextlib.suppress(OSError, EOFError):
            self._script(peer, len(self.peers) - 1)
        peer.close()


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.requests: list[bytes] = []
        self.packets: list[bytes] = []
        self._rest = b""

    def read(self) -> bytes:
        """Wait for the next request, and return its body."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")]
        length = int(lengths[0].partition(b":")[2])
        while len(body) < length:
            body += self._receive()
        self._rest = body[length:]
        self.requests.append(head + b"\r\n\r\n" + body[:length])
        return body[:length]

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def close(self) -> None:
        # The other end gets a FIN also while a thread here waits for it.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _receive(self) -> bytes:
        data = self.connection.recv(65_536)
        if not data:
            raise EOFError
        self.packets.append(data)
        return data


def reply(
    body: bytes = b"{}",
    *headers: str,
    status: str = "200 OK",
    length: int | None = None,
    checksum: int | None = None,
) -> bytes:
    """Return a reply as DynamoDB writes it: with its length and its CRC32."""
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(body) if length is None else length}",
        f"x-amz-crc32: {zlib.crc32(body) if checksum is None else checksum}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(peer: Peer, _: int) -> None:
    """Send each request's body back."""
    while True:
        peer.send(reply(peer.read()))
