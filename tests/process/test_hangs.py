"""Whatever hangs while a lease is held, its holder is stopped before its end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseDeadlineError,
    LeaseEvent,
    LeaseInterrupt,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    observe,
    singleton,
)
from local_lambda import Engine

from . import script
from .endpoints import CredentialsEndpoint, Gate, drip, drip_headers
from .stores import Hang, ScriptedStore, no_renewals

DURATION = 1.5
FOREVER = 7.0


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def hang() -> Iterator[Hang]:
    hang = Hang(5.0)
    yield hang
    hang.end()


class Slow(logging.Handler):
    """A log handler that waits for somebody."""

    def __init__(self, hang: Callable[[], None]) -> None:
        super().__init__()
        self._hang = hang

    def emit(self, record: logging.LogRecord) -> None:
        if "renewed" in record.getMessage():
            self._hang()


Hanging = Callable[[ScriptedStore, Hang], Callable[[], object]]


def nothing() -> None: ...


def a_request(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    def act(kind: str, name: str) -> None:
        if kind == "Renew":
            hang()
            raise LeaseStoreError("it hung")

    store.before = act
    return nothing


def a_reply(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    def act(kind: str, name: str) -> None:
        if kind == "Renew":
            hang()

    store.after = act
    return nothing


def an_observer(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    store.before = after_the_first_renewal()

    def observer(event: LeaseEvent) -> None:
        if event.kind == "renewed":
            hang()

    return observe(observer)


def an_observer_of_failures(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    store.before = no_renewals()

    def observer(event: LeaseEvent) -> None:
        if event.kind == "renewal_failed":
            hang()

    return observe(observer)


def an_observer_of_losses(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    store.before = no_renewals()

    def observer(event: LeaseEvent) -> None:
        if event.kind == "lost":
            hang()

    return observe(observer)


def a_log_handler(store: ScriptedStore, hang: Hang) -> Callable[[], object]:
    store.before = no_renewals()
    logger, handler = logging.getLogger("lambda_singleton"), Slow(hang)
    logger.addHandler(handler)
    return lambda: logger.removeHandler(handler)


def after_the_first_renewal() -> Callable[[str, str], None]:
    renewals = 0

    def act(kind: str, name: str) -> None:
        nonlocal renewals
        renewals += kind == "Renew"
        if kind == "Renew" and renewals > 1:
            raise LeaseStoreError("unreachable")

    return act


HANGS: list[Hanging] = [
    a_request,
    a_reply,
    an_observer,
    an_observer_of_failures,
    an_observer_of_losses,
    a_log_handler,
]


class Watched:
    """Work that tells whether it was stopped before its lease's end."""

    def __init__(self, store: ScriptedStore) -> None:
        self._store = store
        self._end = float("inf")
        self.in_time: bool | None = None

    def note_end(self) -> None:
        # Only what was confirmed counts: a renewal whose reply hangs may have moved the row's.
        self._end = self._store.end_of("x")

    def note_stop(self, end: float | None = None) -> None:
        self.in_time = time.time() <= (self._end if end is None else end)

    def sleep(self, end: float | None = None) -> None:
        try:
            time.sleep(FOREVER)
        except LeaseInterrupt:
            self.note_stop(end)
            raise


class TestTheInterrupt:
    @pytest.mark.parametrize("what", HANGS)
    def test_of_the_main_thread(self, store: ScriptedStore, hang: Hang, what: Hanging) -> None:
        end = what(store, hang)
        watched = Watched(store)
        try:
            with pytest.raises(LeaseLostError), Lock("x", DURATION, store=store):
                watched.note_end()
                try:
                    time.sleep(FOREVER)
                except LeaseInterrupt:
                    # An applied renewal is confirmed unless it is its reply that hangs.
                    confirmed = what is an_observer
                    watched.note_stop(store.end_of("x") if confirmed else None)
                    raise
            # The block does not wait for what hangs either.
            assert hang.began.is_set()
            assert not hang.ended
        finally:
            end()
        assert watched.in_time

    def test_of_a_thread(self, store: ScriptedStore, hang: Hang) -> None:
        a_request(store, hang)
        watched = Watched(store)

        def job() -> None:
            with suppress(LeaseLostError), Lock("x", DURATION, store=store):
                watched.note_end()
                try:
                    give_up_at = time.monotonic() + FOREVER
                    while time.monotonic() < give_up_at:
                        time.sleep(0.005)
                except LeaseInterrupt:
                    watched.note_stop()
                    raise

        thread = threading.Thread(target=job)
        thread.start()
        thread.join(15)
        assert watched.in_time
        assert not hang.ended

    @pytest.mark.parametrize("what", [a_request, an_observer_of_failures])
    def test_of_a_task(self, store: ScriptedStore, hang: Hang, what: Hanging) -> None:
        end = what(store, hang)
        watched = Watched(store)

        async def job() -> None:
            async with Lock("x", DURATION, store=store):
                watched.note_end()
                try:
                    await asyncio.sleep(FOREVER)
                except asyncio.CancelledError:
                    watched.note_stop()
                    raise

        try:
            with pytest.raises(LeaseLostError):
                asyncio.run(job())
            assert not hang.ended
        finally:
            end()
        assert watched.in_time

    def test_of_others_when_one_hangs(self, store: ScriptedStore, hang: Hang) -> None:
        # Whoever renews, tells and watches for all of them must not wait for one of them.
        def act(kind: str, name: str) -> None:
            no_renewals()(kind, name) if name == "x" else None
            if (kind, name) == ("Renew", "hung"):
                hang()

        store.before = act
        watched = Watched(store)

        def other() -> None:
            with suppress(LeaseLostError), Lock("hung", 0.6, store=store):
                time.sleep(2)

        thread = threading.Thread(target=other)
        thread.start()
        assert hang.began.wait(5)
        with pytest.raises(LeaseLostError), Lock("x", DURATION, store=store):
            watched.note_end()
            watched.sleep()
        assert not hang.ended
        hang.end()
        thread.join(10)
        assert watched.in_time

    def test_others_are_renewed_while_one_hangs(self, store: ScriptedStore, hang: Hang) -> None:
        def act(kind: str, name: str) -> None:
            if (kind, name) == ("Renew", "hung"):
                hang()

        store.before = act

        def other() -> None:
            with suppress(LeaseLostError), Lock("hung", 0.6, store=store):
                time.sleep(2)

        thread = threading.Thread(target=other)
        thread.start()
        assert hang.began.wait(5)
        with Lock("x", 0.6, store=store) as lease:
            time.sleep(1.5)
            assert not lease.lost
        hang.end()
        thread.join(10)


class TestOnLost:
    def test_one_that_hangs_keeps_nobody(self, store: ScriptedStore, hang: Hang) -> None:
        store.before = no_renewals()
        seen: list[bool] = []

        @singleton("x", DURATION, store=store, on_lost=hang)
        def handler(event: object, context: object, lease: Lease) -> None:
            assert hang.began.wait(5)
            seen.append(time.time() <= store.end_of("x"))
            time.sleep(0.3)
            seen.append(lease.lost)

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert seen == [True, True]
        assert not hang.ended

    def test_an_on_lost_that_hangs_keeps_no_other_lease(
        self, store: ScriptedStore, hang: Hang
    ) -> None:
        store.before = no_renewals()
        watched = Watched(store)

        @singleton("outer", 0.8, store=store, on_lost=hang)
        def handler(event: object, context: object) -> None:
            with Lock("x", DURATION, store=store):
                watched.note_end()
                watched.sleep()

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert watched.in_time
        assert not hang.ended


class Deadly(BaseException):
    """Not an Exception."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestNothingEndsTheWatch:
    @pytest.mark.parametrize(
        ("what", "kind"),
        [
            ("renewed", SystemExit),
            ("renewed", Deadly),
            ("renewal_failed", KeyboardInterrupt),
            ("renewal_failed", LeaseInterrupt),
        ],
    )
    def test_no_observer(self, store: ScriptedStore, kind: type[BaseException], what: str) -> None:
        store.before = after_the_first_renewal()

        def observer(event: LeaseEvent) -> None:
            if event.kind == what:
                raise kind

        end = observe(observer)
        try:
            self.must_be_interrupted(store)
        finally:
            end()

    def test_no_log_handler(self, store: ScriptedStore) -> None:
        def end() -> None:
            raise SystemExit

        store.before = no_renewals()
        logger, handler = logging.getLogger("lambda_singleton"), Slow(end)
        logger.addHandler(handler)
        try:
            self.must_be_interrupted(store)
        finally:
            logger.removeHandler(handler)

    @pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, Deadly])
    def test_no_store(self, store: ScriptedStore, kind: type[BaseException]) -> None:
        def act(what: str, name: str) -> None:
            if what == "Renew":
                raise kind

        store.before = act
        self.must_be_interrupted(store)

    @pytest.mark.parametrize("kind", [SystemExit, Deadly])
    def test_an_observer_that_fails_does_not_end_the_renewals(
        self, store: ScriptedStore, kind: type[BaseException]
    ) -> None:
        def observer(event: LeaseEvent) -> None:
            if event.kind == "renewed":
                raise kind

        end = observe(observer)
        try:
            with Lock("x", 0.6, store=store) as lease:
                time.sleep(1.2)
                assert not lease.lost
        finally:
            end()
        assert store.count("Renew") > 1

    @staticmethod
    def must_be_interrupted(store: ScriptedStore) -> None:
        ends: list[float] = []
        with pytest.raises(LeaseLostError), Lock("x", 1.2, store=store):
            try:
                time.sleep(3)
            except LeaseInterrupt:
                ends += [time.time(), store.end_of("x")]
                raise
        assert ends
        assert ends[0] <= ends[1]


STOPPED = {"interrupted": True, "in time": True, "told": True}


class TestCredentials:
    @pytest.mark.parametrize(
        ("way", "loaded", "how"),
        [
            ("silent", "boto3", "main"),
            ("silent", "alone", "thread"),
            ("silent", "alone", "task"),
            ("drips", "alone", "main"),
        ],
    )
    def test_a_refresh_that_hangs(
        self, lambda_variables: Mapping[str, str], name: str, way: str, loaded: str, how: str
    ) -> None:
        variables = {**lambda_variables}
        del variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
        with CredentialsEndpoint(way) as endpoint:
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoint.endpoint}/credentials"
            facts = script.run(
                "hung_credentials", name, loaded, how, variables=variables, timeout=20
            )
            assert endpoint.asked > 1
        assert facts == STOPPED


class TestLookUps:
    def test_one_that_hangs(
        self, engine: Engine, lambda_variables: Mapping[str, str], name: str
    ) -> None:
        with Gate(engine.endpoint, closes=True) as gate:
            address = gate.endpoint.replace("127.0.0.1", "localhost")
            variables = {**lambda_variables, "AWS_ENDPOINT_URL": address}
            assert script.run("hung_lookup", name, variables=variables) == STOPPED


class Context:
    """An invocation that ends at `deadline`."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float) -> None:
        self.deadline = time.time() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.deadline - time.time()) * 1000))


Drip = Callable[[BaseHTTPRequestHandler, float], None]


@pytest.mark.parametrize("drip", [drip, drip_headers])
class TestReplies:
    """Replies that drip: no single read takes long."""

    @pytest.fixture
    def gate(self, engine: Engine) -> Iterator[Gate]:
        with Gate(engine.endpoint) as gate:
            yield gate

    @pytest.fixture
    def dynamodb(self, gate: Gate, table: str, monkeypatch: pytest.MonkeyPatch) -> DynamoDBStore:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gate.endpoint)
        store = DynamoDBStore(table)
        # The client is made while this is its endpoint.
        store.get("nobody")
        return store

    def test_to_a_renewal(self, gate: Gate, dynamodb: DynamoDBStore, name: str, drip: Drip) -> None:
        moments: list[bool] = []
        with pytest.raises(LeaseLostError), Lock(name, 2, store=dynamodb) as lease:
            end = time.time() + lease.remaining()
            gate.spoil = lambda action: lambda handler: drip(handler, 5)
            try:
                time.sleep(FOREVER)
            except LeaseInterrupt:
                moments.append(time.time() <= end)
                raise
        assert moments == [True]

    def test_to_an_acquire(
        self, gate: Gate, dynamodb: DynamoDBStore, name: str, drip: Drip
    ) -> None:
        gate.spoil = lambda action: lambda handler: drip(handler, 8)
        ran = False

        @singleton(name, 2, store=dynamodb)
        def handler(event: object, context: object) -> None:
            nonlocal ran
            ran = True

        context = Context(3)
        with pytest.raises((LeaseStoreError, LeaseDeadlineError)):
            handler({}, context)
        assert time.time() <= context.deadline
        assert not ran

    def test_to_a_release(self, gate: Gate, dynamodb: DynamoDBStore, name: str, drip: Drip) -> None:
        @singleton(name, 2, store=dynamodb)
        def handler(event: object, context: object) -> str:
            gate.spoil = lambda action: lambda handler: drip(handler, 8)
            return "result"

        context = Context(4)
        assert handler({}, context) == "result"
        assert time.time() <= context.deadline

    def test_to_a_look(self, gate: Gate, dynamodb: DynamoDBStore, name: str, drip: Drip) -> None:
        gate.spoil = lambda action: (
            (lambda handler: drip(handler, 8)) if action == "GetItem" else None
        )
        other = Lock(name, 30, store=dynamodb).acquire()

        @singleton(name, 2, store=dynamodb, wait=30)
        def handler(event: object, context: object) -> None: ...

        context = Context(4)
        with pytest.raises(Exception):  # noqa: B017, PT011
            handler({}, context)
        assert time.time() <= context.deadline
        other.release()


def test_a_release_by_hand_does_not_wait_for_a_renewal_that_hangs(hang: Hang) -> None:
    store = ScriptedStore()
    lease = Lock("x", DURATION, store=store).acquire()

    def act(kind: str, name: str) -> None:
        if kind == "Renew":
            hang()

    store.before = act
    thread = threading.Thread(target=lambda: suppress_all(lease.renew))
    thread.start()
    assert hang.began.wait(5)
    suppress_all(lease.release)
    assert not hang.ended
    hang.end()
    thread.join(10)
    # Whatever came in which order, it is over: nothing brings it back.
    assert store.owner("x") is None or store.end_of("x") <= time.time() + DURATION
    with pytest.raises(LeaseLostError):
        lease.check()


def suppress_all(call: Callable[[], Any]) -> None:
    with suppress(Exception):
        call()


def test_memory_is_never_late() -> None:
    """The means of these tests: a store that does not hang renews for ever."""
    with Lock("x", 0.6, store=MemoryStore()) as lease:
        time.sleep(1)
        assert not lease.lost
