"""What a function does while it initialises, so that its first invocation need not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

import lambda_singleton
from lambda_singleton import (
    DynamoDBStore,
    LeaseStore,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton._stores.ready import prepare_in_init

from ..stores.scripted_server import Peer, ScriptedServer, reply

LAYER = Path(lambda_singleton.__file__).parent.parent

Serve = Callable[..., ScriptedServer]


@pytest.fixture(autouse=True)
def initialising(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_X_AMZN_TRACE_ID", "AWS_LAMBDA_INITIALIZATION_TYPE", "SINGLETON_TABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reports")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """What is taken for DynamoDB; it has no lease."""

    def script(peer: Peer, number: int) -> None:
        while True:
            peer.read()
            peer.send(reply(b"{}"))

    with ScriptedServer(script) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        yield server


@pytest.fixture(params=["boto3", "direct"])
def store(request: pytest.FixtureRequest) -> DynamoDBStore:
    return DynamoDBStore("leases", transport=request.param)


def prepare(store: LeaseStore, duration: float | None = None) -> None:
    prepare_in_init(lambda: store, duration)


class TestReady:
    def test_the_connection_is_open_and_nothing_was_asked(
        self, server: ScriptedServer, store: DynamoDBStore
    ) -> None:
        prepare(store)
        assert server.connections() == 1
        assert server.requests == [], "INIT may need a permission"
        assert store.get("a") is None
        assert server.connections() == 1
        assert len(server.requests) == 1

    def test_once_for_each_store(self, server: ScriptedServer) -> None:
        one, another = DynamoDBStore("leases"), DynamoDBStore("leases")
        for store in (one, one, another, one):
            prepare(store)
        assert server.connections() == 2

    def test_a_connection_that_died_meanwhile_costs_a_reconnect(
        self, server: ScriptedServer, store: DynamoDBStore
    ) -> None:
        prepare(store)
        assert server.connections() == 1
        while not server.peers:
            time.sleep(0.001)
        server.peers[0].close()
        time.sleep(0.05)
        assert store.get("a") is None
        assert len(server.requests) == 1

    @pytest.mark.parametrize("transport", ["boto3", "direct"])
    def test_the_first_lease_loads_no_module_more(
        self, lambda_variables: Mapping[str, str], table: str, name: str, transport: str
    ) -> None:
        script = f"""
import sys
from lambda_singleton import Lock

lock = Lock({name!r}, 30)
loaded = set(sys.modules)
with lock:
    pass
print(sorted(set(sys.modules) - loaded), file=sys.stderr)
"""
        variables = {
            "SINGLETON_TABLE": table,
            "SINGLETON_TRANSPORT": transport,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "AWS_LAMBDA_FUNCTION_NAME": "reports",
        }
        loaded = subprocess.run(
            [sys.executable, "-c", script],
            env={**lambda_variables, **variables, "PYTHONPATH": str(LAYER)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stderr
        assert loaded.splitlines()[-1] == "[]"

    def test_by_decorating_a_handler(self, server: ScriptedServer, store: DynamoDBStore) -> None:
        guard = singleton("a", store=store)
        assert server.connections() == 0

        @guard
        def handler(event: object, context: object) -> None: ...

        assert server.connections() == 1
        assert server.requests == []

    def test_by_making_a_lock(self, server: ScriptedServer, store: DynamoDBStore) -> None:
        Lock("a", 30, store=store)
        assert server.connections() == 1
        assert server.requests == []


class TestOnlyThen:
    @pytest.mark.parametrize("missing", ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"])
    def test_not_outside_of_lambda(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.delenv(missing)
        prepare(DynamoDBStore("leases"))
        assert server.connections() == 0

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793"),
            ("SINGLETON_PREPARE", "false"),
            ("SINGLETON_PREPARE", "nonsense"),
            ("SINGLETON_DISABLED", "true"),
            ("SINGLETON_TRANSPORT", "nonsense"),
        ],
    )
    def test_not_in_an_invocation_and_not_against_the_users_will(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        prepare(DynamoDBStore("leases"))
        assert server.connections() == 0

    def test_not_without_a_table(self, server: ScriptedServer) -> None:
        prepare(DynamoDBStore())
        assert server.connections() == 0

    def test_not_with_a_client_of_the_users(self, server: ScriptedServer) -> None:
        prepare(DynamoDBStore("leases", client=boto3.client("dynamodb")))
        assert server.connections() == 0

    def test_other_stores_are_prepared_too(self) -> None:
        class Prepared(MemoryStore):
            def prepare(self, *, timeout: float) -> None:
                timeouts.append(timeout)

        timeouts: list[float] = []
        store = Prepared()
        prepare(store, 6)
        prepare(store, 6)
        assert timeouts == [1.5]


class TestBadNetwork:
    """Import goes on within a second; the handler gets the error that it always got."""

    def ready_within_the_bound(self, store: DynamoDBStore) -> None:
        started = time.monotonic()
        prepare(store)
        assert time.monotonic() - started < 30
        with pytest.raises(LeaseStoreError, match=r"not reached|no usable reply"):
            store.get("a")

    def test_dead(self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        self.ready_within_the_bound(store)

    def test_silent(self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            time.sleep(0.05)
            port = listener.getsockname()[1]
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            self.ready_within_the_bound(store)
            for each in waiting:
                each.close()

    def test_slow(self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def script(peer: Peer, number: int) -> None:
            # The head of a TLS record that is long in coming.
            for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:
                peer.send(bytes([byte]))
                if over.wait(0.1):
                    return

        over = threading.Event()
        with ScriptedServer(script) as server:
            endpoint = server.endpoint.replace("http:", "https:")
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            self.ready_within_the_bound(store)
            over.set()

    def test_a_name_that_nobody_finds(
        self, store: DynamoDBStore, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def look_up(*_: object, **__: object) -> Any:
            found.wait(60)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        found = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        started = time.monotonic()
        prepare(store)
        assert time.monotonic() - started < 30
        found.set()
        with pytest.raises(LeaseStoreError, match="not reached"):
            store.get("a")


class TestSnapStart:
    def test_the_connection_is_opened_after_the_restore(
        self, server: ScriptedServer, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooks = pytest.importorskip("snapshot_restore_py")
        registered: list[Any] = []
        monkeypatch.setattr(hooks, "register_after_restore", lambda *hook: registered.append(hook))
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
        prepare(store)
        assert server.connections() == 0
        ((hook, *arguments),) = registered
        hook(*arguments)
        assert server.connections() == 1
        assert server.requests == []

    def test_without_the_hooks_of_the_runtime_nothing_is_opened(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
        store = DynamoDBStore("leases")
        prepare(store)
        assert server.connections() == 0
        assert store.get("a") is None
