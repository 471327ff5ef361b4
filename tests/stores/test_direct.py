"""The transport without boto3: what it makes of replies, and what it never sends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import lambda_singleton
from lambda_singleton import DynamoDBStore, LeaseConfigError, LeaseError, LeaseStoreError, Lock
from local_lambda import Engine
from proof.proxy import Fault, Proxy

from ..fakes import acquire
from .scripted_server import Peer, ScriptedServer, reply

LAYER = Path(lambda_singleton.__file__).parent.parent
Serve = Callable[[bytes], ScriptedServer]
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store() -> DynamoDBStore:
    return DynamoDBStore("leases", transport="direct")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that sends these bytes to each request, and hangs up."""
    servers: list[ScriptedServer] = []

    def start(answer: bytes) -> ScriptedServer:
        def script(peer: Peer, number: int) -> None:
            peer.read()
            peer.send(answer)

        server = ScriptedServer(script)
        servers.append(server)
        server.__enter__()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        return server

    yield start
    for server in servers:
        server.__exit__()


def refusal(code: str, message: str = "", status: str = "400 Bad Request") -> bytes:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    return reply(json.dumps(body).encode(), status=status)


class TestReplies:
    @pytest.mark.parametrize(
        ("answer", "kind", "explained"),
        [
            (b"", LeaseStoreError, "no usable reply"),
            (reply(b"{}")[:-1], LeaseStoreError, "no usable reply"),
            (reply(b"{}", checksum=1), LeaseStoreError, "CRC32"),
            (reply(b"{"), LeaseStoreError, "not a JSON object"),
            (reply(b"[]"), LeaseStoreError, "not a JSON object"),
            (reply(b"\xff"), LeaseStoreError, "not a JSON object"),
            (reply(b"", status="503 Service Unavailable"), LeaseStoreError, "could not serve"),
            (reply(b"<html>", status="502 Bad Gateway"), LeaseStoreError, "could not serve"),
            (reply(b"", status="301 Moved"), LeaseStoreError, "could not serve"),
            (reply(b"[]", status="400 Bad Request"), LeaseStoreError, "could not serve"),
            (reply(b"{}", status="204 No Content"), LeaseStoreError, "no usable reply"),
            (refusal("ThrottlingException"), LeaseStoreError, "could not serve"),
            (refusal("InternalServerError", status="500 Oops"), LeaseStoreError, "could not serve"),
            (refusal("ResourceNotFoundException"), LeaseConfigError, "does not exist"),
            (refusal("AccessDeniedException"), LeaseConfigError, "allow dynamodb:"),
            (
                refusal("InvalidSignatureException", "Signature expired: 1 is now earlier than 2"),
                LeaseConfigError,
                "synchronise",
            ),
            (refusal("UnrecognizedClientException", "bad token"), LeaseConfigError, "bad token"),
        ],
    )
    def test_each_is_explained_as_ever(
        self, serve: Serve, answer: bytes, kind: type[LeaseError], explained: str
    ) -> None:
        server = serve(answer)
        # A connection each: the server hangs up after its answer.
        reading, writing = (DynamoDBStore("leases", transport="direct") for _ in range(2))
        for request in (
            lambda: reading.get("a"),
            lambda: writing.execute(acquire("a", "me"), timeout=2.5),
        ):
            with pytest.raises(LeaseError, match=explained) as raised:
                request()
            assert type(raised.value) is kind
        assert len(server.requests) == 2, "sent twice"

    def test_a_row_that_is_no_leases(self, store: DynamoDBStore, serve: Serve) -> None:
        serve(refusal("ValidationException", "An operand in the update expression has a bad type"))
        with pytest.raises(LeaseConfigError, match="is not a lease's"):
            store.execute(acquire("a", "me"), timeout=2.5)

    def test_a_refused_condition_shows_the_row_and_the_time(
        self, store: DynamoDBStore, serve: Serve
    ) -> None:
        body = {
            "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "Item": {"id": {"S": "a"}, "owner": {"S": "you"}, "expires_at_ms": {"N": "1000"}},
        }
        date = "Date: Thu, 01 Jan 1970 00:00:07 GMT"
        serve(reply(json.dumps(body).encode(), date, status="400 Bad Request"))
        answer = store.execute(acquire("a", "me"), timeout=2.5)
        assert not answer.applied
        assert answer.record is not None
        assert answer.record.owner == "you"
        assert answer.store_time == 7

    def test_that_drips_ends_by_the_timeout(
        self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def script(peer: Peer, number: int) -> None:
            peer.read()
            for byte in reply(b"{}"):
                peer.send(bytes([byte]))
                if over.wait(0.4):
                    return

        over = threading.Event()
        with ScriptedServer(script) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
            started = time.monotonic()
            with pytest.raises(LeaseStoreError, match="not there in time"):
                store.execute(acquire("a", "me"), timeout=0.5)
            assert time.monotonic() - started < 10
            over.set()


class TestSent:
    @pytest.mark.parametrize(
        "name", ["a\r\nx-injected: 1", "\0", "\u2028a", 'a"}', "#", "a" * 2048]
    )
    def test_no_name_leaves_the_body(self, store: DynamoDBStore, serve: Serve, name: str) -> None:
        server = serve(reply(b"{}"))
        assert store.get(name) is None
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert json.loads(body)["Key"] == {"id": {"S": name}}
        assert sorted(re.findall(rb"\r\n([^:]+):", head)) == [
            b"Accept-Encoding", b"Authorization", b"Content-Length", b"User-Agent",
            b"content-type", b"host", b"x-amz-date", b"x-amz-target",
        ]  # fmt: skip

    @pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
    @pytest.mark.parametrize("secret", ["hush\r\nx-injected: 1", "hush\n", " hush", "h\u00fcsh"])
    def test_a_credential_injects_nothing_and_is_not_told(
        self,
        store: DynamoDBStore,
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        secret: str,
    ) -> None:
        server = serve(reply(b"{}"))
        monkeypatch.setenv(variable, secret)
        with pytest.raises(LeaseConfigError, match=r"stray characters in .* credentials") as raised:
            store.get("a")
        assert "sh" not in str(raised.value).replace("should", "")
        assert raised.value.__cause__ is None
        assert server.requests == []

    def test_a_refusal_tells_no_credential(
        self, store: DynamoDBStore, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(refusal("UnrecognizedClientException", "no"))
        for name in SECRETS:
            monkeypatch.setenv(name, f"hush-{name}")
        with pytest.raises(LeaseConfigError) as raised:
            store.get("a")
        assert "hush" not in str(raised.value)
        assert b"hush-AWS_SECRET_ACCESS_KEY" not in server.requests[0]


class TestLostReplies:
    @pytest.mark.parametrize("fault", ["reply cut", "reply lost", "request lost"])
    def test_the_caller_is_the_holder_all_the_same(
        self,
        engine: Engine,
        table: str,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        fault: Any,
    ) -> None:
        with Proxy(engine.endpoint) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            faults = iter([Fault(fault)])
            proxy.fault = lambda request: next(faults, None)
            store = DynamoDBStore(table, transport="direct")
            lease = Lock(name, 30, store=store).acquire()
            row = store.get(name)
            assert row is not None
            assert row.owner == lease.owner
            lease.release()


def test_neither_boto3_nor_botocore_is_imported(
    lambda_variables: Mapping[str, str], name: str
) -> None:
    script = f"""
import sys
from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock
store = DynamoDBStore(transport="direct")
with Lock({name!r}, 30, store=store):
    try:
        Lock({name!r}, 30, store=store).acquire()
    except LeaseHeldError:
        print("held")
store.get({name!r})
print([module for module in sys.modules if module.startswith(("boto", "urllib3"))])
"""
    output = subprocess.run(
        [sys.executable, "-c", script],
        env={**lambda_variables, "PYTHONPATH": str(LAYER), "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert output == "held\n[]\n"
