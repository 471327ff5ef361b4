"""botocore's requests over connections of our own."""

from __future__ import annotations

import os
import re
import ssl
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .connection import Address, Connections, ExchangeError, HTTPReply

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

# Plain addresses. Whatever else a URL may have in it is botocore's to understand.
_URL = re.compile(
    r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/%-]*)?"
)
_OPERATIONS = ("UpdateItem", "GetItem")


class Carrier:
    """Sends what a client has signed, in place of botocore's own connections.

    Theirs have a time limit for each wait, not for the whole, and read the file of authorities
    anew for each connection. Signing, credentials, endpoints and replies stay with botocore.
    """

    def __init__(self, authorities: str) -> None:
        self._connections = Connections(lambda: _context(authorities))
        self._of_thread = threading.local()

    def attach(self, client: Any) -> None:
        """Carry the client's requests from now on."""
        for operation in _OPERATIONS:
            client.meta.events.register_last(f"before-send.dynamodb.{operation}", self._send)

    def allow(self, timeout: float) -> None:
        """Let each request of this thread take that many seconds, from its sending on."""
        self._of_thread.timeout = timeout

    def connect(self, url: str, timeout: float) -> None:
        """Open a connection; let the first request tell what went wrong, if it does."""
        target = _target(url)
        if target is not None:
            self._connections.connect(target[0], timeout)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        target = _target(request.url)
        body = request.body
        if target is None or not isinstance(body, bytes) or has_stand_in():
            return None
        headers = {name: _text(value) for name, value in request.headers.items()}
        try:
            reply = self._connections.post(*target, headers, body, self._of_thread.timeout)
        except ExchangeError as error:
            raise _botocore_error(error, request) from error
        return _response(request.url, reply)


def carrier_for(client: Any, authorities: str | None) -> Carrier | None:
    """Return what can carry the client's requests; None if only botocore knows how to.

    `authorities` is the path of the CA bundle that was configured, None if none was.
    """
    config, url = client.meta.config, client.meta.endpoint_url
    if config.client_cert or config.proxies or _target(url) is None or is_proxied(url):
        return None
    if authorities is None:
        from botocore.httpsession import get_cert_path

        authorities = str(get_cert_path(True))
    return Carrier(authorities) if os.path.isfile(authorities) else None


def is_proxied(url: str) -> bool:
    """Say whether the environment, or the system, has a proxy on the way to that address."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.netloc)


def has_stand_in() -> bool:
    """Say whether somebody answers botocore's requests, or records them, in this process."""
    if "moto" in sys.modules:
        stubber = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
        return bool(getattr(stubber, "enabled", True))
    return "vcr" in sys.modules


def _target(url: str) -> tuple[Address, str] | None:
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, port, path = match.groups()
    tls = scheme == "https"
    address = Address(host.strip("[]"), int(port or (443 if tls else 80)), tls)
    return address, path or "/"


def _context(authorities: str) -> ssl.SSLContext:
    # As botocore makes it: not `create_default_context`, which since Python 3.13 also refuses
    # authorities that botocore takes.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authorities)
    return context


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Body:
    """A reply's body as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def _response(url: str, reply: HTTPReply) -> AWSResponse:
    from botocore.awsrequest import AWSResponse

    headers: Any = reply.headers
    return AWSResponse(url, reply.status, headers, _Body(reply.body))


def _botocore_error(error: ExchangeError, request: AWSPreparedRequest) -> Exception:
    from botocore import exceptions as botocore
    from botocore.parsers import ResponseParserError

    url = request.url
    if error.kind == "unsent":
        return botocore.HTTPClientError(error=ValueError(str(error)))
    if error.kind == "nonsense":
        return ResponseParserError(str(error))
    if error.kind == "cut":
        return botocore.ConnectionClosedError(error=error, request=request, endpoint_url=url)
    kinds: dict[str, type[botocore.BotoCoreError]] = {
        "unreached": botocore.EndpointConnectionError,
        "connect-timeout": botocore.ConnectTimeoutError,
        "tls": botocore.SSLError,
        "timeout": botocore.ReadTimeoutError,
    }
    return kinds[error.kind](endpoint_url=url, error=error)
