"""Which transport sends the hot operations: boto3's client, or none of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._errors import LeaseConfigError
from .._events.logger import logger
from .client import Clients, OwnClients

if TYPE_CHECKING:
    from .direct import DirectTransport

#: The environment variable that chooses where no argument does.
TRANSPORT = "SINGLETON_TRANSPORT"
_KNOWN = ("boto3", "direct")


def choose(transport: str | None, clients: Clients) -> Clients:
    """Return what sends a lease's operations, given what sends all others.

    Raises `LeaseConfigError` for a transport that there is none of.
    """
    if transport is not None:
        _check(transport, "transport")
    if isinstance(clients, OwnClients):
        return ChosenClients(transport, clients)
    if transport == "direct":
        _say_aside("a client was given")
    return clients


class ChosenClients:
    """Chooses the transport once in each process, when it is first needed."""

    def __init__(self, transport: str | None, own: OwnClients) -> None:
        self._transport = transport
        self._own = own
        self._pid = 0
        self._direct: DirectTransport | None = None

    def get(self, timeout: float) -> Any:
        """Return what has `update_item` and `get_item`, each within `timeout` seconds."""
        direct = self._chosen()
        if direct is None:
            return self._own.get(timeout)
        from .direct import DirectCalls

        return DirectCalls(direct, timeout)

    def warm(self, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Do all that can be done ahead of the first request."""
        direct = self._chosen()
        if direct is None:
            self._own.warm(timeout, rehearsal)
        else:
            direct.warm(timeout, rehearsal)

    def _chosen(self) -> DirectTransport | None:
        if self._pid != os.getpid():
            self._direct = self._choose()
            self._pid = os.getpid()
        if self._direct is None:
            return None
        from .route import ACCESS_KEY, SECRET_KEY, has_stand_in

        present = os.environ.get(ACCESS_KEY) and os.environ.get(SECRET_KEY)
        return self._direct if present and not has_stand_in() else None

    def _choose(self) -> DirectTransport | None:
        transport = self._transport or os.environ.get(TRANSPORT) or "boto3"
        _check(transport, TRANSPORT)
        if transport == "boto3":
            return None
        from .route import NotPlainError, plain_route

        try:
            route = plain_route(os.environ)
        except NotPlainError as reason:
            _say_aside(str(reason))
            return None
        from .direct import DirectTransport

        direct = DirectTransport(route)
        direct.prepare()
        return direct


def _say_aside(reason: str) -> None:
    """Tell who looks for it why requests go through boto3 all the same."""
    logger().debug("transport: boto3 in place of direct, since %s", reason)


def _check(transport: str, parameter: str) -> None:
    if transport not in _KNOWN:
        raise LeaseConfigError(f'{parameter} must be "boto3" or "direct", not {transport!r}')
