"""The low-level clients that a store uses, each process its own."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import LeaseConfigError
from .._events.logger import logger
from .._protocol.term import REQUEST_TIMEOUT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from .carrier import Carrier

# A client's timeouts are fixed when it is made. These are the lengths of one request, in seconds,
# of which the longest that fits is taken: in practice one client, unless leases are very short.
_TIMEOUTS = (REQUEST_TIMEOUT, 1.0, 0.5, 0.2)

_PID = os.getpid()

#: botocore's name for what a refresh of credentials holds; one that has another is left alone.
_REFRESH_LOCK = "_refresh_lock"


class Clients(Protocol):
    """Gives out what sends requests: a client of boto3, or what has its methods."""

    def get(self, timeout: float) -> Any:
        """Return one whose next requests, in this thread, take at most `timeout` seconds."""

    def warm(self, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Do ahead of the first request what can be done.

        `rehearsal` makes a request, which is not sent.
        """


class OwnClients:
    """Makes a client when it is first needed: a single one where its requests can be carried.

    Where only botocore knows how to send them there is one for each length of a request.
    """

    def __init__(self) -> None:
        self._made = _Made()

    def get(self, timeout: float) -> DynamoDBClient:
        """Return a client whose next requests, in this thread, take at most `timeout` seconds."""
        if self._made.pid != os.getpid():
            # A child of fork() would read its parent's replies, and wait for its threads' locks.
            self._made = _Made()
        made = self._made
        length = next((length for length in _TIMEOUTS if length <= timeout), _TIMEOUTS[-1])
        client = made.carried or made.clients.get(length)
        if client is None:
            # Clients may be shared by threads, but not made by several at a time.
            with made.lock:
                client = made.carried or made.clients.get(length) or made.make(length)
        if made.carrier is not None:
            made.carrier.allow(timeout)
        return client

    def warm(self, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Do all that can be done ahead of the first request, where its sending is known."""
        client, carrier = self.get(timeout), self._made.carrier
        if carrier is not None:
            carrier.warm(client, timeout, rehearsal)


class _Made:
    """What one process has made."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.clients: dict[float, DynamoDBClient] = {}
        self.carried: DynamoDBClient | None = None
        self.carrier: Carrier | None = None

    def make(self, length: float) -> DynamoDBClient:
        if not self.clients:
            # The longest, also where it is carried: scans and the like keep to its own limits.
            client, authorities = _make_client(_TIMEOUTS[0])
            if self._is_carried(client, authorities):
                return client
            self.clients[_TIMEOUTS[0]] = client
        if length not in self.clients:
            self.clients[length], _ = _make_client(length)
        return self.clients[length]

    def _is_carried(self, client: DynamoDBClient, authorities: str | None) -> bool:
        from .carrier import carrier_for

        carrier = carrier_for(client, authorities)
        if carrier is None:
            return False
        carrier.attach(client)
        carrier.prepare(client.meta.endpoint_url)
        # In this order: who sees the client sees its carrier, too.
        self.carrier = carrier
        self.carried = client
        return True


class GivenClient:
    """A client that the user made: used as it is, for requests of any length."""

    def __init__(self, client: Any) -> None:
        _refuse_unsuited(client)
        self._client: DynamoDBClient = client
        self._pid = os.getpid()
        self._warned = False

    def get(self, timeout: float) -> DynamoDBClient:
        """Return the client; warn once if it may take longer than `timeout` seconds."""
        if self._pid != os.getpid():
            # Drops the connections that a child of fork() would share with its parent.
            self._client.close()
            _unlock_credentials(self._client)
            self._pid = os.getpid()
        if not self._warned:
            self._warned = True
            _warn_of_long_timeouts(self._client, timeout)
        return self._client

    def warm(self, timeout: float, rehearsal: Callable[[], object]) -> None:
        """Do nothing: what its user has not told it to send is not sent."""


def _refuse_unsuited(client: Any) -> None:
    meta = getattr(client, "meta", None)
    service = getattr(getattr(meta, "service_model", None), "service_name", None)
    config = getattr(meta, "config", None)
    is_client = callable(getattr(client, "update_item", None)) and not isinstance(client, type)
    if hasattr(meta, "resource_model") or not is_client:
        what = f"not {client!r}"
    elif "Resource" in str(getattr(config, "user_agent_extra", None) or ""):
        what = "not a resource's client, which takes other values"
    elif service not in (None, "dynamodb"):
        what = f"not one for {service}"
    elif hasattr(type(client), "__aenter__"):
        what = "not an asynchronous one"
    else:
        return
    raise LeaseConfigError(f"client must be a boto3.client('dynamodb'), {what}")


def _make_client(timeout: float) -> tuple[DynamoDBClient, str | None]:
    """Return a client, and the path of the CA bundle that is configured for it, if one is."""
    with _no_garbage_collection():
        try:
            import botocore
            from botocore.config import Config
        except ImportError as error:
            raise LeaseConfigError(
                "DynamoDBStore needs boto3, which Lambda's Python runtimes have; elsewhere:"
                " pip install 'lambda-singleton[boto3]'"
            ) from error
        # boto3's own defaults are 60 s for each, and retries that depend on its version.
        config = Config(
            connect_timeout=timeout * 0.4,
            read_timeout=timeout * 0.6,
            retries={"mode": "standard", "total_max_attempts": 1},
            # We build every request and DynamoDB validates it: skip botocore's check.
            parameter_validation=False,
            # botocore composes its own from two dozen parts, twice for each request.
            user_agent=f"lambda-singleton Botocore/{botocore.__version__}",
        )
        make, session = _client_maker()
        client: DynamoDBClient = make("dynamodb", config=config)
        if os.getpid() != _PID:
            _unlock_credentials(client)
        # In the order of botocore, to which nothing is no file.
        authorities = session.get_config_variable("ca_bundle")
        if authorities is None:
            authorities = os.environ.get("REQUESTS_CA_BUNDLE")
        return client, authorities


def _client_maker() -> tuple[Callable[..., Any], Any]:
    """Return what makes clients, and a session that is configured as they are.

    That is boto3 where it is in use, or else botocore alone.
    """
    from botocore.session import Session, get_session

    if "boto3" in sys.modules:
        # Another thread may be importing it just now: this waits.
        import boto3

        profile = boto3.DEFAULT_SESSION.profile_name if boto3.DEFAULT_SESSION else None
        return boto3.client, Session(profile=None if profile == "default" else profile)
    from botocore.loaders import Loader

    class QuickLoader(Loader):
        """Believes each service's folder: looking into some 400 takes a third of the time."""

        def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
            folders = filter(os.path.isdir, self.search_paths)
            return sorted({service for folder in folders for service in os.listdir(folder)})

    session = get_session()
    path = os.path.expanduser(session.get_config_variable("data_path") or "")
    loader = QuickLoader(extra_search_paths=path.split(os.pathsep) if path else None)
    session.register_component("data_loader", loader)
    return session.create_client, session


def _unlock_credentials(client: Any) -> None:
    """Give its credentials a lock of this process's own.

    boto3's session is the parent's, one of whose threads may have been refreshing them at the fork.
    """
    credentials: Any = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    if hasattr(credentials, _REFRESH_LOCK):
        setattr(credentials, _REFRESH_LOCK, threading.Lock())


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # A collection meanwhile would look at all that botocore has read: it can take longer than
    # making the client. What botocore reads the first time stays for good, so that no collection
    # ever has to look at it.
    is_first = "botocore" not in sys.modules
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        if was_on:
            gc.enable()


def _warn_of_long_timeouts(client: DynamoDBClient, timeout: float) -> None:
    config: Any = client.meta.config
    retries = config.retries or {}
    tries = retries.get("total_max_attempts") or retries.get("max_attempts", 4) + 1
    longest = tries * (config.connect_timeout + config.read_timeout)
    if longest > timeout:
        logger().warning(
            "the given client may take %.1f s for one request, more than the %.1f s that this lease"
            " allows for: a renewal that hangs can then outlast the lease. Make the client with"
            " short timeouts and retries={'total_max_attempts': 1}",
            longest,
            timeout,
        )
