"""Kept connections against servers that cut, drip, lie and hang up."""

from __future__ import annotations

import gc
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from lambda_singleton._stores.connection import Connections, HTTPReply
from lambda_singleton._stores.failures import ExchangeError
from lambda_singleton._stores.route import Address

from .scripted_server import Peer, Script, ScriptedServer, echo, reply

# Far more than anything here needs, and far less than what a server here would take.
TIMEOUT = 5.0


@pytest.fixture
def connections() -> Iterator[Connections]:
    with closing(Connections(_no_tls)) as connections:
        yield connections


def _no_tls() -> ssl.SSLContext:
    raise AssertionError("a TLS context was made for a plain connection")


def post(
    connections: Connections, server: ScriptedServer, body: bytes = b"{}", timeout: float = TIMEOUT
) -> HTTPReply:
    return connections.post(server.address, "/", {"x-a": "b"}, body, timeout)


def failure(
    connections: Connections, server: ScriptedServer, timeout: float = TIMEOUT
) -> ExchangeError:
    with pytest.raises(ExchangeError) as raised:
        post(connections, server, timeout=timeout)
    return raised.value


def first(*parts: bytes) -> Script:
    """Answer the first request with these bytes and hang up, and later connections well."""

    def script(peer: Peer, number: int) -> None:
        if number:
            echo(peer, number)
        peer.read()
        for part in parts:
            peer.send(part)

    return script


class TestKept:
    def test_one_connection_serves_all_requests_each_in_one_packet(
        self, connections: Connections
    ) -> None:
        with ScriptedServer(echo) as server:
            bodies = [b'{"n": %d}' % number for number in range(20)]
            assert [post(connections, server, body).body for body in bodies] == bodies
            host = f"127.0.0.1:{server.address.port}"
        (peer,) = server.peers
        assert len(peer.packets) == 20
        head = peer.requests[0].decode()
        assert head.startswith("POST / HTTP/1.1\r\n")
        assert f"\r\nHost: {host}\r\n" in head

    def test_no_packet_waits_for_the_reply_to_another(
        self, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Recording(socket.socket):
            def setsockopt(self, *args: Any) -> None:
                options.append(args)
                super().setsockopt(*args)

        options: list[Any] = []
        with ScriptedServer(echo) as server:
            monkeypatch.setattr(socket, "socket", Recording)
            connections.connect(server.address, TIMEOUT)
        assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in options

    def test_threads_do_not_share_one(self, connections: Connections) -> None:
        gate = threading.Barrier(4)

        def script(peer: Peer, number: int) -> None:
            while True:
                body = peer.read()
                gate.wait(10)
                peer.send(reply(body))

        answers: list[tuple[bytes, bytes]] = []

        def ask(mark: bytes) -> None:
            answers.extend((mark, post(connections, server, mark).body) for _ in range(10))

        with ScriptedServer(script) as server:
            threads = [threading.Thread(target=ask, args=(b"%d" % n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(server.requests) == 40
        assert all(mark == answer for mark, answer in answers)
        assert len(server.peers) == 4

    @pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"])
    def test_what_the_server_ended_is_seen_before_sending(
        self, connections: Connections, parting: bytes
    ) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.send(reply(peer.read()))
            if number < 3:
                answered.acquire(timeout=10)
                peer.send(parting)
                return
            echo(peer, number)

        answered = threading.Semaphore(0)
        with ScriptedServer(script) as server:
            for number in range(6):
                body = b"%d" % number
                assert post(connections, server, body).body == body
                if number < 3:
                    answered.release()
                    wait_until_closed(server.peers[number])
            assert [len(peer.requests) for peer in server.peers] == [1, 1, 1, 3]

    def test_a_server_that_says_close_is_believed(self, connections: Connections) -> None:
        def script(peer: Peer, number: int) -> None:
            body = peer.read()
            peer.send(reply(body, "Connection: close"))

        with ScriptedServer(script) as server:
            for number in range(3):
                assert post(connections, server, b"%d" % number).body == b"%d" % number
        assert [len(peer.requests) for peer in server.peers] == [1, 1, 1]

    def test_a_child_of_fork_uses_none_of_its_parent(self, connections: Connections) -> None:
        with ScriptedServer(echo) as server:
            post(connections, server, b"parent")
            child = os.fork()
            if not child:
                answered = post(connections, server, b"child").body
                os._exit(0 if answered == b"child" else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert post(connections, server, b"parent again").body == b"parent again"
            bodies = [[body(request) for request in peer.requests] for peer in server.peers]
        assert bodies == [[b"parent", b"parent again"], [b"child"]]

    def test_opened_ahead_it_costs_the_request_nothing(self, connections: Connections) -> None:
        with ScriptedServer(echo) as server:
            connections.connect(server.address, TIMEOUT)
            connections.connect(server.address, TIMEOUT)
            post(connections, server)
            assert len(server.peers) == 1

    def test_dropped_they_are_closed(self) -> None:
        with ScriptedServer(echo) as server:
            connections = Connections(_no_tls)
            post(connections, server)
            # An unclosed socket would warn, and warnings are errors.
            del connections
            gc.collect()
            wait_until_closed(server.peers[0])


class TestReplies:
    def test_cut_anywhere_it_is_none_and_the_next_one_is_its_own(self) -> None:
        whole = reply(b'{"Attributes": {}}')
        for length in range(len(whole)):
            connections = Connections(_no_tls)
            with ScriptedServer(first(whole[:length])) as server, closing(connections):
                assert failure(connections, server).kind in ("cut", "nonsense")
                assert post(connections, server, b"next").body == b"next"
            assert [len(peer.requests) for peer in server.peers] == [1, 1]

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{}", id="no length"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                id="chunked",
            ),
            pytest.param(reply(b"{}", "Transfer-Encoding: chunked"), id="chunked with a length"),
            pytest.param(reply(b"{}", "Content-Length: 2"), id="two lengths"),
            pytest.param(reply(b"{}", length=-2), id="negative length"),
            pytest.param(reply(b"{}", length=10**8), id="huge length"),
            pytest.param(reply(b"{}").replace(b"th: 2", b"th: 0x2"), id="hexadecimal length"),
            pytest.param(reply(b"{}").replace(b"th: 2", b"th: +2"), id="signed length"),
            pytest.param(reply(b"{}", length=1), id="too short a length"),
            pytest.param(reply(b"{}", checksum=1), id="wrong checksum"),
            pytest.param(reply(b"{}") + reply(b"{}"), id="two replies in one packet"),
            pytest.param(reply(b"{}") + b"\r\n", id="an empty line after it"),
            pytest.param(reply(b"{}", "Content-Encoding: gzip"), id="encoded"),
            pytest.param(reply(b"{}", "x-long: " + "a" * 10**5), id="a line of 100 KB"),
            pytest.param(reply(b"{}", *["x-many: 1"] * 200), id="200 headers"),
            pytest.param(
                reply(b"{}", *[f"x-{n}: {'a' * 60_000}" for n in range(90)]), id="a head of 5 MB"
            ),
            pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 10**5, id="endless 100"),
            pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="another protocol"),
            pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="SSH"),
            pytest.param(b"HTTP/1.1 99 Low\r\n\r\n", id="no status"),
            pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", id="TLS"),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_the_connection_left(
        self, connections: Connections, answer: bytes
    ) -> None:
        with ScriptedServer(first(answer)) as server:
            assert failure(connections, server).kind == "nonsense"
            assert post(connections, server, b"next").body == b"next"
        assert [len(peer.requests) for peer in server.peers] == [1, 1]

    def test_too_long_a_length_is_a_cut(self, connections: Connections) -> None:
        with ScriptedServer(first(reply(b"{}", length=3))) as server:
            assert failure(connections, server).kind == "cut"

    def test_a_second_reply_that_comes_later_is_never_the_next_ones(
        self, connections: Connections
    ) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.send(reply(peer.read()))
            if number == 0:
                answered.wait(10)
                peer.send(reply(b"nobody's"))
                sent.set()
            echo(peer, number)

        answered, sent = threading.Event(), threading.Event()
        with ScriptedServer(script) as server:
            assert post(connections, server, b"one").body == b"one"
            answered.set()
            sent.wait(10)
            time.sleep(0.05)
            assert post(connections, server, b"two").body == b"two"
        assert len(server.peers) == 2

    def test_continue_is_passed_over(self, connections: Connections) -> None:
        with ScriptedServer(first(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"[]"))) as server:
            assert post(connections, server).body == b"[]"

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
    def test_no_redirect_is_followed(self, connections: Connections, status: str) -> None:
        with ScriptedServer(echo) as elsewhere:
            moved = reply(b"", f"Location: {elsewhere.endpoint}/", status=status)
            with ScriptedServer(first(moved)) as server:
                assert post(connections, server).status == int(status[:3])
        assert elsewhere.peers == []

    def test_what_is_as_long_as_a_row_can_be_is_read(self, connections: Connections) -> None:
        long = b"a" * (4 * 2**20)
        with ScriptedServer(first(reply(long))) as server:
            assert post(connections, server).body == long


class TestDeadline:
    def test_a_reply_that_drips_ends_with_it(self, connections: Connections) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.read()
            # 150 bytes: half a minute.
            for byte in reply(b"{}"):
                peer.send(bytes([byte]))
                if over.wait(0.2):
                    return

        over = threading.Event()
        with ScriptedServer(script) as server:
            started = time.monotonic()
            assert failure(connections, server, timeout=0.5).kind == "timeout"
            assert time.monotonic() - started < 5
            over.set()

    def test_a_server_that_never_answers_ends_with_it(self, connections: Connections) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.read()
            over.wait(20)

        over = threading.Event()
        with ScriptedServer(script) as server:
            assert failure(connections, server, timeout=0.2).kind == "timeout"
            over.set()

    def test_a_server_that_never_reads_ends_with_it(self, connections: Connections) -> None:
        def script(peer: Peer, number: int) -> None:
            over.wait(20)

        over = threading.Event()
        with ScriptedServer(script) as server:
            with pytest.raises(ExchangeError) as raised:
                post(connections, server, b"a" * 2**24, timeout=0.3)
            assert raised.value.kind == "timeout"
            over.set()

    @pytest.mark.parametrize("count", [1, 3])
    def test_connecting_ends_with_it_however_many_addresses_are_silent(
        self, connections: Connections, silent: Address, count: int, monkeypatch: Any
    ) -> None:
        found = socket.getaddrinfo(silent.host, silent.port, type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found * count)
        started = time.monotonic()
        with pytest.raises(ExchangeError) as raised:
            connections.post(silent, "/", {}, b"", 0.3)
        assert raised.value.kind == "connect-timeout"
        assert time.monotonic() - started < 3

    def test_an_address_that_is_silent_leaves_time_for_the_next(
        self, connections: Connections, silent: Address, monkeypatch: Any
    ) -> None:
        look_up = socket.getaddrinfo
        with ScriptedServer(echo) as server:
            found = [
                *look_up(silent.host, silent.port, type=socket.SOCK_STREAM),
                *look_up(*server.address[:2], type=socket.SOCK_STREAM),
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            assert post(connections, server, b"here", timeout=2).body == b"here"

    def test_none_is_left(self, connections: Connections) -> None:
        with ScriptedServer(echo) as server:
            assert failure(connections, server, timeout=0).kind == "connect-timeout"
            connections.connect(server.address, TIMEOUT)
            assert failure(connections, server, timeout=0).kind == "timeout"
            assert server.requests == []

    def test_an_interrupt_in_the_middle_leaves_nothing_behind(
        self, connections: Connections
    ) -> None:
        class Interrupt(BaseException):
            pass

        def interrupt(*_: object) -> None:
            raise Interrupt

        def script(peer: Peer, number: int) -> None:
            body = peer.read()
            if number == 0:
                over.wait(20)
            peer.send(reply(body))
            echo(peer, number)

        over = threading.Event()
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with ScriptedServer(script) as server:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(Interrupt):
                    post(connections, server, b"one")
                # Its reply is still to come.
                threading.Timer(0.3, over.set).start()
                assert post(connections, server, b"two").body == b"two"
        finally:
            signal.signal(signal.SIGALRM, before)
        assert len(server.peers) == 2


class TestUnreached:
    def test_nobody_listens(self, connections: Connections) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = Address("127.0.0.1", listener.getsockname()[1], False)
        with pytest.raises(ExchangeError) as raised:
            connections.post(address, "/", {}, b"", TIMEOUT)
        assert raised.value.kind == "unreached"

    @pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid", "..", "a\udc80"])
    def test_no_such_host(self, connections: Connections, host: str, monkeypatch: Any) -> None:
        def look_up(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with pytest.raises(ExchangeError) as raised:
            connections.post(Address(host, 80, False), "/", {}, b"", TIMEOUT)
        assert raised.value.kind == "unreached"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("x-a", "b\r\nx-injected: c"),
            ("x-a", "b\n folded"),
            ("x-a", "b\r\n\r\nPOST / HTTP/1.1"),
            ("x-a", "secret\n"),
            ("x-a", "\0"),
            ("x-a", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
            ("x-a", "\udc80"),
            ("x a", "b"),
            ("x-a:", "b"),
            ("x-a\r\nx-injected", "b"),
            ("", "b"),
        ],
    )
    def test_no_header_can_be_injected(
        self, connections: Connections, name: str, value: str
    ) -> None:
        with ScriptedServer(echo) as server:
            with pytest.raises(ExchangeError) as raised:
                connections.post(server.address, "/", {name: value}, b"", TIMEOUT)
            assert raised.value.kind == "unsent"
            assert "secret" not in str(raised.value)
            assert server.peers == []


class Authority:
    """Signs certificates, and is trusted by who has its file."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.path))
        self.read = 0

    def served(self, host: str, expires: datetime | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(host, not_after=expires).configure_cert(context)
        return context

    def trusted(self) -> ssl.SSLContext:
        self.read += 1
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.path)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class TestTLS:
    def test_the_authorities_are_read_once_and_the_session_is_resumed(
        self, authority: Authority
    ) -> None:
        def script(peer: Peer, number: int) -> None:
            assert isinstance(peer.connection, ssl.SSLSocket)
            resumed.append(bool(peer.connection.session_reused))
            peer.send(reply(peer.read(), "Connection: close"))

        resumed: list[bool] = []
        with (
            ScriptedServer(script, authority.served("127.0.0.1")) as server,
            closing(Connections(authority.trusted)) as connections,
        ):
            for number in range(4):
                assert post(connections, server, b"%d" % number).body == b"%d" % number
        assert resumed == [False, True, True, True]
        assert authority.read == 1

    def test_opened_ahead_the_tickets_of_the_server_are_no_unasked_reply(
        self, authority: Authority
    ) -> None:
        with (
            ScriptedServer(echo, authority.served("127.0.0.1")) as server,
            closing(Connections(authority.trusted)) as connections,
        ):
            connections.connect(server.address, TIMEOUT)
            time.sleep(0.05)
            for number in range(3):
                assert post(connections, server, b"%d" % number).body == b"%d" % number
            assert [len(peer.requests) for peer in server.peers] == [3]

    def test_a_server_that_hung_up_is_seen_before_sending(self, authority: Authority) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.send(reply(peer.read()))
            if number:
                echo(peer, number)

        with (
            ScriptedServer(script, authority.served("127.0.0.1")) as server,
            closing(Connections(authority.trusted)) as connections,
        ):
            post(connections, server)
            wait_until_closed(server.peers[0])
            time.sleep(0.05)
            post(connections, server)
            assert [len(peer.requests) for peer in server.peers] == [1, 1]

    @pytest.mark.parametrize("wrong", ["host", "authority", "date"])
    def test_a_wrong_certificate_gets_nothing(
        self, authority: Authority, tmp_path: Path, wrong: str
    ) -> None:
        (tmp_path / "other").mkdir()
        signer = Authority(tmp_path / "other") if wrong == "authority" else authority
        expires = datetime.now(UTC) - timedelta(days=1) if wrong == "date" else None
        served = signer.served("example.org" if wrong == "host" else "127.0.0.1", expires)
        with (
            ScriptedServer(echo, served) as server,
            closing(Connections(authority.trusted)) as connections,
        ):
            for _ in range(2):
                assert failure(connections, server).kind == "tls"
        assert server.requests == []

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03"])
    def test_what_is_no_handshake_is_an_error(self, authority: Authority, said: bytes) -> None:
        with (
            ScriptedServer(lambda peer, number: peer.send(said)) as server,
            closing(Connections(authority.trusted)) as connections,
            pytest.raises(ExchangeError) as raised,
        ):
            connections.post(server.address._replace(tls=True), "/", {}, b"", TIMEOUT)
        assert raised.value.kind == "tls"

    def test_a_handshake_that_drips_ends_with_the_deadline(self, authority: Authority) -> None:
        def script(peer: Peer, number: int) -> None:
            # The head of a record that is long in coming.
            for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 200:
                peer.send(bytes([byte]))
                if over.wait(0.1):
                    return

        over = threading.Event()
        with (
            ScriptedServer(script) as server,
            closing(Connections(authority.trusted)) as connections,
        ):
            started = time.monotonic()
            with pytest.raises(ExchangeError) as raised:
                connections.post(server.address._replace(tls=True), "/", {}, b"", 0.5)
            assert raised.value.kind == "connect-timeout"
            assert time.monotonic() - started < 5
            over.set()


def body(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def wait_until_closed(peer: Peer) -> None:
    deadline = time.monotonic() + 10
    while peer.connection.fileno() >= 0:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that takes no connection and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The queue is full with these: what comes now is dropped.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield Address("127.0.0.1", listener.getsockname()[1], False)
        for each in waiting:
            each.close()
