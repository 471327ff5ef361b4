"""Taking a lease: how many requests, how long a wait, and what replies that are lost do."""

from __future__ import annotations

import random
from math import inf

import pytest

from lambda_singleton import (
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseHeldError,
    LeaseLostError,
    LeaseRecord,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton._backoff import Backoff, uniform
from lambda_singleton._clock import provable_offset
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Renew
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term
from lambda_singleton._protocol.waiting import Waiting

from ..fakes import START, Context, FakeClock, FaultyStore, acquire


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

    def test_it_can_be_tried_again_at_once_if_the_refusal_took_long(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        def slow(operation: Operation) -> Reply:
            reply = store.inner.execute(operation, timeout=1)
            clock.now += 60
            return reply

        Lock("x", 30, store=store).acquire()
        store.faults = [slow]
        with pytest.raises(LeaseHeldError) as held:
            Lock("x", 30, store=store).acquire()
        assert held.value.retry_after == 0

    def test_the_row_tells_how_long_the_lease_is(self, store: FaultyStore) -> None:
        Lock("x", 30, store=store).acquire()
        row = store.inner.get("x")
        assert row is not None
        assert (row.duration, row.expires_at) == (30, START + 30)

    def test_a_row_that_tells_nothing_but_an_owner_is_held(self, memory: MemoryStore) -> None:
        memory._records["x"] = LeaseRecord("x", 7, owner="a")
        with pytest.raises(LeaseHeldError, match=r"^lease 'x' is held$") as held:
            Lock("x", 30, store=memory).acquire(wait=2)
        assert (held.value.holder, held.value.held_until, held.value.retry_after) == (None,) * 3

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

    def test_the_caller_is_the_holder_after_two_lost_replies(self, store: FaultyStore) -> None:
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

    def test_its_own_row_is_nobody_elses_if_the_clock_ran_backwards(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        def lost(operation: Operation) -> Reply:
            store.inner.execute(operation, timeout=1)
            clock.offset -= 60
            raise LeaseStoreError("reply lost")

        store.faults = [lost]
        with pytest.raises(LeaseStoreError, match="backwards"):
            Lock("x", 30, store=store).acquire()
        assert store.sent == ["Acquire"] * 3

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

    def test_is_given_more_time_before_each_further_try(
        self, store: FaultyStore, clock: FakeClock, without_jitter: None
    ) -> None:
        store.faults = ["unreachable"] * 2
        Lock("x", 30, store=store).acquire()
        assert clock.sleeps == [0.05, 0.1]

    @pytest.mark.parametrize(("remaining", "tries"), [(7400, 1), (7500, 2), (7600, 2), (10_200, 3)])
    def test_is_tried_again_only_if_there_is_time(
        self, store: FaultyStore, clock: FakeClock, remaining: float, tries: int
    ) -> None:
        def unreachable(operation: Operation) -> Reply:
            clock.now += 2.5
            raise LeaseStoreError("unreachable")

        @singleton("x", store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        store.faults = [unreachable] * 9
        with pytest.raises(LeaseStoreError):
            handler({}, Context(remaining))
        assert store.sent == ["Acquire"] * tries

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
            if clock.now >= 5 and holder.remaining():
                holder.release()

        store.before_look = release_after_five_seconds
        lease = Lock("x", 30, store=store).acquire(wait=20)
        assert 5 <= clock.now <= 6.1
        assert lease.token == holder.token + 1

    def test_tries_twice_and_looks_in_between(self, store: FaultyStore, clock: FakeClock) -> None:
        Lock("x", 5, store=store).acquire()
        Lock("x", 30, store=store).acquire(wait=20)
        assert store.sent == ["Acquire", "Acquire", "TakeTicket", "Acquire"]
        assert 0 < store.looks <= 20
        assert store.looks == len(clock.sleeps) - 1, "no look when the time is over"

    def test_looks_if_no_reply_showed_a_row(self, store: FaultyStore) -> None:
        Lock("x", 5, store=store).acquire()
        store.faults = [lambda operation: Reply(applied=False), "unreachable"]
        Lock("x", 30, store=store).acquire(wait=20)
        assert store.sent == ["Acquire", "Acquire", "TakeTicket", "Acquire"]
        assert store.looks > 0

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

    def test_ends_in_time_also_if_a_look_takes_long(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        def slow() -> None:
            clock.now += 0.7

        Lock("x", 30, store=store).acquire()
        store.before_look = slow
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire(wait=4)
        assert clock.now == pytest.approx(4, abs=0.71)

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
        assert store.sent == ["Acquire", "Acquire", "TakeTicket", "Release", "Acquire"]

    def test_waits_out_a_minimum_hold(self, store: FaultyStore, clock: FakeClock) -> None:
        @singleton("x", 30, min_hold=10, store=store)
        def handler(event: object, context: object) -> None: ...

        handler({}, None)
        with pytest.raises(LeaseHeldError) as held:
            Lock("x", 30, store=store).acquire()
        assert held.value.retry_after == 10
        Lock("x", 30, store=store).acquire(wait=20)
        assert clock.now == pytest.approx(10, abs=0.002)

    def test_waits_out_one_that_is_longer_than_the_lease(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        @singleton("x", 5, min_hold=20, store=store)
        def handler(event: object, context: object) -> None: ...

        handler({}, None)
        Lock("x", 30, store=store).acquire(wait=40)
        assert clock.now == pytest.approx(20, abs=0.002)

    def test_a_row_that_tells_no_duration_is_judged_by_the_wall_clock(
        self, memory: MemoryStore, clock: FakeClock
    ) -> None:
        memory._records["x"] = LeaseRecord("x", 7, owner="a", expires_at=START + 10)
        Lock("x", 30, store=memory).acquire(wait=20)
        assert clock.now == pytest.approx(11, abs=0.002)

    def test_needs_no_trust_in_the_holders_clock(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        # The holder's clock was an hour ahead when it died.
        store.execute(acquire("x", "dead", now=3600, duration=30), timeout=1)
        lease = Lock("x", 30, store=store).acquire(wait=40)
        assert clock.now == pytest.approx(31, abs=0.002)
        assert lease.owner != "dead"

    def test_needs_no_look_at_the_very_moment(self, store: FaultyStore, clock: FakeClock) -> None:
        def slow() -> None:
            clock.now += 0.7

        store.execute(acquire("x", "dead", now=3600, duration=30), timeout=1)
        store.before_look = slow
        Lock("x", 30, store=store).acquire(wait=60)
        assert clock.now == pytest.approx(31, abs=0.71)

    @pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
    def test_watches_the_next_holder_anew(
        self, store: FaultyStore, clock: FakeClock, first: str, second: str
    ) -> None:
        # Both have a clock that is an hour ahead.
        store.execute(acquire("x", first, now=3600, duration=30), timeout=1)

        def change_hands() -> None:
            row = store.inner.get("x")
            if clock.now >= 20 and row is not None and row.owner == first:
                store.force_release("x")
                store.inner.execute(acquire("x", second, now=3600, duration=30), timeout=1)

        store.before_look = change_hands
        with pytest.raises(LeaseHeldError):
            Lock("x", 30, store=store).acquire(wait=45)

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


def test_a_holder_that_was_not_seen_for_a_while_is_watched_anew(clock: FakeClock) -> None:
    waiting = Waiting(clock, patience=60, clock_skew=1)
    row = LeaseRecord("x", 7, owner="a", expires_at=START + 30, duration=30)
    waiting.note(row)
    clock.now += 20
    clock.offset = -3600
    assert waiting.free_in == 11
    waiting.note(None)
    assert waiting.free_in == inf
    waiting.note(row)
    assert waiting.free_in == 31


def test_pauses_differ_also_between_clones_of_one_snapshot() -> None:
    def delays() -> list[float]:
        random.seed(1)
        backoff = Backoff(1, 8)
        return [backoff.delay() for _ in range(6)]

    first, second = delays(), delays()
    assert first != second
    for delay, longest in zip(first, (1, 2, 4, 8, 8, 8), strict=True):
        assert longest / 2 <= delay <= longest


@pytest.mark.parametrize(("byte", "number"), [(0, 2), (128, 3), (255, 4)])
def test_jitter_reaches_from_one_end_to_the_other(
    monkeypatch: pytest.MonkeyPatch, byte: int, number: float
) -> None:
    monkeypatch.setattr("os.urandom", lambda size: bytes([byte]) * size)
    assert uniform(2, 4) == pytest.approx(number, abs=0.01)


class TestClocksAndDeadlines:
    @pytest.mark.parametrize("offset", [-2.5, 2.1, 3.5, 240])
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

    def test_a_lease_that_cannot_be_given_back_does_not_hide_why(self, store: FaultyStore) -> None:
        store.faults = [
            lambda operation: Reply(
                applied=True,
                record=store.inner.execute(operation, timeout=1).record,
                store_time=START + 240,
            ),
            "unreachable",
            "unreachable",
            "unreachable",
        ]
        with pytest.raises(LeaseConfigError, match="synchronise"):
            Lock("x", 30, store=store).acquire()

    @pytest.mark.parametrize(
        ("store_time", "offset"),
        [(998, 1.5), (999, 0.5), (1000, 0), (1001, 0), (1002, 0.5), (1003, 1.5)],
    )
    def test_a_clock_is_off_by_what_is_certain(self, store_time: float, offset: float) -> None:
        assert provable_offset(store_time, sent=1000.5, received=1001.5) == offset

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

    @pytest.mark.parametrize(
        ("term", "timeout"),
        [
            (Term(30), 2.5),
            (Term(6), 1.5),
            (Term(None, START + 60), 2.5),
            (Term(None, START + 1), 1),
            (Term(30, START - 1), 0),
        ],
    )
    def test_a_request_takes_no_longer_than_there_is_time(self, term: Term, timeout: float) -> None:
        assert term.timeout(START) == timeout

    @pytest.mark.parametrize("remaining", [0, -1, -5000, 0.0, 99])
    def test_no_time_left_costs_no_request(
        self, store: FaultyStore, remaining: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "prepare", lambda **_: pytest.fail("nothing to prepare for"))

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with pytest.raises(LeaseDeadlineError):
            handler({}, Context(remaining))
        assert store.sent == []

    def test_a_fifth_of_a_second_is_enough_to_start(self, store: FaultyStore) -> None:
        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> str:
            return "ran"

        assert handler({}, Context(200)) == "ran"

    def test_no_time_left_after_getting_ready_costs_no_request(
        self, store: FaultyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def import_boto3(*, timeout: float) -> None:
            clock.now += 5

        @singleton("x", 30, store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        monkeypatch.setattr(store, "prepare", import_boto3)
        with pytest.raises(LeaseDeadlineError):
            handler({}, Context(5000))
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
