"""Taking a lease: how many requests, how long a wait, and what replies that are lost do."""

from __future__ import annotations

import random

import pytest

from lambda_singleton import (
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton._backoff import Backoff
from lambda_singleton._protocol import Operation, Renew
from lambda_singleton._store import Reply

from .fakes import START, Context, FakeClock, FaultyStore, acquire


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


def token_of(store: FaultyStore, name: str) -> int:
    record = store.inner.get(name)
    assert record is not None
    return record.token


class TestRequests:
    def test_a_free_lease_takes_one(self, store: FaultyStore) -> None:
        Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire"]

    def test_a_held_lease_takes_one(self, store: FaultyStore) -> None:
        Lock("x", 30, store=store).acquire()
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire", "Acquire"]
        assert store.looks == 0

    def test_the_error_tells_who_holds_it_and_when_to_try_again(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        store.execute(acquire("x", "a"), timeout=1)
        clock.now = 10
        with pytest.raises(LeaseHeldError, match=r"'x' is held until .* by request_id a") as held:
            Lock("x", 30, store=store).acquire()
        assert held.value.name == "x"
        assert held.value.holder == {"request_id": "a"}
        assert held.value.held_until == START + 30
        assert held.value.retry_after == 21

    def test_a_store_that_returns_no_row_is_still_refusing(self, store: FaultyStore) -> None:
        store.faults = [lambda operation: Reply(applied=False)]
        with pytest.raises(LeaseHeldError) as held:
            Lock("x", 30, store=store).acquire()
        assert (held.value.holder, held.value.held_until, held.value.retry_after) == (None,) * 3

    def test_what_takes_long_the_first_time_is_done_before_the_lease_begins(
        self, store: FaultyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def import_boto3(*, timeout: float) -> None:
            clock.now += 7

        monkeypatch.setattr(store, "prepare", import_boto3)
        lease = Lock("x", 30, store=store).acquire()
        assert clock.now == 7
        assert lease.remaining() == 30


class TestLostReplies:
    def test_the_caller_is_the_holder(self, store: FaultyStore) -> None:
        store.faults = ["reply lost"]
        lease = Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire", "Acquire"]
        assert lease.token == token_of(store, "x")
        lease.check()

    def test_also_when_two_are_lost(self, store: FaultyStore) -> None:
        store.faults = ["reply lost", "reply lost"]
        lease = Lock("x", 30, store=store).acquire()
        lease.renew()
        lease.release()
        assert not lease.lost

    def test_the_holder_counts_from_the_try_that_was_answered(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        store.faults = ["reply lost"]
        lease = Lock("x", 30, store=store).acquire()
        row = store.inner.get("x")
        assert row is not None
        assert row.expires_at is not None
        assert clock.time() + lease.remaining() <= row.expires_at

    def test_a_late_acquire_harms_nobody(self, store: FaultyStore, clock: FakeClock) -> None:
        store.faults = ["applied late"]
        lease = Lock("x", 30, store=store).acquire()
        clock.now += 10
        lease.renew()
        before = store.inner.get("x")
        assert [reply.applied for reply in store.apply_late()] == [False]
        assert store.inner.get("x") == before
        lease.release()
        other = Lock("x", 30, store=store).acquire()
        assert [reply.applied for reply in store.apply_late()] == [False]
        other.check()
        other.renew()

    def test_a_late_acquire_for_nobody_ends_by_itself(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        store.faults = ["applied late", "unreachable", "unreachable"]
        with pytest.raises(LeaseStoreError):
            Lock("x", 30, store=store).acquire()
        store.apply_late()
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire()
        clock.now += 31
        Lock("x", 30, store=store).acquire()


class TestAStoreThatFails:
    def test_is_tried_three_times_and_then_told(self, store: FaultyStore) -> None:
        store.faults = ["unreachable"] * 9
        with pytest.raises(LeaseStoreError):
            Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire"] * 3

    def test_keeps_the_handler_from_running(self, store: FaultyStore) -> None:
        store.faults = ["unreachable"] * 9

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseStoreError):
            handler({}, Context())

    def test_is_not_asked_again_when_somebody_has_to_change_something(
        self, store: FaultyStore
    ) -> None:
        def denied(operation: Operation) -> Reply:
            raise LeaseConfigError("denied")

        store.faults = [denied]
        with pytest.raises(LeaseConfigError):
            Lock("x", 30, store=store).acquire(wait=60)
        assert store.sent == ["Acquire"]

    def test_a_reply_after_the_leases_end_grants_nothing(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        def slow(operation: Operation) -> Reply:
            reply = store.inner.execute(operation, timeout=1)
            clock.now += 31
            return reply

        store.faults = [slow]
        with pytest.raises(LeaseStoreError) as error:
            Lock("x", 30, store=store).acquire()
        assert isinstance(error.value.__cause__, LeaseLostError)
        row = store.inner.get("x")
        assert row is not None
        assert row.owner is None, "what came too late is given back"


class TestWaiting:
    def test_ends_with_the_holders_release(self, store: FaultyStore, clock: FakeClock) -> None:
        holder = Lock("x", 30, store=store).acquire()

        def release_after_five_seconds() -> None:
            if clock.now >= 5 and not holder._released:
                holder.release()

        store.before_look = release_after_five_seconds
        lease = Lock("x", 30, store=store).acquire(wait=20)
        assert 5 <= clock.now <= 6.1
        assert lease.token == holder.token + 1

    def test_tries_twice_and_looks_in_between(self, store: FaultyStore) -> None:
        Lock("x", 5, store=store).acquire()
        Lock("x", 30, store=store).acquire(wait=20)
        assert store.sent == ["Acquire", "Acquire", "TakeTicket", "Acquire"]
        assert 0 < store.looks <= 20

    def test_takes_over_a_dead_holder_when_its_time_is_over(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        Lock("x", 5, store=store).acquire()
        Lock("x", 30, store=store).acquire(wait=20)
        assert clock.now == pytest.approx(6, abs=0.002)

    def test_ends_in_time(self, store: FaultyStore, clock: FakeClock) -> None:
        Lock("x", 30, store=store).acquire()
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire(wait=4)
        assert clock.now == pytest.approx(4)

    def test_never_goes_into_the_deadline(self, store: FaultyStore, clock: FakeClock) -> None:
        Lock("x", 30, store=store).acquire()

        @singleton("x", wait=60, store=store)
        def handler(event: object, context: object) -> None: ...

        with pytest.raises(LeaseHeldError):
            handler({}, Context(remaining=5000))
        assert clock.now == pytest.approx(4)

    def test_survives_a_look_that_fails(self, store: FaultyStore, clock: FakeClock) -> None:
        holder = Lock("x", 30, store=store).acquire()

        def fail_at_first() -> None:
            if clock.now < 2:
                raise LeaseStoreError("throttled")
            holder.release()

        store.before_look = fail_at_first
        Lock("x", 30, store=store).acquire(wait=20)
        assert 2 <= clock.now < 5

    def test_waits_out_a_minimum_hold(self, store: FaultyStore, clock: FakeClock) -> None:
        @singleton("x", 30, min_hold=10, store=store)
        def handler(event: object, context: object) -> None: ...

        handler({}, None)
        with pytest.raises(LeaseHeldError) as held:
            Lock("x", 30, store=store).acquire()
        assert held.value.retry_after == 10
        Lock("x", 30, store=store).acquire(wait=20)
        assert clock.now == pytest.approx(10, abs=0.002)

    def test_needs_no_trust_in_the_holders_clock(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        # The holder's clock was an hour ahead when it died.
        store.execute(acquire("x", "dead", now=3600, duration=30), timeout=1)
        lease = Lock("x", 30, store=store).acquire(wait=40)
        assert clock.now == pytest.approx(31, abs=0.002)
        assert lease.owner != "dead"

    def test_a_holder_that_renews_is_alive_however_wrong_its_clock(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        store.execute(acquire("x", "alive", now=3600), timeout=1)

        def renew() -> None:
            until = round((START + clock.now + 3630) * 1000)
            store.inner.execute(Renew(name="x", owner="alive", expires_at=until), timeout=1)

        store.before_look = renew
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire(wait=100)


def test_pauses_differ_also_between_clones_of_one_snapshot() -> None:
    def delays() -> list[float]:
        random.seed(1)
        backoff = Backoff(1, 8)
        return [backoff.delay() for _ in range(6)]

    first, second = delays(), delays()
    assert first != second
    for delay, longest in zip(first, (1, 2, 4, 8, 8, 8), strict=True):
        assert longest / 2 <= delay <= longest


class TestClocksAndDeadlines:
    @pytest.mark.parametrize("offset", [-2.5, 3.5, 240])
    def test_a_wrong_clock_is_refused_and_the_lease_given_back(
        self, store: FaultyStore, offset: float
    ) -> None:
        store.faults = [
            lambda operation: Reply(
                applied=True,
                record=store.inner.execute(operation, timeout=1).record,
                store_time=float(int(START - offset)),
            )
        ]
        with pytest.raises(LeaseConfigError, match="synchronise"):
            Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire", "Release"]

    @pytest.mark.parametrize("offset", [-1, 0, 1, 1.9])
    def test_a_clock_that_may_be_right_is_not(self, store: FaultyStore, offset: float) -> None:
        store.faults = [
            lambda operation: Reply(
                applied=True,
                record=store.inner.execute(operation, timeout=1).record,
                store_time=float(int(START - offset)),
            )
        ]
        Lock("x", 30, store=store).acquire()

    @pytest.mark.parametrize("remaining", [0, -1, -5000, 0.0, 99])
    def test_no_time_left_costs_no_request(self, store: FaultyStore, remaining: float) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseDeadlineError):
            handler({}, Context(remaining))
        assert store.sent == []

    def test_a_lease_that_comes_too_late_to_start_is_given_back(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        @singleton("x", store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        def slow(operation: Operation) -> Reply:
            reply = store.inner.execute(operation, timeout=1)
            clock.now += 4.95
            return reply

        store.faults = [slow]
        with pytest.raises(LeaseDeadlineError):
            handler({}, Context(5000))
        assert store.sent == ["Acquire", "Release"]
