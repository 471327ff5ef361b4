"""TLS in front of an engine that speaks plain HTTP, as DynamoDB does; on this machine only."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from io import BufferedReader
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import trustme

from .engine import ROOT, free_port, refuse_unless_loopback, wait_for

#: What the process needs to find this module.
IMPORTED = os.pathsep.join(map(str, (ROOT, ROOT / "tools", ROOT / "layer" / "python")))


class Tls:
    """Speaks TLS at `endpoint` for the HTTP engine at `target`, in a process of its own.

    The certificate is signed by an authority that is made for this one time of use: whoever has
    `environment` trusts it. No secret leaves the folder that is removed afterwards.
    """

    def __init__(self, target: str) -> None:
        refuse_unless_loopback(target)
        self._target = target
        self._folder = tempfile.TemporaryDirectory(prefix="tls-")
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""

    @property
    def authority(self) -> str:
        """The path of the certificate to trust, in PEM."""
        return str(Path(self._folder.name, "authority.pem"))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs besides the engine's own environment."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_CA_BUNDLE": self.authority}

    def __enter__(self) -> Self:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        served = Path(self._folder.name, "served.pem")
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(served))
        port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local_lambda.tls", self._target, str(port), str(served)],
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": IMPORTED},
        )
        self.endpoint = f"https://127.0.0.1:{port}"
        wait_for(self.endpoint, self._process)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def _serve(target: str, port: int, certificate: str) -> None:
    address = urlsplit(target)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", port), backlog=128) as server:
        while True:
            client, _ = server.accept()
            given = (context, client, (address.hostname or "", address.port or 80))
            threading.Thread(target=_pass_on, args=given, daemon=True).start()


def _pass_on(context: ssl.SSLContext, client: socket.socket, target: tuple[str, int]) -> None:
    # One request after the other, as a server does it: what follows is not even decrypted before.
    # Either side may hang up wherever it is; then so does the other.
    with contextlib.suppress(OSError), client, socket.create_connection(target) as engine:
        for side in (client, engine):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(client, server_side=True) as secured:
            requests, replies = secured.makefile("rb"), engine.makefile("rb")
            while request := _message(requests):
                engine.sendall(request)
                secured.sendall(_message(replies))


def _message(source: BufferedReader) -> bytes:
    """Read one HTTP message; nothing if there is none left."""
    lines = []
    length = 0
    while line := source.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines) + source.read(length)
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return b""


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
