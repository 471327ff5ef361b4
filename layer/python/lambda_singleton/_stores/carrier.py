"""botocore's requests over connections of our own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .._protocol.term import REQUEST_TIMEOUT
from .connection import Connections, HTTPReply, trusting
from .failures import ExchangeError
from .rehearsal import REFUSED
from .route import has_stand_in, is_proxied, split

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_OPERATIONS = ("UpdateItem", "GetItem")


class Carrier:
    """Sends what a client has signed, in place of botocore's own connections.

    Theirs have a time limit for each wait, not for the whole, and read the file of authorities
    anew for each connection. Signing, credentials, endpoints and replies stay with botocore.
    """

    def __init__(self, authorities: str) -> None:
        self._connections = Connections(trusting(authorities))
        self._of_thread = threading.local()

    def attach(self, client: Any) -> None:
        """Carry the client's requests from now on."""
        for operation in _OPERATIONS:
            client.meta.events.register_last(f"before-send.dynamodb.{operation}", self._send)

    def allow(self, timeout: float) -> None:
        """Let each request of this thread take that many seconds, from its sending on."""
        self._of_thread.timeout = timeout

    def prepare(self, url: str) -> None:
        """Read the authorities. What is wrong with them is told by the request that needs them."""
        target = split(url)
        if target is not None:
            with suppress(OSError, ValueError):
                self._connections.prepare(target[0])

    def warm(self, client: Any, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Rehearse a request, and open a connection for the first one; or raise `ExchangeError`."""
        # A tracer would show a request that nobody sent.
        is_traced = hasattr(getattr(client, "_make_api_call", None), "__wrapped__")
        if not is_traced and not has_stand_in():
            with self._connections.rehearsing(REFUSED):
                rehearsal()
        target = split(client.meta.endpoint_url)
        if target is not None:
            self._connections.connect(target[0], timeout)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        target = split(request.url)
        body = request.body
        if target is None or not isinstance(body, bytes) or has_stand_in():
            return None
        headers = {name: _text(value) for name, value in request.headers.items()}
        try:
            timeout = getattr(self._of_thread, "timeout", REQUEST_TIMEOUT)
            reply = self._connections.post(*target, headers, body, timeout)
        except ExchangeError as error:
            raise _botocore_error(error, request) from error
        return _response(request.url, reply)


def carrier_for(client: Any, authorities: str | None) -> Carrier | None:
    """Return what can carry the client's requests; None if only botocore knows how to.

    `authorities` is the path of the CA bundle that was configured, None if none was.
    """
    config, url = client.meta.config, client.meta.endpoint_url
    if config.client_cert or config.proxies or split(url) is None or is_proxied(url):
        return None
    if authorities is None:
        from botocore.httpsession import get_cert_path

        authorities = str(get_cert_path(True))
    return Carrier(authorities) if os.path.isfile(authorities) else None


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
