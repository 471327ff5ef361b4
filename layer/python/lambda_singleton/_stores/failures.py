"""What comes of a request over connections of our own, when it is not a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["unsent", "unreached", "connect-timeout", "tls", "timeout", "cut", "nonsense"]


class ExchangeError(Exception):
    """There was no reply that can be believed. `kind` says how far it came.

    "unsent": the request was not put on the wire, since a header cannot be. "unreached",
    "connect-timeout", "tls": there was no connection to send it on. "timeout", "cut", "nonsense":
    it was sent at least in part, and nobody knows what came of it.
    """

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class RefusalError(Exception):
    """DynamoDB's own word that it did not do it. `response` is in the form of botocore's."""

    def __init__(self, operation: str, response: Mapping[str, Any]) -> None:
        told = response["Error"]
        super().__init__(
            f"An error occurred ({told['Code']}) when calling the {operation} operation:"
            f" {told['Message']}"
        )
        self.response = response
