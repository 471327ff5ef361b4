"""Where DynamoDB is, and whether a plain signed request may go there straight."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

# Plain addresses. Whatever else a URL may have in it is botocore's to understand.
_URL = re.compile(
    r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/%-]*)?"
)
# The partition `aws`: elsewhere hosts have other names.
_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+")
_ANY_REGION = re.compile(r"[a-z0-9-]{1,63}")

ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the variable's name
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the variable's name

# Settings that change where a request goes or how it is signed.
_TAKEN_BY_BOTOCORE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE",
    "AWS_AUTH_SCHEME_PREFERENCE",
    "AWS_SECURITY_TOKEN",
    "AWS_DATA_PATH",
)
# ... and what their values are where they change nothing.
_OFF = ("", "false", "disabled")
_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}


class Address(NamedTuple):
    """Where a server listens, and whether it speaks TLS there."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of a `Host` header, which leaves out the usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Route(NamedTuple):
    """What a request needs besides credentials.

    `authorities` is the path of a CA bundle, None for the system's own.
    """

    address: Address
    region: str
    authorities: str | None


class NotPlainError(Exception):
    """Only boto3 knows how to send a request from here; the text says why."""


def plain_route(environment: Mapping[str, str]) -> Route:
    """Return the way that these variables lead; raise `NotPlainError` where it is not plain."""
    if not (environment.get(ACCESS_KEY) and environment.get(SECRET_KEY)):
        raise NotPlainError(f"{ACCESS_KEY} and {SECRET_KEY} are not set")
    for name in _TAKEN_BY_BOTOCORE:
        if environment.get(name, "").lower() not in _OFF:
            raise NotPlainError(f"{name} is set")
    for name, usual in _FILES.items():
        path = os.path.expanduser(environment.get(name) or usual)
        if os.path.isfile(path) and os.path.getsize(path):
            raise NotPlainError(f"there is a configuration file, {path}")
    region = environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION") or ""
    url = _endpoint(environment)
    if not (_ANY_REGION if url else _REGION).fullmatch(region):
        raise NotPlainError(f"{region!r} is not a Region of the partition aws")
    found = split(url or f"https://dynamodb.{region}.amazonaws.com")
    if found is None or found[1] != "/":
        raise NotPlainError("the endpoint's URL is not a plain one")
    address = found[0]
    if is_proxied(url or f"https://{address.host}", environment):
        raise NotPlainError("there is a proxy on the way")
    return Route(address, region, _authorities(environment))


def split(url: str) -> tuple[Address, str] | None:
    """Return a URL's address and path; None if it is not a plain one."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, port, path = match.groups()
    tls = scheme == "https"
    address = Address(host.strip("[]"), int(port or (443 if tls else 80)), tls)
    return address, path or "/"


def is_proxied(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether the environment, or the system, has a proxy on the way to that address."""
    named = {name.lower() for name in environment if name.lower().endswith("_proxy")}
    if not named - {"no_proxy"} and sys.platform not in ("darwin", "win32"):
        return False
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.netloc)


def has_stand_in() -> bool:
    """Say whether somebody answers botocore's requests, or records them, in this process."""
    if "vcr" in sys.modules:
        return True
    if "moto" not in sys.modules:
        return False
    stubber = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
    return bool(getattr(stubber, "enabled", True))


def _endpoint(environment: Mapping[str, str]) -> str:
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    own = environment.get("AWS_ENDPOINT_URL_DYNAMODB")
    return own or environment.get("AWS_ENDPOINT_URL") or ""


def _authorities(environment: Mapping[str, str]) -> str | None:
    """Return the file that botocore would take, without importing it."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        path = environment.get(name)
        if path is not None:
            if not os.path.isfile(path):
                raise NotPlainError(f"{name} is not a file")
            return path
    from importlib.util import find_spec

    for package in ("certifi", "botocore"):
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = os.path.join(folder, "cacert.pem")
            if os.path.isfile(path):
                return path
    return None
