"""Anything at all in the table, in events, in contexts and in the environment.

Every time it is one of two: correct work, or a `LeaseError` that says what to do.
"""

from __future__ import annotations

import enum
import json
import logging
import math
import os
import socket
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseRecord,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton._text import quoted
from local_lambda import Engine

from ..fakes import START, Context, FakeClock, FaultyStore

R = TypeVar("R")
Item = Mapping[str, Any]

START_MS = round(START * 1000)
SKEW_MS = 1000
LAST_TOKEN = 2**63 - 1
LAST_MOMENT_MS = 253_402_300_799_999  # the end of the year 9999

fuzz = settings(deadline=None, max_examples=80)
# What the function's fixtures hold is set anew by every example.
with_fixtures = settings(fuzz, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", autouse=True)
def loopback_only() -> Iterator[None]:
    """Whatever the environment is made to say: no other host is looked up."""
    look_up = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise socket.gaierror(f"{host!r} is not this machine")
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", guarded)
        yield


@pytest.fixture(scope="module")
def client(engine: Engine) -> Any:
    """A client whose answers have no date, so that a store's clock may be a fake."""
    client: Any = boto3.client(
        "dynamodb",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=1),
    )

    def remove_date(parsed: Any, **_: Any) -> None:
        parsed["ResponseMetadata"].get("HTTPHeaders", {}).pop("date", None)

    client.meta.events.register("after-call.dynamodb", remove_date)
    return client


class Rows:
    """A table that others write to as well.

    It has no TTL: nobody else removes what a test has put there.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.table = f"rows-{uuid.uuid4().hex[:8]}"
        client.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def store(self, **options: Any) -> DynamoDBStore:
        return DynamoDBStore(self.table, client=self.client, **options)

    def put(self, item: Item, name: str = "") -> str:
        name = name or f"row-{uuid.uuid4().hex}"
        self.client.put_item(TableName=self.table, Item={**item, "id": {"S": name}})
        return name

    def read(self, name: str) -> Item:
        item: Item = self.client.get_item(TableName=self.table, Key={"id": {"S": name}})["Item"]
        return item


@pytest.fixture(scope="module")
def rows(client: Any) -> Rows:
    return Rows(client)


@pytest.fixture
def few_rows(client: Any) -> Rows:
    """A table of one's own, to list."""
    return Rows(client)


def in_its_words(error: BaseException) -> str:
    """Everything that a log of the error would show."""
    return "".join(traceback.format_exception(error))


def outcome(call: Callable[[], R]) -> R | LeaseError:
    """What came of it: a result, or an error of this package. Nothing else may come out."""
    try:
        return call()
    except LeaseError as error:
        return error


texts = st.text(max_size=8)
stored_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
extreme_numbers = st.sampled_from(
    ["0", "-1", "1.5", "-0.5", "1E+30", "1E-130", "9.9E+125", "-9.9E+125", "9" * 38, f"-{'9' * 38}"]
    + [str(most + more) for most in (LAST_TOKEN, LAST_MOMENT_MS) for more in (-1, 0, 1)]
)
numbers = extreme_numbers | st.integers(-(10**38) + 1, 10**38 - 1).map(str)
leaves: st.SearchStrategy[Item] = st.one_of(
    numbers.map(lambda number: {"N": number}),
    stored_texts.map(lambda text: {"S": text}),
    st.binary(max_size=4).map(lambda data: {"B": data}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.just({"SS": ["a", "b"]}),
    st.just({"NS": ["1", "2"]}),
    st.just({"BS": [b"a"]}),
)
anything = st.one_of(
    leaves,
    st.dictionaries(stored_texts.filter(bool), leaves, max_size=2).map(lambda map_: {"M": map_}),
    st.lists(leaves, max_size=2).map(lambda list_: {"L": list_}),
)


def mostly(good: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    return st.one_of(good, good, good, anything)


def whole(least: int, most: int) -> st.SearchStrategy[Item]:
    return st.integers(least, most).map(lambda number: {"N": str(number)})


facts = st.dictionaries(stored_texts.filter(bool), leaves, max_size=2).map(lambda map_: {"M": map_})
items: st.SearchStrategy[dict[str, Item]] = st.fixed_dictionaries(
    {},
    optional={
        "token": mostly(whole(0, 99)),
        "owner": mostly(stored_texts.map(lambda text: {"S": text})),
        "expires_at_ms": mostly(whole(START_MS - 9000, START_MS + 9000)),
        "duration_ms": mostly(whole(0, 9000)),
        "holder": mostly(facts),
        "last_run": mostly(facts),
        "expiration": mostly(whole(0, 2**31)),
        "somebody_elses": anything,
    },
)


def says_what_to_do(error: LeaseError, rows: Rows, name: str) -> bool:
    return all(part in str(error) for part in (name, rows.table, "remove it"))


def number(item: Item, attribute: str) -> Decimal | None:
    text = item.get(attribute, {}).get("N")
    return None if text is None else Decimal(text)


def is_a_leases(item: Item) -> bool:
    """Whether everything that decides is as `docs/protocol.md` has it."""

    def is_whole(attribute: str, most: int) -> bool:
        value = number(item, attribute)
        return attribute not in item or (
            value is not None and 0 <= value <= most and value == value.to_integral_value()
        )

    def is_short(attribute: str) -> bool:
        return len(item[attribute].get("S", "x" * 256)) <= 255

    return (
        is_whole("token", LAST_TOKEN)
        and is_whole("expires_at_ms", LAST_MOMENT_MS)
        and is_whole("duration_ms", LAST_MOMENT_MS)
        and ("owner" not in item or (is_short("owner") and "expires_at_ms" in item))
    )


def may_be_taken(item: Item, now: float) -> bool:
    """Whether a single try at that time may have it, however little else makes sense."""
    expires_at = number(item, "expires_at_ms")
    if expires_at is None:
        return "owner" not in item and "expires_at_ms" not in item
    return expires_at <= round(now * 1000) - (SKEW_MS if "owner" in item else 0)


def may_be_taken_after(item: Item, seconds: float) -> bool:
    """Whether one who has watched the row for so long may have it."""
    duration = number(item, "duration_ms")
    silent = (
        "owner" in item
        and duration is not None
        and duration >= 0
        and seconds * 1000 >= duration + SKEW_MS
    )
    return silent or may_be_taken(item, START + seconds)


def acquire(name: str, store: DynamoDBStore) -> Lease:
    return Lock(name, 30, store=store).acquire()


def enter(name: str, store: DynamoDBStore) -> Lease:
    with Lock(name, 30, store=store) as lease:
        return lease


def wait(name: str, store: DynamoDBStore) -> Lease:
    return Lock(name, 30, store=store).acquire(wait=5)


def handle(name: str, store: DynamoDBStore) -> Lease:
    @singleton(name, 30, store=store)
    def handler(event: object, context: object, lease: Lease) -> Lease:
        return lease

    return handler({}, None)


def handle_or_skip(name: str, store: DynamoDBStore) -> Lease:
    @singleton(name, 30, on_held="skip", store=store)
    def handler(event: object, context: object, lease: Lease) -> Lease:
        return lease

    result = handler({}, None)
    if isinstance(result, Lease):
        return result
    json.dumps(result)
    raise LeaseHeldError("skipped")


class TestRows:
    """Somebody else wrote the row under a lease's name."""

    @fuzz
    @given(item=items)
    def test_is_read_as_a_lease_or_refused(self, rows: Rows, item: Item) -> None:
        name = rows.put(item)
        record = outcome(lambda: rows.store().get(name))
        if not is_a_leases(item):
            assert isinstance(record, LeaseConfigError)
            assert says_what_to_do(record, rows, name)
            return
        assert isinstance(record, LeaseRecord)
        assert record.token == (number(item, "token") or 0)
        assert record.owner == item.get("owner", {}).get("S")
        for seconds, attribute in (
            (record.expires_at, "expires_at_ms"),
            (record.duration, "duration_ms"),
        ):
            milliseconds = None if seconds is None else round(seconds * 1000)
            assert milliseconds == number(item, attribute)
        json.dumps([record.holder, record.last_run])

    @pytest.mark.parametrize("take", [acquire, enter, wait, handle, handle_or_skip])
    @fuzz
    @given(item=items)
    @example(item={"owner": {"S": "a"}, "expires_at_ms": {"N": "1E+30"}})
    @example(item={"token": {"N": "1E+30"}})
    @example(item={"token": {"N": "9.9999999999999999999999999999999999999E+125"}})
    def test_is_never_granted_by_mistake(
        self, rows: Rows, take: Callable[[str, DynamoDBStore], Lease], item: Item
    ) -> None:
        clock = FakeClock()
        name = rows.put(item)
        before = rows.read(name)
        result = outcome(lambda: take(name, rows.store(clock=clock)))
        if isinstance(result, Lease):
            assert may_be_taken_after(item, clock.now)
            assert result.token > (number(item, "token") or 0)
            assert rows.read(name)["token"] == {"N": str(result.token)}
        elif isinstance(result, LeaseHeldError):
            assert is_a_leases(item)
            assert not may_be_taken_after(item, clock.now)
            # Who waited has taken a ticket.
            ticket = {"tickets": {"N": "1"}}
            assert {**rows.read(name), **ticket} == {**before, **ticket}
        else:
            assert isinstance(result, LeaseConfigError)
            assert not is_a_leases(item) or number(item, "token") == LAST_TOKEN
            assert says_what_to_do(result, rows, name)
            assert may_be_taken(item, clock.time()) or rows.read(name) == before

    @fuzz
    @given(item=items)
    def test_can_be_freed_by_force_or_says_why_not(self, rows: Rows, item: Item) -> None:
        name = rows.put(item)
        record = outcome(lambda: rows.store().force_release(name))
        if isinstance(record, LeaseRecord):
            assert (record.owner, record.expires_at) == (None, None)
            assert record.token > (number(item, "token") or 0)
            if record.token < LAST_TOKEN:
                acquire(name, rows.store()).release()
        else:
            freed = {key: value for key, value in item.items() if key in ("token", "duration_ms")}
            assert not is_a_leases(freed) or number(item, "token") == LAST_TOKEN
            assert says_what_to_do(record, rows, name)

    @settings(with_fixtures, max_examples=30)
    @given(odd=st.lists(items, min_size=3, max_size=3))
    def test_does_not_end_the_list_of_all_the_others(
        self, few_rows: Rows, caplog: pytest.LogCaptureFixture, odd: list[Item]
    ) -> None:
        store = few_rows.store()
        caplog.clear()
        acquire("lease", store).release()
        names = {few_rows.put(item, f"odd-{index}"): item for index, item in enumerate(odd)}
        assert {record.name for record in store.records()} == {"lease"} | {
            name for name, item in names.items() if "token" in item and is_a_leases(item)
        }
        for name, item in names.items():
            assert (name in caplog.text) is ("token" in item and not is_a_leases(item))

    @pytest.mark.parametrize(
        "message",
        [
            "An operand in the update expression has an incorrect data type",
            "Number overflow. Attempting to store a number with magnitude larger than supported",
            "Attempting to store more than 38 significant digits in a Number",
            "Item size to update has exceeded the maximum allowed size",
        ],
    )
    def test_that_dynamodb_cannot_update_is_named(
        self, rows: Rows, name: str, message: str
    ) -> None:
        # The embedded engine lets most of these through.
        store = rows.store()
        for call in (Lock(name, 30, store=store).acquire, lambda: store.force_release(name)):
            with Stubber(rows.client) as stub:
                stub.add_client_error("update_item", "ValidationException", message, 400)
                with pytest.raises(
                    LeaseConfigError, match=f"row '{name}' .*{rows.table}.*remove it"
                ):
                    call()

    def test_that_is_nearly_too_big_is_named(self, rows: Rows) -> None:
        name = rows.put({"blob": {"S": "x" * 409_500}})
        with pytest.raises(LeaseConfigError, match=f"row '{name}' .*{rows.table}.*remove it"):
            acquire(name, rows.store())

    def test_of_a_table_with_another_key_is_not_listed(self, few_rows: Rows) -> None:
        few_rows.put({"token": {"N": "7"}})
        assert list(few_rows.store(key_attr="pk").records()) == []


class Tenant(enum.Enum):
    NORTH = "north"


class TextTenant(str, enum.Enum):  # noqa: UP042 - formatted otherwise than a StrEnum
    NORTH = "north"


class NumberedTenant(enum.IntEnum):
    NORTH = 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tenant", "detail", "a"]) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)
python_values = st.one_of(
    json_values,
    st.binary(max_size=4),
    st.decimals(),
    st.complex_numbers(),
    st.sampled_from([*Tenant, *TextTenant, *NumberedTenant]),
    st.sampled_from([10**400, "x" * 3000, "\x00", "a#b", object(), Ellipsis, (), set(), KeyError]),
)
names = st.text(max_size=6).filter(lambda name: name.strip() and "#" not in name)
expressions = st.sampled_from(
    [
        *("tenant", "detail.tenant", "@", "*", "tenant[0]", "keys(@)[0]", "tenant || detail"),
        *("abs(tenant)", "sum(tenant)", "avg(tenant)", "length(tenant)", "floor(tenant)"),
        *("to_string(@)", "to_number(tenant)", "join('-', tenant)", "sort(tenant)"),
        *("max_by(tenant, &a)", "merge(@, tenant)", "starts_with(tenant, detail)"),
        *("tenant == detail", "tenant[?a > `1`]", "type(@)"),
    ]
)


def name_of(event: object, key: Any, name: str = "sync") -> str:
    """What a handler's lease is called, for an event and a key."""

    @singleton(name, 30, key=key, store=MemoryStore())
    def handler(event: object, context: object, lease: Lease) -> str:
        return lease.name

    return handler(event, None)


def is_encodable(text: str) -> bool:
    """Whether it is free of lone surrogates."""
    return text == text.encode(errors="replace").decode()


class TestKeys:
    """The lease's name comes from the event."""

    @fuzz
    @given(event=json_values, key=expressions)
    def test_an_expression_gives_the_key_or_an_error(self, event: object, key: str) -> None:
        name = outcome(lambda: name_of(event, key))
        if isinstance(name, str):
            assert name.startswith("sync#")
            assert name.removeprefix("sync#").strip()
        else:
            assert isinstance(name, LeaseConfigError)
            assert "sync" in str(name)

    @fuzz
    @given(value=python_values)
    @example(value=math.nan)
    @example(value=-math.inf)
    @example(value=10**5000)
    @example(value=-0.0)
    @example(value=1e308)
    def test_a_callable_gives_the_key_or_an_error(self, value: Any) -> None:
        name = outcome(lambda: name_of({}, lambda event, context: value))
        if isinstance(value, str) and value.strip() and is_encodable(value) and len(value) < 600:
            assert name == "sync#" + value
        elif isinstance(value, bool):
            assert name == f"sync#{json.dumps(value)}"
        elif isinstance(value, int | float) and abs(value) < 10**1000:
            is_whole = value == math.floor(value)
            assert name == f"sync#{json.dumps(math.floor(value) if is_whole else value)}"
        else:
            assert isinstance(name, LeaseConfigError)
            assert "sync" in str(name)
            assert len(str(name)) < 300

    @fuzz
    @given(
        first=st.tuples(names, st.none() | texts),
        second=st.tuples(names, st.none() | texts),
    )
    @example(first=("a", "b#c"), second=("a#b", "c"))
    @example(first=("a", None), second=("a#", None))
    def test_different_leases_never_have_the_same_name(
        self, first: tuple[str, str | None], second: tuple[str, str | None]
    ) -> None:
        def full_name(name: str, key: str | None) -> str | LeaseError:
            return outcome(lambda: name_of({"key": key}, key and "key", name))

        assume(first[1] != "" and second[1] != "")
        one, other = full_name(*first), full_name(*second)
        assume(isinstance(one, str) and isinstance(other, str))
        assert (one == other) is (first == second)

    @pytest.mark.parametrize(
        ("written", "name"),
        [
            *((text, "sync#1") for text in ("1", "1.0", "1e0", "10e-1", "1.000")),
            *((text, "sync#0") for text in ("0", "-0", "0.0", "-0.0", "0e9")),
            *((text, "sync#-100") for text in ("-100", "-100.0", "-1e2")),
            ("1.5", "sync#1.5"),
            ("true", "sync#true"),
            ('"1"', "sync#1"),
            ('"1.0"', "sync#1.0"),
        ],
    )
    def test_one_number_is_one_key_however_it_is_written(self, written: str, name: str) -> None:
        assert name_of({"tenant": json.loads(written)}, "tenant") == name

    @fuzz
    @given(tenant=texts.map(lambda text: f"x{text}"), name=names, other=names)
    def test_a_tenant_cannot_reach_another_name(self, tenant: str, name: str, other: str) -> None:
        assume(name != other)
        full = outcome(lambda: name_of({"tenant": f"{tenant}#{other}#x"}, "tenant", name))
        if isinstance(full, str):
            assert not f"{full}#".startswith(f"{other}#")
        else:
            assert not is_encodable(tenant + name + other)

    @settings(fuzz, max_examples=40)
    @given(key=texts)
    def test_the_database_takes_every_name_that_is_let_through(self, rows: Rows, key: str) -> None:
        store = rows.store()
        name = f"sync#{uuid.uuid4().hex}{key}"
        lease = outcome(lambda: acquire(name, store))
        if isinstance(lease, Lease):
            record = store.get(name)
            assert record is not None
            assert (record.name, record.owner) == (name, lease.owner)
        else:
            assert not is_encodable(key)
            assert "valid Unicode" in str(lease)

    @settings(fuzz, max_examples=40)
    @given(name=texts | python_values)
    @example(name="\ud800")
    @example(name="x" * 3000)
    def test_any_name_is_looked_up_or_refused(self, rows: Rows, name: Any) -> None:
        store = rows.store()
        record = outcome(lambda: store.get(name))
        assert record is None or isinstance(record, LeaseConfigError)
        assert isinstance(outcome(lambda: store.force_release(name)), LeaseConfigError)

    @fuzz
    @given(key=texts | st.text("[]{}()@&*|.,:?<>='\"`\\-!a0 \n", max_size=12) | expressions)
    @example(key="[" * 5000)
    @example(key="a[" + "9" * 5000 + "]")
    def test_any_text_is_an_expression_or_no_expression(self, key: str) -> None:
        decorator = outcome(lambda: singleton("sync", 30, key=key))
        if isinstance(decorator, LeaseError):
            assert isinstance(decorator, LeaseConfigError)
            assert "JMESPath" in str(decorator)

    @fuzz
    @given(key=expressions, data=st.data())
    def test_an_error_quotes_nothing_of_the_event(self, key: str, data: st.DataObject) -> None:
        secret = "canary-7f3a"
        parts = st.sampled_from(["tenant", "detail", "a", secret])
        values = st.recursive(
            st.just(secret) | st.integers(7_777_777, 7_777_779),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(parts, inner, max_size=3),
            max_leaves=6,
        )
        event = data.draw(values)
        error = outcome(lambda: name_of(event, key))
        assume(isinstance(error, LeaseError))
        assert isinstance(error, LeaseConfigError)
        assert secret not in in_its_words(error)
        assert "777777" not in in_its_words(error)

    def test_an_error_of_ones_own_is_chained_but_not_repeated(self) -> None:
        mine = ValueError("canary")

        def key(event: object, context: object) -> str:
            raise mine

        with pytest.raises(LeaseConfigError, match="ValueError") as error:
            name_of({}, key)
        assert "canary" not in str(error.value)
        assert error.value.__cause__ is mine

    def test_what_is_too_long_or_no_text_is_not_repeated_at_length(self) -> None:
        for tenant in ("x" * 99_999, "\ud800" * 99_999):
            with pytest.raises(LeaseConfigError) as error:
                name_of({"tenant": tenant}, "tenant")
            assert len(str(error.value)) < 500


class HurriedClock:
    """The real time, for a server that tells its own, and no sleep."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        pass


def stays_here(endpoint: str) -> bool:
    try:
        host = urlsplit(endpoint).hostname
    except ValueError:
        return True
    return host in (None, "127.0.0.1", "localhost", "::1")


# What bytes become that are no UTF-8, too. A variable cannot have a NUL.
variables = st.one_of(
    st.binary(max_size=12).map(lambda data: os.fsdecode(data.replace(b"\0", b""))),
    st.text("abc-019_.:/@#?% \n\t\u00fc", max_size=12),
)
endpoints = st.one_of(
    variables,
    st.tuples(
        st.sampled_from(["http", "https", "ftp", "", " http"]),
        st.sampled_from(["://", "//", ":", ":/"]),
        st.sampled_from(["127.0.0.1", "localhost", "[::1]", "[::1", "127.0.0.1:9", "u@127.0.0.1"]),
        st.sampled_from(["", ":", ":9", ":x", ":-1", ":99999"]),
        variables.map(lambda text: text and f"/{text}"),
    ).map("".join),
).filter(lambda endpoint: bool(endpoint) and stays_here(endpoint))


class TestEnvironment:
    @settings(fuzz, max_examples=40)
    @given(table=variables)
    @example(table="x" * 5000)
    @example(table="arn:aws:dynamodb:us-east-1:123456789012:table/leases")
    def test_any_table_name(self, client: Any, table: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SINGLETON_TABLE", table)
            error = outcome(lambda: acquire("x", DynamoDBStore(client=client, clock=FakeClock())))
        if is_encodable(table):
            assert isinstance(error, LeaseConfigError)
        assert isinstance(error, LeaseError)
        assert "SINGLETON_TABLE" in str(error) or quoted(table) in str(error)

    @fuzz
    @given(word=variables | st.sampled_from(["true", "false", "ON", " off ", "0", "1"]))
    def test_any_word_to_disable_it(self, word: str) -> None:
        store = MemoryStore(clock=FakeClock())
        lock = Lock("x", 30, store=store)
        lock.acquire()
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            patch.setenv("SINGLETON_DISABLED", word)
            result = outcome(lock.acquire)
        plain = word.strip().lower()
        assert isinstance(result, Lease) is (plain in ("true", "yes", "on", "1"))
        assert bool(warned) is isinstance(result, Lease)
        assert isinstance(result, LeaseHeldError) is (plain in ("false", "no", "off", "0", ""))
        if isinstance(result, LeaseConfigError):
            assert "SINGLETON_DISABLED" in str(result)

    @settings(fuzz, max_examples=40)
    @given(region=variables)
    @example(region="us-east-1\n")
    def test_any_region(self, rows: Rows, region: str) -> None:
        store = DynamoDBStore(rows.table, clock=HurriedClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_REGION", region)
            patch.setenv("AWS_DEFAULT_REGION", region)
            result = outcome(lambda: acquire(uuid.uuid4().hex, store))
        if not isinstance(result, Lease):
            assert isinstance(result, LeaseConfigError)
            assert rows.table in str(result)
            assert "egion" in str(result)

    @settings(fuzz, max_examples=60)
    @given(endpoint=endpoints)
    @example(endpoint="leases")
    @example(endpoint="http://127.0.0.1:x")
    def test_any_endpoint(self, rows: Rows, endpoint: str) -> None:
        store = DynamoDBStore(rows.table, clock=HurriedClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            error = outcome(lambda: acquire(uuid.uuid4().hex, store))
        if isinstance(error, LeaseStoreError):
            assert "was not reached" in str(error)
        else:
            assert isinstance(error, LeaseConfigError)
            assert "AWS_ENDPOINT_URL" in str(error)

    @settings(fuzz, max_examples=40)
    @given(
        facts=st.fixed_dictionaries(
            {},
            optional={
                f"AWS_LAMBDA_{fact}": variables | st.sampled_from(["x" * 120_000, "\u00fc" * 600])
                for fact in (
                    "FUNCTION_NAME",
                    "FUNCTION_VERSION",
                    "LOG_GROUP_NAME",
                    "LOG_STREAM_NAME",
                    "INITIALIZATION_TYPE",
                )
            },
        ),
        request_id=st.just("x" * 300_000) | texts,
    )
    @example(facts={"AWS_LAMBDA_FUNCTION_NAME": "\udcff"}, request_id="")
    @example(facts={"AWS_LAMBDA_FUNCTION_NAME": "x" * 120_000}, request_id="x" * 300_000)
    def test_any_description_of_the_holder(
        self, rows: Rows, facts: dict[str, str], request_id: str
    ) -> None:
        context = Context()
        context.aws_request_id = request_id
        name = f"held-{uuid.uuid4().hex}"
        store = rows.store(clock=FakeClock())

        @singleton(name, 30, store=store)
        def handler(event: object, context: object) -> None: ...

        with pytest.MonkeyPatch.context() as patch:
            for variable, value in facts.items():
                patch.setenv(variable, value)
            handler({}, context)
        record = store.get(name)
        assert record is not None
        assert record.holder is not None
        assert ("host" in record.holder) is not bool(facts.get("AWS_LAMBDA_FUNCTION_NAME"))
        assert all(is_encodable(text) and len(text) <= 512 for text in record.holder.values())

    @pytest.mark.parametrize(
        "variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    )
    @pytest.mark.parametrize("value", ["", "canary\n", "\ncanary", "canary\udcff"])
    def test_odd_credentials_are_not_told(
        self, rows: Rows, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        store = DynamoDBStore(rows.table, clock=HurriedClock())
        result = outcome(lambda: acquire(uuid.uuid4().hex, store))
        if isinstance(result, Lease):
            return
        assert "canary" not in in_its_words(result)
        if is_encodable(value):
            assert isinstance(result, LeaseConfigError)
            assert "credentials" in str(result)


class TestArguments:
    @pytest.mark.parametrize("parameter", ["duration", "wait", "min_hold"])
    @settings(fuzz, max_examples=40)
    @given(value=python_values | st.timedeltas())
    @example(value=10**400)
    def test_any_length_of_time(self, parameter: str, value: Any) -> None:
        decorator = outcome(lambda: singleton("x", **{"duration": 30, parameter: value}))
        if isinstance(decorator, LeaseError):
            assert isinstance(decorator, LeaseConfigError)
            assert parameter in str(decorator)

    @settings(fuzz, max_examples=40)
    @given(retention=python_values | st.timedeltas())
    @example(retention=timedelta(days=-1))
    def test_no_retention_lets_a_held_row_be_deleted(self, rows: Rows, retention: Any) -> None:
        store = outcome(lambda: rows.store(clock=FakeClock(), retention=retention))
        if isinstance(store, LeaseError):
            assert isinstance(store, LeaseConfigError)
            assert "retention" in str(store)
        else:
            row = rows.read(acquire(uuid.uuid4().hex, store).name)
            assert int(row["expiration"]["N"]) * 1000 >= int(row["expires_at_ms"]["N"])


class OddContext:
    def __init__(self, remaining: object, request_id: object) -> None:
        self.remaining = remaining
        self.aws_request_id = request_id

    def get_remaining_time_in_millis(self) -> object:
        if isinstance(self.remaining, Exception):
            raise self.remaining
        return self.remaining


class TestContexts:
    @fuzz
    @given(
        remaining=st.integers() | st.floats() | python_values | st.builds(RuntimeError),
        request_id=python_values,
        duration=st.none() | st.just(30),
    )
    @example(remaining=10**400, request_id=None, duration=30)
    @example(remaining=-(10**400), request_id=None, duration=30)
    @example(remaining=math.nan, request_id=None, duration=30)
    @example(remaining=RuntimeError("frozen"), request_id=None, duration=None)
    def test_any_remaining_time_and_request_id(
        self, remaining: Any, request_id: object, duration: float | None
    ) -> None:
        store = MemoryStore(clock=FakeClock())
        is_number = isinstance(remaining, int | float) and not isinstance(remaining, bool)
        tells = is_number and remaining <= 86_400_000
        assume(not tells or abs(remaining - 100) > 1)

        @singleton("x", duration, store=store)
        def handler(event: object, context: object, lease: Lease) -> Lease:
            return lease

        result = outcome(lambda: handler({}, OddContext(remaining, request_id)))
        if tells and remaining < 100:
            assert isinstance(result, LeaseDeadlineError)
        elif duration is None and not tells:
            assert isinstance(result, LeaseConfigError)
            assert "give a duration" in str(result)
        else:
            assert isinstance(result, Lease)
            record = store.get("x")
            assert record is not None
            json.dumps(record.holder)


EVENT_CANARY = "canary of an event"


class TellingClient:
    custom = MappingProxyType({"password": "canary of a client"})


class TellingContext(Context):
    client_context = TellingClient()
    identity = MappingProxyType({"cognito_identity_id": "canary of an identity"})


class TestSecrets:
    """Of an event, a context and the environment, nothing is told but the lease's name."""

    EVENT = MappingProxyType({"tenant": "north", "body": EVENT_CANARY, EVENT_CANARY: "body"})

    @pytest.fixture
    def run(
        self,
        rows: Rows,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> Iterator[Callable[..., object]]:
        """Run a handler to some end, and look for secrets in all that is left behind."""
        monkeypatch.setenv("DB_PASSWORD", "canary of a variable")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary of a credential")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        caplog.set_level(logging.DEBUG, logger="lambda_singleton")
        errors: list[Exception] = []

        def run(
            work: Callable[[Lease], object] = repr, table: str = rows.table, **rules: Any
        ) -> object:
            store = DynamoDBStore(table, clock=HurriedClock())
            options: dict[str, Any] = {"key": "tenant", "store": store} | rules

            def handler(event: object, context: object, lease: Lease) -> object:
                return work(lease)

            try:
                return singleton(name, 30, **options)(handler)(dict(self.EVENT), TellingContext())
            except Exception as error:
                errors.append(error)
                return error

        yield run
        items = [
            item
            for item in rows.client.scan(TableName=rows.table)["Items"]
            if item["id"]["S"].startswith(name)
        ]
        told = [*map(in_its_words, errors), caplog.text, repr(caplog.records), repr(items)]
        assert "canary" not in "".join(told)

    @pytest.fixture
    def tenant(self, rows: Rows, name: str) -> Lock:
        return Lock(f"{name}#north", 30, store=rows.store())

    def test_when_it_succeeds(self, run: Callable[..., object], rows: Rows, tenant: Lock) -> None:
        run()
        assert "last_run" in rows.read(tenant.name)

    def test_when_it_fails(self, run: Callable[..., object], rows: Rows, tenant: Lock) -> None:
        def fail(lease: Lease) -> None:
            raise KeyError("mine")

        assert isinstance(run(fail), KeyError)
        assert "failed" in repr(rows.read(tenant.name))

    def test_when_it_is_held(self, run: Callable[..., object], tenant: Lock) -> None:
        tenant.acquire()
        assert isinstance(run(), LeaseHeldError)

    def test_when_it_is_skipped(self, run: Callable[..., object], tenant: Lock) -> None:
        tenant.acquire()
        assert "skipped" in repr(run(on_held="skip"))

    def test_when_it_is_lost(self, run: Callable[..., object], rows: Rows) -> None:
        def lose(lease: Lease) -> None:
            rows.store().force_release(lease.name)
            lease.renew()

        assert isinstance(run(lose), LeaseLostError)

    def test_when_it_cannot_be_released(
        self, run: Callable[..., object], caplog: pytest.LogCaptureFixture
    ) -> None:
        store = FaultyStore(MemoryStore())

        def cut(lease: Lease) -> None:
            store.faults = ["unreachable"] * 3

        run(cut, store=store)
        assert "could not be released" in caplog.text

    def test_when_the_database_is_not_reached(
        self, run: Callable[..., object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert isinstance(run(), LeaseStoreError)

    def test_when_there_is_no_table(self, run: Callable[..., object]) -> None:
        assert isinstance(run(table="no-such-table"), LeaseConfigError)

    def test_when_the_row_is_no_leases(
        self, run: Callable[..., object], rows: Rows, tenant: Lock
    ) -> None:
        rows.put({"owner": {"N": "7"}}, tenant.name)
        assert isinstance(run(), LeaseConfigError)

    @pytest.mark.parametrize("key", ["missing", "abs(body)", "@", "keys(@)", "body.x"])
    def test_when_there_is_no_key(self, run: Callable[..., object], key: str) -> None:
        assert isinstance(run(key=key), LeaseConfigError)
