"""HTTP over kept connections, each exchange by one deadline."""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import (
    HTTPException,
    HTTPResponse,
    IncompleteRead,
    RemoteDisconnected,
)
from typing import Any, NamedTuple, NoReturn
from weakref import finalize

from .failures import ExchangeError, Kind
from .route import Address

# A row has at most 400 KB, which JSON may write six times as long. The head's part of it is small.
_LONGEST_REPLY = 4 * 2**20
_LONGEST_HEAD = 64 * 2**10
# As many as botocore keeps: one for each thread that asks at the same time.
_MOST_KEPT = 10


class HTTPReply(NamedTuple):
    """What came back, whole: the length was told and kept to, and so was a CRC32."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    """Keeps the connections of one process, and whatever makes a new one cheap.

    A TLS context reads its file of authorities once, and a new connection goes on with the TLS
    session of an earlier one. A child of `fork()` uses nothing of its parent. Nothing is sent a
    second time, and no redirect is followed.
    """

    def __init__(self, make_context: Callable[[], ssl.SSLContext]) -> None:
        self._make_context = make_context
        self._of_thread = threading.local()
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[_Wire] = []
        # Also in a circle of references, whose parts end in no order: a socket would warn.
        finalize(self, _end_all, self._idle).atexit = False
        self._context: ssl.SSLContext | None = None
        self._sessions: dict[Address, ssl.SSLSession | None] = {}

    def post(
        self, address: Address, path: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> HTTPReply:
        """Send one POST, and return the reply; raise `ExchangeError` if there is none.

        `timeout` is in seconds, for everything together: connecting, the TLS handshake, sending
        and reading. Only the look-up of the host's name cannot be ended by anybody.
        """
        deadline = time.monotonic() + timeout
        _refuse_unsendable(headers)
        rehearsed: HTTPReply | None = getattr(self._of_thread, "rehearsed", None)
        if rehearsed is not None:
            return rehearsed
        wire = self._kept(address) or self._connect(address, deadline)
        try:
            reply = wire.post(path, headers, body, deadline)
        except BaseException:
            # Whatever else arrives here must not be taken for the next one's reply.
            wire.end()
            raise
        self._keep(wire)
        return reply

    @contextmanager
    def rehearsing(self, reply: HTTPReply) -> Iterator[None]:
        """Answer the requests of this thread with `reply` meanwhile, and send none."""
        self._of_thread.rehearsed = reply
        try:
            yield
        finally:
            self._of_thread.rehearsed = None

    def prepare(self, address: Address) -> None:
        """Read the authorities, if they will be needed."""
        if address.tls and self._context is None:
            self._context = self._make_context()

    def connect(self, address: Address, timeout: float) -> None:
        """Open a connection for the next exchange, unless one is open; or raise `ExchangeError`."""
        wire = self._kept(address) or self._connect(address, time.monotonic() + timeout)
        self._keep(wire)

    def close(self) -> None:
        """Close what is idle."""
        _end_all(self._idle)

    def _kept(self, address: Address) -> _Wire | None:
        if self._pid != os.getpid():
            # This closes the child's end alone: the parent's connections stay as they are.
            self.close()
            self._start()
        while (wire := self._pop()) is not None:
            if wire.address == address and wire.is_silent():
                return wire
            self._discard(wire)
        return None

    def _pop(self) -> _Wire | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _keep(self, wire: _Wire) -> None:
        if wire.is_reusable and self._pid == os.getpid() and len(self._idle) < _MOST_KEPT:
            self._idle.append(wire)
        else:
            self._discard(wire)

    def _discard(self, wire: _Wire) -> None:
        # The server's ticket has arrived with a reply: only now is the session worth keeping.
        self._sessions[wire.address] = wire.session()
        wire.end()

    def _connect(self, address: Address, deadline: float) -> _Wire:
        plain = _dial(address, deadline)
        if not address.tls:
            return _Wire(plain, address)
        try:
            self.prepare(address)
            assert self._context is not None
            plain.settimeout(_left(deadline, "connect-timeout"))
            secure = self._context.wrap_socket(
                plain,
                server_hostname=address.host.encode(),
                session=self._sessions.pop(address, None),
            )
        except ExchangeError:
            plain.close()
            raise
        except BaseException as error:
            plain.close()
            if isinstance(error, TimeoutError):
                raise ExchangeError("connect-timeout", "the TLS handshake took too long") from None
            if isinstance(error, OSError | ValueError):
                raise ExchangeError("tls", str(error)) from error
            raise
        return _Wire(secure, address)


def _end_all(idle: list[_Wire]) -> None:
    while idle:
        with suppress(IndexError):
            idle.pop().end()


def trusting(authorities: str | None) -> Callable[[], ssl.SSLContext]:
    """Return what makes a context that trusts the CA bundle of that path, or the system's own."""

    def make() -> ssl.SSLContext:
        # As botocore makes it: not `create_default_context`, which since Python 3.13 also refuses
        # authorities that botocore takes.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if authorities is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(authorities)
        return context

    return make


def _dial(address: Address, deadline: float) -> socket.socket:
    """Return a connected socket, to the first of the host's addresses that answers."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ExchangeError("unreached", str(error)) from error
    failure = ExchangeError("unreached", "the host has no address")
    for position, (family, kind, protocol, _, target) in enumerate(found):
        # One address that is silent must leave time for the others.
        share = _left(deadline, "connect-timeout") / (len(found) - position)
        dialled = socket.socket(family, kind, protocol)
        try:
            dialled.settimeout(share)
            dialled.connect(target)
            # The last part of a request must not wait for the reply to its first.
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as error:
            dialled.close()
            if not isinstance(error, OSError):
                raise
            is_late = isinstance(error, TimeoutError)
            failure = ExchangeError("connect-timeout" if is_late else "unreached", str(error))
        else:
            return dialled
    raise failure


class _Wire:
    """One open connection. Stands in for the socket that `http.client` reads a reply from."""

    def __init__(self, connected: socket.socket, address: Address) -> None:
        self.address = address
        self.is_reusable = True
        self._socket = connected
        self._incoming: _Incoming | None = None
        self._deadline = 0.0

    def post(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> HTTPReply:
        self._deadline = deadline
        try:
            self._send(_head(self.address, path, headers, body) + body)
            response = HTTPResponse(self, method="POST")  # type: ignore[arg-type]
            response.begin()
            self.is_reusable = not response.will_close
            return self._read(response)
        except TimeoutError:
            raise ExchangeError("timeout", "the reply was not there in time") from None
        except HTTPException as error:
            is_cut = isinstance(error, IncompleteRead | RemoteDisconnected)
            why = f"{type(error).__name__}: {error}"[:200]
            raise ExchangeError("cut" if is_cut else "nonsense", why) from None
        except OSError as error:
            raise ExchangeError("cut", str(error)) from error
        finally:
            # Nothing refers to this in a circle: who drops it closes it.
            self._incoming = None

    def __del__(self) -> None:
        self._socket.close()

    def _read(self, response: HTTPResponse) -> HTTPReply:
        # Not `getheaders`, which reads each value anew as an e-mail's.
        told = [(name.lower(), value.strip()) for name, value in response.headers.raw_items()]
        length = _length(told)
        headers = dict(told)
        incoming = self._incoming
        assert incoming is not None
        incoming.allowance = length
        body = response.read()
        if len(body) != length:
            raise ExchangeError("cut", f"the reply has {len(body)} bytes of {length}")
        response.close()
        if incoming.has_more:
            raise ExchangeError("nonsense", "the reply goes on after its end")
        checksum = headers.get("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(body)):
            raise ExchangeError("nonsense", "the reply does not have the CRC32 that it tells")
        return HTTPReply(response.status, headers, body)

    def is_silent(self) -> bool:
        """Say whether the server neither closed nor sent anything that nobody has asked for.

        A TLS server's tickets are for the connection itself, and are taken in here.
        """
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def session(self) -> ssl.SSLSession | None:
        """Return what a next connection may resume; None without TLS."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    def end(self) -> None:
        """Close the connection."""
        self._socket.close()

    def makefile(self, _: str) -> io.BufferedReader:
        """Return what a reply is read from."""
        self._incoming = _Incoming(self._receive)
        return _Reader(self._incoming)

    def _send(self, request: bytes) -> None:
        # Head and body leave in one packet.
        data = memoryview(request)
        while data:
            self._socket.settimeout(_left(self._deadline, "timeout"))
            data = data[self._socket.send(data) :]

    def _receive(self, buffer: Any) -> int:
        # What is left, each time anew: a reply that drips ends at the deadline as well.
        self._socket.settimeout(_left(self._deadline, "timeout"))
        return self._socket.recv_into(buffer)


class _Incoming(io.RawIOBase):
    """The bytes of one reply, and no more of them than are allowed."""

    def __init__(self, receive: Callable[[Any], int]) -> None:
        self._receive = receive
        self.allowance = 0
        self.has_more = False
        self.is_over = False
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.is_over:
            return 0
        count = self._receive(buffer)
        self._received += count
        if self._received > _LONGEST_HEAD + self.allowance:
            raise ExchangeError("nonsense", "the reply is too long for one")
        return count


class _Reader(io.BufferedReader):
    """Notices, when a reply was read, whether more has arrived with it."""

    raw: _Incoming

    def close(self) -> None:
        if not self.closed:
            self.raw.is_over = True
            self.raw.has_more = bool(self.peek(1))
        super().close()


def _length(headers: list[tuple[str, str]]) -> int:
    lengths = [value for name, value in headers if name == "content-length"]
    others = dict(headers)
    if "transfer-encoding" in others or len(lengths) != 1:
        raise ExchangeError("nonsense", "the reply does not tell its length")
    if others.get("content-encoding", "identity") != "identity":
        raise ExchangeError("nonsense", "the reply is encoded, which nobody has asked for")
    length = lengths[0]
    # More digits than that would be read as well, for a long time.
    if not (length.isascii() and length.isdecimal() and len(length) < 10):
        raise ExchangeError("nonsense", "the reply's length is not a number")
    if int(length) > _LONGEST_REPLY:
        raise ExchangeError("nonsense", "the reply is too long for one")
    return int(length)


def _left(deadline: float, kind: Kind) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        _raise_late(kind)
    return left


def _raise_late(kind: Kind) -> NoReturn:
    late = "connecting took too long" if kind == "connect-timeout" else "no reply in time"
    raise ExchangeError(kind, late)


def _head(address: Address, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    # A tenth of a request's time less than `http.client` takes, which looks at each part again.
    # Without an encoding named the server could take any.
    usual = {
        "Host": address.authority,
        "Content-Length": str(len(body)),
        "Accept-Encoding": "identity",
    }
    told = {name.lower() for name in headers}
    added = {name: value for name, value in usual.items() if name.lower() not in told}
    lines = [f"{name}: {value}" for name, value in (added | dict(headers)).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode("ascii")


def _refuse_unsendable(headers: Mapping[str, str]) -> None:
    # `http.client` lets a value go on in a next line. None of ours has one: it may be a credential
    # that was copied with its line's end, so that it is not quoted either.
    for name, value in headers.items():
        told = name + value
        if not (told.isascii() and told.isprintable()) or not name or " " in name or ":" in name:
            raise ExchangeError("unsent", "a header has a character that none can have")
