"""The floor without boto3: signed requests written to a socket that is kept open."""

from __future__ import annotations

import hmac
import json
import os
import socket
import time
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from .floor import TwoCalls

TARGET = "DynamoDB_20120810.UpdateItem"
SIGNED = "content-type;host;x-amz-date;x-amz-target"


class RawSocket(TwoCalls):
    """As little as HTTP and Signature Version 4 allow: no TLS, no time-outs, no errors told."""

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
        self.host = endpoint.netloc
        self.address = (endpoint.hostname, endpoint.port or 80)
        self.region = os.environ["AWS_DEFAULT_REGION"]
        self.access_key = os.environ["AWS_ACCESS_KEY_ID"]
        self.secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        self.signing: tuple[str, bytes] = ("", b"")
        self._connect()

    def _send(self, request: dict[str, Any]) -> bool:
        message = self._signed(json.dumps(request).encode())
        self.requests += 1
        try:
            status, answer = self._exchange(message)
        except ConnectionError:
            # An engine ends connections after a while, between two requests.
            self._connect()
            status, answer = self._exchange(message)
        if status != 200 and "ConditionalCheckFailed" not in answer["__type"]:
            raise RuntimeError(answer)
        return status == 200

    def _connect(self) -> None:
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _signed(self, body: bytes) -> bytes:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        day = moment[:8]
        if self.signing[0] != day:
            key = f"AWS4{self.secret}".encode()
            for part in (day, self.region, "dynamodb", "aws4_request"):
                key = hmac.digest(key, part.encode(), sha256)
            self.signing = day, key
        headers = (
            f"content-type:application/x-amz-json-1.0\nhost:{self.host}\n"
            f"x-amz-date:{moment}\nx-amz-target:{TARGET}\n"
        )
        request = f"POST\n/\n\n{headers}\n{SIGNED}\n{sha256(body).hexdigest()}"
        scope = f"{day}/{self.region}/dynamodb/aws4_request"
        digest = sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(self.signing[1], text.encode(), sha256).hex()
        lines = (
            f"POST / HTTP/1.1\n{headers}"
            f"authorization:AWS4-HMAC-SHA256 Credential={self.access_key}/{scope},"
            f"SignedHeaders={SIGNED},Signature={signature}\n"
            f"content-length:{len(body)}\n\n"
        )
        return lines.replace("\n", "\r\n").encode() + body

    def _exchange(self, message: bytes) -> tuple[int, Any]:
        self.socket.sendall(message)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length:")
        while len(body) < int(length.split(b"\r\n")[0]):
            body += self._more()
        return int(head[9:12]), json.loads(body)

    def _more(self) -> bytes:
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the engine hung up")
        return received
