"""AWS's Signature Version 4, for a POST to the root path."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Who signs. The token goes with credentials that end, as a function's own."""

    access_key: str
    secret_key: str
    token: str | None = None


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str


def authorization(
    headers: Mapping[str, str], body: bytes, moment: str, credentials: Credentials, scope: Scope
) -> str:
    """Return the value of the header `Authorization`.

    All `headers` are signed: they have lower-case names, values without blanks at the ends or two
    in a row, and among them are `host` and `x-amz-date`. That one is `moment`, a time in UTC as
    `20150830T123600Z`.
    """
    names = sorted(headers)
    signed = ";".join(names)
    lines = [f"{name}:{headers[name]}" for name in names]
    hashed = sha256(body).hexdigest()
    request = "\n".join(["POST", "/", "", *lines, "", signed, hashed])
    date = moment[:8]
    good_for = f"{date}/{scope.region}/{scope.service}/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{good_for}\n{sha256(request.encode()).hexdigest()}"
    key = signing_key(credentials.secret_key, date, scope)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{good_for}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"


# One a day, for each secret: four of a request's five hashes.
@lru_cache(maxsize=2)
def signing_key(secret_key: str, date: str, scope: Scope) -> bytes:
    """Return the key for a day, a Region and a service."""
    key = ("AWS4" + secret_key).encode("utf-8", "surrogateescape")
    for part in (date, *scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
