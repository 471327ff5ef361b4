"""The DynamoDB store: what it sends, and what it makes of the answers. On the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

import lambda_singleton
from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseConfigError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    singleton,
)
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import ForceRelease, Release, Renew
from lambda_singleton._stores.connection import Connections
from local_lambda import Engine
from proof.proxy import Fault, Proxy

from ..fakes import START, Context, acquire

START_MS = round(START * 1000)


class Wire:
    """Looks at every HTTP request of a client, and spoils the next ones."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "dynamodb", config=Config(retries={"total_max_attempts": 1}, read_timeout=5)
        )
        self.sent: list[str] = []
        self.after_sending: list[Exception] = []
        self.instead: list[tuple[int, str, str]] = []
        events: Any = self.client.meta.events
        events.register("before-send.dynamodb", self._before_send)
        events.register("response-received.dynamodb", self._received)

    def _before_send(self, request: Any, **_: Any) -> AWSResponse | None:
        self.sent.append(request.headers["X-Amz-Target"].decode().rpartition(".")[2])
        if not self.instead:
            return None
        status, code, message = self.instead.pop(0)
        body = f'{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "{message}"}}'
        headers: Any = {"date": http_date()}
        return AWSResponse(request.url, status, headers, Raw(body.encode()))

    def _received(self, **_: Any) -> None:
        if self.after_sending:
            raise self.after_sending.pop(0)


class Raw:
    """A body as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.body


def http_date(offset: float = 0) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + offset))


@pytest.fixture
def wire(engine: Engine) -> Wire:
    return Wire()


@pytest.fixture
def store(wire: Wire, table: str) -> DynamoDBStore:
    return DynamoDBStore(table, client=wire.client)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configuration of each client that is made."""
    configs: list[Any] = []
    make: Any = boto3.client

    def counting(service: str, *, config: Config) -> Any:
        configs.append(config)
        return make(service, config=config)

    monkeypatch.setattr("boto3.client", counting)
    return configs


class TestRequests:
    def test_each_operation_is_exactly_one(
        self, store: DynamoDBStore, wire: Wire, name: str
    ) -> None:
        lock = Lock(name, 30, store=store)
        assert wire.sent == [], "none at construction"
        lease = lock.acquire()
        assert wire.sent == ["UpdateItem"]
        with pytest.raises(LeaseHeldError):
            lock.acquire()
        assert wire.sent == ["UpdateItem"] * 2, "a failed acquire"
        lease.renew()
        assert wire.sent == ["UpdateItem"] * 3
        lease.release()
        assert wire.sent == ["UpdateItem"] * 4
        store.get(name)
        assert wire.sent[4:] == ["GetItem"]

    def test_a_handler_takes_two(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        @singleton(name, 30, store=store)
        def handler(event: object, context: object) -> int:
            return threading.active_count()

        assert handler({}, Context(10_000)) == threading.active_count()
        assert wire.sent == ["UpdateItem"] * 2

    def test_the_client_is_made_with_the_first_one_and_only_once(
        self, table: str, name: str, made: list[Any]
    ) -> None:
        store = DynamoDBStore(table)
        lock = Lock(name, 30, store=store)
        assert made == []
        threads = [threading.Thread(target=store.get, args=(name,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(3):
            lock.acquire().release()
        (config,) = made
        assert config.retries == {"mode": "standard", "total_max_attempts": 1}
        assert config.connect_timeout + config.read_timeout <= 2.5

    def test_a_short_lease_gets_short_timeouts(
        self, table: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post = Connections.post

        def noting(connections: Connections, *args: Any) -> Any:
            timeouts.append(args[-1])
            return post(connections, *args)

        timeouts: list[float] = []
        monkeypatch.setattr(Connections, "post", noting)
        Lock(name, 3, store=DynamoDBStore(table)).acquire().release()
        assert len(timeouts) == 2
        assert max(timeouts) <= 3 / 4

    def test_also_where_botocore_sends_them(
        self, table: str, name: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A URL with a path is botocore's to understand.
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{os.environ['AWS_ENDPOINT_URL']}/?")
        store = DynamoDBStore(table)
        with suppress(LeaseError):
            Lock(name, 3, store=store).acquire().release()
        config = made[-1]
        assert config.connect_timeout + config.read_timeout <= 3 / 4

    def test_the_ttl_is_in_seconds_and_days_away(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str
    ) -> None:
        lease = Lock(name, 30, store=store).acquire()

        def expiration() -> float:
            item = wire.client.get_item(TableName=table, Key={"id": {"S": name}})["Item"]
            return float(item["expiration"]["N"]) - time.time()

        week = 7 * 24 * 3600
        assert expiration() == pytest.approx(week + 30, abs=3)
        lease.renew()
        assert expiration() == pytest.approx(week + 30, abs=3)
        lease.release()
        assert expiration() == pytest.approx(week, abs=3)

    def test_the_ttl_moves_with_every_use(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str
    ) -> None:
        free = Release(name, "a", 1_000, free_at=None, last_run={})
        uses: list[Operation] = [
            acquire(name, "a", now=0),
            Renew(name, "a", expires_at=START_MS + 40_000),
            free._replace(now=START_MS + 10_000),
            acquire(name, "a", now=20),
            free._replace(free_at=START_MS + 45_000),
            ForceRelease(name, START_MS + 46_000),
        ]
        for operation in uses:
            assert store.execute(operation, timeout=2).applied
            item = wire.client.get_item(TableName=table, Key={"id": {"S": name}})["Item"]
            assert int(item["expiration"]["N"]) == operation.in_use_until // 1000 + 7 * 24 * 3600

    def test_the_row_is_as_documented(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str
    ) -> None:
        def row() -> dict[str, str]:
            item = wire.client.get_item(TableName=table, Key={"id": {"S": name}})["Item"]
            return {attribute: next(iter(value)) for attribute, value in item.items()}

        held = {
            "id": "S",
            "token": "N",
            "owner": "S",
            "expires_at_ms": "N",
            "duration_ms": "N",
            "holder": "M",
            "expiration": "N",
            "taken_from": "S",
        }
        lease = Lock(name, 30, store=store).acquire()
        assert row() == held
        lease.release()
        del held["owner"], held["expires_at_ms"]
        assert row() == held | {"last_run": "M"}


class TestLostReplies:
    """The write was applied, and the connection broke before the answer came."""

    def test_of_an_acquire(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        wire.after_sending = [ConnectionResetError("reset by peer")]
        lease = Lock(name, 30, store=store).acquire()
        row = store.get(name)
        assert row is not None
        assert (row.owner, row.token) == (lease.owner, lease.token)
        assert wire.sent[:2] == ["UpdateItem"] * 2
        lease.renew()
        lease.release()
        assert not lease.lost

    def test_of_a_renewal(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        lease = Lock(name, 30, store=store).acquire()
        wire.after_sending = [ConnectionResetError("reset by peer")]
        lease.renew()
        lease.check()

    def test_of_a_release(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        lease = Lock(name, 30, store=store).acquire()
        wire.after_sending = [ConnectionResetError("reset by peer")]
        lease.release()
        assert not lease.lost
        assert Lock(name, 30, store=store).acquire().token == lease.token + 1


class TestTheClient:
    """Made by boto3 where it is in use, and by botocore alone where it is not."""

    PROGRAM = """
import gc, sys
{first}
from lambda_singleton import Lock
Lock("{name}", 30).acquire().release()
print("boto3" in sys.modules, gc.isenabled())
"""

    @pytest.mark.parametrize(("first", "uses_boto3"), [("", False), ("import boto3", True)])
    def test_does_not_load_boto3_for_itself(
        self, lambda_variables: Mapping[str, str], name: str, first: str, uses_boto3: bool
    ) -> None:
        layer = Path(lambda_singleton.__file__).parent.parent
        shown = subprocess.run(
            [sys.executable, "-c", self.PROGRAM.format(first=first, name=name)],
            env={**lambda_variables, "PYTHONPATH": str(layer)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.split() == [str(uses_boto3), "True"]

    def test_is_made_in_boto3s_default_session(
        self, table: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(region_name="eu-west-3"))
        store = DynamoDBStore(table)
        store.prepare(timeout=2.5)
        assert store._client(2.5).meta.region_name == "eu-west-3"


class TestErrors:
    def test_a_missing_table_is_named_with_its_variable(self, engine: Engine, name: str) -> None:
        with pytest.raises(LeaseConfigError, match=r"'no-such-table' .* SINGLETON_TABLE"):
            Lock(name, 30, store=DynamoDBStore("no-such-table")).acquire()

    def test_a_table_that_nobody_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SINGLETON_TABLE", raising=False)
        with pytest.raises(LeaseConfigError, match="SINGLETON_TABLE"):
            Lock("x", 30, store=DynamoDBStore()).acquire()

    def test_denied_access_names_the_action_and_the_table(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str
    ) -> None:
        denied = (400, "AccessDeniedException", "User is not authorized")
        wire.instead = [denied, denied]
        with pytest.raises(LeaseConfigError, match=f"dynamodb:UpdateItem on table '{table}'"):
            Lock(name, 30, store=store).acquire()
        with pytest.raises(LeaseConfigError, match="dynamodb:GetItem"):
            store.get(name)
        assert wire.sent == ["UpdateItem", "GetItem"], "asking again would not help"

    def test_denied_creation_and_listing_name_the_action_and_the_table(
        self, wire: Wire, name: str
    ) -> None:
        store = DynamoDBStore(name, client=wire.client)
        denied = (400, "AccessDeniedException", "User is not authorized")
        wire.instead = [denied, denied]
        with pytest.raises(LeaseConfigError, match=f"dynamodb:CreateTable on table '{name}'"):
            store.create_table()
        with pytest.raises(LeaseConfigError, match=f"dynamodb:Scan on table '{name}'"):
            list(store.records())
        assert wire.sent == ["CreateTable", "Scan"]

    @pytest.mark.parametrize(
        "message",
        [
            "KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: The"
            " ciphertext refers to a customer master key that does not exist",
            "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform:"
            " kms:Decrypt on resource: arn:aws:kms:us-east-1:123456789012:key/k",
        ],
    )
    def test_a_key_that_the_caller_may_not_use_is_named(
        self, store: DynamoDBStore, wire: Wire, name: str, message: str
    ) -> None:
        wire.instead = [(400, "AccessDeniedException", message)]
        with pytest.raises(LeaseConfigError, match="allow kms:Decrypt") as error:
            Lock(name, 30, store=store).acquire()
        assert "allow dynamodb:" not in str(error.value)

    def test_a_clock_that_is_minutes_off(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        wire.instead = [(400, "InvalidSignatureException", "Signature expired: 20261122T073000Z")]
        with pytest.raises(LeaseConfigError, match="clock is minutes off"):
            Lock(name, 30, store=store).acquire()

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "ProvisionedThroughputExceededException"),
            (400, "ThrottlingException"),
            (400, "RequestLimitExceeded"),
            (400, "ReplicatedWriteConflictException"),
            (500, "InternalServerError"),
            (503, "Whatever"),
        ],
    )
    def test_what_passes_is_tried_again(
        self, store: DynamoDBStore, wire: Wire, name: str, status: int, code: str
    ) -> None:
        wire.instead = [(status, code, "try again")]
        lease = Lock(name, 30, store=store).acquire()
        assert wire.sent == ["UpdateItem"] * 2
        wire.instead = [(status, code, "try again")] * 3
        with pytest.raises(LeaseStoreError, match=code):
            lease.renew()
        lease.check()

    def test_nobody_there(self, table: str, name: str) -> None:
        client = boto3.client(
            "dynamodb",
            endpoint_url="http://127.0.0.1:9",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(LeaseStoreError, match="was not reached") as error:
            Lock(name, 30, store=DynamoDBStore(table, client=client)).acquire()
        assert error.value.__cause__ is not None

    def test_no_region_and_no_credentials(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
            monkeypatch.delenv(variable)
        monkeypatch.setattr(
            "boto3.client",
            boto3.session.Session(botocore_session=botocore.session.Session()).client,
        )
        with pytest.raises(LeaseConfigError):
            Lock(name, 30, store=DynamoDBStore("leases")).acquire()

    def test_a_row_of_somebody_else_is_no_lease(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str, shows_refusals: bool
    ) -> None:
        wire.client.put_item(
            TableName=table,
            Item={"id": {"S": name}, "owner": {"N": "7"}, "expires_at_ms": {"S": "soon"}},
        )
        # Not shown, it is just somebody else's.
        error, text = (
            (LeaseConfigError, "not a lease's") if shows_refusals else (LeaseHeldError, "")
        )
        with pytest.raises(error, match=text or name):
            Lock(name, 30, store=store).acquire()


class TestCutReplies:
    """The connection breaks in the middle of an answer, which boto3 does not tell."""

    @pytest.fixture
    def proxy(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
        with Proxy(engine.endpoint) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            yield proxy

    def cut_once(self, proxy: Proxy) -> None:
        faults = iter([Fault("reply cut")])
        proxy.fault = lambda request: next(faults, None)

    def test_of_an_acquire_a_renewal_and_a_release(
        self, proxy: Proxy, table: str, name: str
    ) -> None:
        self.cut_once(proxy)
        lease = Lock(name, 30, store=DynamoDBStore(table)).acquire()
        self.cut_once(proxy)
        lease.renew()
        self.cut_once(proxy)
        lease.release()
        assert not lease.lost
        assert [request.action for request in proxy.requests] == ["UpdateItem"] * 6

    def test_that_a_given_client_notices(self, proxy: Proxy, table: str, name: str) -> None:
        retries: Any = {"mode": "legacy", "total_max_attempts": 1}
        client = boto3.client("dynamodb", config=Config(read_timeout=1, retries=retries))
        self.cut_once(proxy)
        lease = Lock(name, 30, store=DynamoDBStore(table, client=client)).acquire()
        self.cut_once(proxy)
        lease.renew()
        self.cut_once(proxy)
        lease.release()
        assert not lease.lost
        assert len(proxy.requests) == 6

    def test_of_a_refusal(self, proxy: Proxy, table: str, name: str) -> None:
        lock = Lock(name, 30, store=DynamoDBStore(table))
        lock.acquire()
        self.cut_once(proxy)
        with pytest.raises(LeaseHeldError):
            lock.acquire()
        assert len(proxy.requests) == 3


class TestSilence:
    """DynamoDB takes requests and never answers."""

    def test_a_handler_is_stopped_before_its_lease_ends(
        self, engine: Engine, table: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: list[float] = []
        with Proxy(engine.endpoint) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

            @singleton(name, 3, store=DynamoDBStore(table))
            def handler(event: object, context: object, lease: Lease) -> None:
                proxy.fault = lambda request: Fault("black hole")
                end = time.time() + lease.remaining()
                try:
                    time.sleep(30)
                finally:
                    left.append(end - time.time())

            with pytest.raises(LeaseLostError) as lost:
                handler({}, Context(60_000))
        assert lost.value.reason == "expired"
        assert left[0] > 0

    def test_an_acquire_gives_up_before_the_deadline(
        self, engine: Engine, table: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Proxy(engine.endpoint) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            proxy.fault = lambda request: Fault("black hole")

            @singleton(name, store=DynamoDBStore(table))
            def handler(event: object, context: object) -> None:
                pytest.fail("must not run")

            started = time.time()
            with pytest.raises(LeaseStoreError, match="not reached"):
                handler({}, Context(3000))
        assert time.time() < started + 3

    def test_a_client_with_too_much_patience_is_warned_of(
        self, table: str, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        lock = Lock(name, 30, store=DynamoDBStore(table, client=boto3.client("dynamodb")))
        for _ in range(2):
            lock.acquire().release()
        assert [record.levelname for record in caplog.records].count("WARNING") == 1
        assert "more than the 2.5 s that this lease allows for" in caplog.text


class TestDate:
    """Every answer tells the server's time, and a wrong local clock is noticed for free."""

    @pytest.fixture
    def store(self, wire: Wire, table: str) -> DynamoDBStore:
        return DynamoDBStore(table, client=wire.client)

    def shift(self, wire: Wire, offset: float) -> None:
        def set_date(parsed: Any, **_: Any) -> None:
            parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = http_date(offset)

        wire.client.meta.events.register("after-call.dynamodb", set_date)

    @pytest.mark.parametrize("offset", [-120, 120])
    def test_a_wrong_clock_refuses_to_hold(
        self, store: DynamoDBStore, wire: Wire, name: str, offset: float
    ) -> None:
        self.shift(wire, offset)
        with pytest.raises(LeaseConfigError, match="synchronise"):
            Lock(name, 30, store=store).acquire()
        row = store.get(name)
        assert row is not None
        assert row.owner is None

    def test_one_that_goes_wrong_meanwhile_ends_the_lease(
        self, store: DynamoDBStore, wire: Wire, name: str
    ) -> None:
        lease = Lock(name, 30, store=store).acquire()
        self.shift(wire, 120)
        with pytest.raises(LeaseLostError):
            lease.renew()

    def test_an_unreadable_date_is_none(self, store: DynamoDBStore, wire: Wire, name: str) -> None:
        def break_date(parsed: Any, **_: Any) -> None:
            parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = "tomorrow"

        wire.client.meta.events.register("after-call.dynamodb", break_date)
        Lock(name, 30, store=store).acquire()


class TestTable:
    def test_creating_it_twice_is_harmless(self, engine: Engine, wire: Wire, name: str) -> None:
        store = DynamoDBStore(name)
        store.create_table()
        store.create_table()
        table = wire.client.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        ttl = wire.client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiration"}

    def test_attributes_may_have_other_names(self, engine: Engine, wire: Wire, name: str) -> None:
        store = DynamoDBStore(name, key_attr="pk", ttl_attr="ttl")
        store.create_table()
        Lock("x", 30, store=store).acquire()
        item = wire.client.get_item(TableName=name, Key={"pk": {"S": "x"}})["Item"]
        assert "ttl" in item
        record = store.get("x")
        assert record is not None
        assert record.name == "x"
        with pytest.raises(LeaseConfigError, match="key_attr"):
            DynamoDBStore(name).create_table()
        with pytest.raises(LeaseConfigError, match="ttl_attr"):
            DynamoDBStore(name, key_attr="pk").create_table()

    def test_the_environment_names_it(
        self, table: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SINGLETON_TABLE", table)

        @singleton(name, 30)
        def handler(event: object, context: object) -> str:
            return "ran"

        assert handler({}, None) == "ran"
        monkeypatch.setenv("SINGLETON_TABLE", "another-table")
        record = DynamoDBStore(table).get(name)
        assert record is not None

    def test_rows_that_are_no_leases_are_not_listed(
        self, engine: Engine, wire: Wire, name: str
    ) -> None:
        store = DynamoDBStore(name)
        store.create_table()
        wire.client.put_item(TableName=name, Item={"id": {"S": "idempotency"}})
        Lock("x", 30, store=store).acquire()
        assert [record.name for record in store.records()] == ["x"]

    def test_a_deleted_row_restarts_above_its_old_token(
        self, store: DynamoDBStore, wire: Wire, table: str, name: str
    ) -> None:
        tokens = []
        for _ in range(3):
            lease = Lock(name, 30, store=store).acquire()
            tokens.append(lease.token)
            time.sleep(0.002)
            wire.client.delete_item(TableName=table, Key={"id": {"S": name}})
            lease.release()
            assert lease.lost
        assert tokens == sorted(set(tokens))
