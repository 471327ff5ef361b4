"""The default transport: boto3's client, carried by connections of our own."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lambda_singleton import DynamoDBStore, LeaseConfigError, LeaseStoreError
from lambda_singleton._stores.carrier import carrier_for

from ..fakes import acquire
from .scripted_server import Peer, ScriptedServer, reply

Serve = Callable[..., ScriptedServer]
EMPTY = reply(b"{}")


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies, no authorities, and a session that has not read its credentials yet."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    session = boto3.DEFAULT_SESSION
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session and type(session)())


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that boto3 takes for DynamoDB; it sends these bytes to each request."""
    servers: list[ScriptedServer] = []

    def start(answer: bytes, context: ssl.SSLContext | None = None) -> ScriptedServer:
        def script(peer: Peer, number: int) -> None:
            while True:
                peer.read()
                peer.send(answer)
                if answer is not EMPTY:
                    return

        server = ScriptedServer(script, context)
        servers.append(server)
        server.__enter__()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def served(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody trusts who has not read `authority.pem`."""
    authority = pytest.importorskip("trustme").CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_one_client_and_one_connection_serve_requests_of_every_length(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make: Any = boto3.client

    def counting(*args: Any, **kwargs: Any) -> Any:
        made.append(args)
        return make(*args, **kwargs)

    monkeypatch.setattr("boto3.client", counting)
    server = serve(EMPTY)
    store = DynamoDBStore("leases")
    for timeout in (2.5, 0.7, 0.3, 0.1):
        store.prepare(timeout=timeout)
        assert store.get("a") is None
    assert len(server.requests) == 4
    assert len(server.peers) == 1
    assert len(made) == 1


def test_a_reply_that_drips_ends_by_the_timeout_of_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def script(peer: Peer, number: int) -> None:
        peer.read()
        # A minute of it. botocore waits anew for each byte.
        for byte in EMPTY:
            peer.send(bytes([byte]))
            if over.wait(0.4):
                return

    over = threading.Event()
    with ScriptedServer(script) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        store = DynamoDBStore("leases")
        store.prepare(timeout=2.5)
        started = time.monotonic()
        with pytest.raises(LeaseStoreError, match="Read timeout"):
            store.execute(acquire("a", "me"), timeout=0.5)
        assert time.monotonic() - started < 10
        over.set()
    assert len(server.requests) == 1, "sent twice"


@pytest.mark.parametrize(
    ("answer", "explained"),
    [
        (EMPTY[:40], "length"),
        (EMPTY[:-1], "Connection was closed"),
        (b"", "Connection was closed"),
        (reply(b"{}", checksum=1), "CRC32"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "does not tell its length"),
        (EMPTY + EMPTY, "goes on after its end"),
        (reply(b"", "Location: http://127.0.0.1:9/", status="301 Moved"), "301"),
    ],
)
def test_what_is_no_reply_is_explained(serve: Serve, answer: bytes, explained: str) -> None:
    server = serve(answer)
    # A connection each: the server hangs up after its answer.
    with pytest.raises(LeaseStoreError, match=explained):
        DynamoDBStore("leases").get("a")
    with pytest.raises(LeaseStoreError, match=explained):
        DynamoDBStore("leases").execute(acquire("a", "me"), timeout=2.5)
    assert len(server.requests) == 2


def test_what_is_not_carried_keeps_to_the_longest_timeouts(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[Config] = []
    make: Any = boto3.client

    def noting(service: str, config: Config) -> Any:
        configs.append(config)
        return make(service, config=config)

    monkeypatch.setattr("boto3.client", noting)
    serve(EMPTY)
    DynamoDBStore("leases").prepare(timeout=0.2)
    options: list[Any] = [vars(config) for config in configs]
    assert [one["connect_timeout"] + one["read_timeout"] for one in options] == [2.5]


def test_a_refusal_keeps_the_connection_and_is_read_as_ever(serve: Serve) -> None:
    refusal = {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}
    refused = reply(json.dumps(refusal).encode(), status="400 Bad Request")
    server = serve(refused)
    with pytest.raises(LeaseConfigError, match="does not exist"):
        DynamoDBStore("leases").get("a")
    assert len(server.requests) == 1


@pytest.mark.parametrize("variable", ["AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"])
def test_a_credential_injects_no_header(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server = serve(EMPTY)
    monkeypatch.setenv(variable, "hush\r\nx-injected: 1")
    with pytest.raises(LeaseConfigError, match="stray characters") as raised:
        DynamoDBStore("leases").get("a")
    assert "hush" not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert server.requests == []


class TestTLS:
    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "the file"])
    def test_the_configured_authorities_are_trusted(
        self,
        serve: Serve,
        served: ssl.SSLContext,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
    ) -> None:
        server = serve(EMPTY, served)
        if variable == "the file":
            config = tmp_path / "config"
            config.write_text(f"[default]\nca_bundle = {tmp_path / 'authority.pem'}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        else:
            monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
        assert DynamoDBStore("leases").get("a") is None
        assert len(server.requests) == 1

    def test_other_authorities_are_not_trusted(self, serve: Serve, served: ssl.SSLContext) -> None:
        server = serve(EMPTY, served)
        with pytest.raises(LeaseStoreError, match="SSL validation failed"):
            DynamoDBStore("leases").get("a")
        assert server.requests == []

    def test_they_are_read_once_for_all_connections(
        self,
        serve: Serve,
        served: ssl.SSLContext,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        bundle = tmp_path / "authority.pem"
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        server = serve(reply(b"{}", "Connection: close"), served)
        store = DynamoDBStore("leases")
        store.get("a")
        bundle.unlink()
        store.get("a")
        assert len(server.peers) == 2


class TestStepsAside:
    """botocore itself sends what may need more than a plain connection."""

    # botocore takes a reply of this form, and a connection of ours does not.
    CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    def test_for_a_client_that_was_given(self, serve: Serve) -> None:
        serve(self.CHUNKED)
        store = DynamoDBStore("leases", client=boto3.client("dynamodb"))
        assert store.get("a") is None

    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
    def test_for_a_proxy(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        proxy = serve(self.CHUNKED)
        monkeypatch.setenv(variable, proxy.endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://dynamodb.example.invalid")
        assert DynamoDBStore("leases").get("a") is None
        assert proxy.requests[0].startswith(b"POST http://dynamodb.example.invalid/ ")

    def test_not_for_a_proxy_that_does_not_count_here(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        serve(self.CHUNKED)
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.invalid")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(LeaseStoreError, match="length"):
            DynamoDBStore("leases").get("a")

    @pytest.mark.parametrize(
        "config",
        [
            Config(client_cert="/nowhere.pem"),
            Config(proxies={"http": "http://proxy.example.invalid"}),
        ],
    )
    def test_for_what_a_session_configures(self, config: Config) -> None:
        assert carrier_for(boto3.client("dynamodb", config=config), None) is None

    @pytest.mark.parametrize("bundle", ["", "/nowhere.pem", "/"])
    def test_for_authorities_that_are_no_file(self, bundle: str) -> None:
        assert carrier_for(boto3.client("dynamodb"), bundle) is None

    @pytest.mark.parametrize(
        "url",
        [
            "http://user:secret@127.0.0.1:1/",
            "http://evil.example\\@127.0.0.1/",
            "http://127.0.0.1:1/?a=b",
            "http://127.0.0.1:1/#a",
        ],
    )
    def test_for_a_url_that_can_be_read_in_two_ways(self, url: str) -> None:
        class Meta:
            endpoint_url = url
            config = Config()

        class Client:
            meta = Meta

        assert carrier_for(Client, None) is None

    def test_while_moto_answers(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        moto = pytest.importorskip("moto")
        server = serve(EMPTY)
        store = DynamoDBStore("leases")
        with moto.mock_aws():
            monkeypatch.delenv("AWS_ENDPOINT_URL")
            store.create_table()
            assert store.execute(acquire("a", "me"), timeout=2.5).applied
        assert server.peers == []
