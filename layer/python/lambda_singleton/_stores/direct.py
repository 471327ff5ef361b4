"""The two hot operations without boto3: signed here, over connections of our own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from .connection import Connections, HTTPReply, trusting
from .failures import ExchangeError, RefusalError
from .rehearsal import REFUSED
from .route import ACCESS_KEY, SECRET_KEY, TOKEN, Route
from .signing import Credentials, Scope, authorization

_API = "DynamoDB_20120810"
_CONTENT = "application/x-amz-json-1.0"
_AGENT = "lambda-singleton direct"


class DirectTransport:
    """Sends UpdateItem and GetItem along one route, with the environment's credentials."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._scope = Scope(route.region, "dynamodb")
        self._connections = Connections(trusting(route.authorities))

    def prepare(self) -> None:
        """Read the authorities. What is wrong with them is told by the request that needs them."""
        with suppress(OSError, ValueError):
            self._connections.prepare(self._route.address)

    def warm(self, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Rehearse a request, and open a connection for the first one; or raise `ExchangeError`."""
        with self._connections.rehearsing(REFUSED):
            rehearsal()
        self._connections.connect(self._route.address, timeout)

    def request(self, operation: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        """Send one operation, and return its result in the form of botocore's.

        Raises `RefusalError` if DynamoDB refuses it, and `ExchangeError` if there is no reply.
        """
        body = json.dumps(arguments).encode()
        headers = self._signed(operation, body)
        reply = self._connections.post(self._route.address, "/", headers, body, timeout)
        return _result(operation, reply)

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        credentials = _credentials()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "content-type": _CONTENT,
            "host": self._route.address.authority,
            "x-amz-date": moment,
            "x-amz-target": f"{_API}.{operation}",
        }
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        headers["Authorization"] = authorization(headers, body, moment, credentials, self._scope)
        # Not signed: whoever passes a request on may change it.
        headers["User-Agent"] = _AGENT
        return headers


class DirectCalls:
    """Stands in for boto3's client: its two methods, whose requests take `timeout` seconds."""

    def __init__(self, transport: DirectTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout

    def update_item(self, **arguments: Any) -> Any:
        return self._transport.request("UpdateItem", arguments, self._timeout)

    def get_item(self, **arguments: Any) -> Any:
        return self._transport.request("GetItem", arguments, self._timeout)


def _credentials() -> Credentials:
    # Read for each request: they may be replaced while the process runs.
    access_key = os.environ.get(ACCESS_KEY, "")
    token = os.environ.get(TOKEN)
    # A sign that no header can have is one that was copied by mistake; blanks would be signed
    # in another form than they are sent in.
    sent = access_key + (token or "")
    if not (access_key and sent.isascii() and sent.isprintable()) or " " in sent:
        raise ExchangeError("unsent", "a credential has a character that none can have")
    return Credentials(access_key, os.environ.get(SECRET_KEY, ""), token)


def _result(operation: str, reply: HTTPReply) -> Any:
    try:
        content = json.loads(reply.body)
    except ValueError:
        content = None
    metadata = {"HTTPStatusCode": reply.status, "HTTPHeaders": reply.headers}
    if reply.status != 200:
        _refuse(operation, content if isinstance(content, dict) else {}, metadata)
    if not isinstance(content, dict):
        raise ExchangeError("nonsense", "the reply is not a JSON object")
    content["ResponseMetadata"] = metadata
    return content


def _refuse(operation: str, content: dict[str, Any], metadata: dict[str, Any]) -> NoReturn:
    # As `com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException`.
    kind = content.get("__type")
    code = str(kind or metadata["HTTPStatusCode"]).rpartition("#")[2].partition(":")[0]
    message = str(content.get("message") or content.get("Message") or "")
    response = {
        **content,
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": metadata,
    }
    raise RefusalError(operation, response)
