"""A boto3 client whose other end says whatever it is told to, without a network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import boto3
from botocore.awsrequest import AWSResponse


class Answer(NamedTuple):
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """Gives every request of its `client` the same `answer`, which can be set."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.client: Any = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
        )
        self.client.meta.events.register("before-send.dynamodb", self._send)

    def _send(self, request: Any, **_: object) -> Any:
        status, headers, body = self.answer
        return AWSResponse(request.url, status, cast(Any, headers), _Raw(body))


class _Raw(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()
