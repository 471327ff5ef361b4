"""TLS in front of an engine that speaks plain HTTP, as DynamoDB does; on this machine only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import trustme

from .engine import ROOT, free_port, refuse_unless_loopback, wait_for


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
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
        )
        self.endpoint = f"https://127.0.0.1:{port}"
        wait_for(self.endpoint, self._process)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


async def _serve(target: str, port: int, certificate: str) -> None:
    address = urlsplit(target)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            engine, to_engine = await asyncio.open_connection(address.hostname, address.port)
        except OSError:
            to_client.close()
            return
        await asyncio.gather(_pump(client, to_engine), _pump(engine, to_client))

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context, backlog=128)
    await server.serve_forever()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    # Either side may hang up wherever it is; then so does the other.
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
