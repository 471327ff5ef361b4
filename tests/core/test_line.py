"""Those who wait ask when their turn should come, and mostly get the lease in that order."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from lambda_singleton import LeaseHeldError, LeaseRecord, Lock, MemoryStore
from lambda_singleton._clock import utc
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Acquire
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.waiting import FIRST_GUESS, Waiting
from proof.simulation import Client, Weather, World

from ..fakes import START, FakeClock, FaultyStore


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


def record(*, began: float, lasted: float | None, served: int = 0, token: int = 1) -> LeaseRecord:
    last_run = None
    if lasted is not None:
        last_run = {"started": utc(START), "ended": utc(START + lasted)}
    return LeaseRecord(
        "x",
        token,
        owner="a",
        expires_at=START + 999,
        holder={"acquired_at": utc(START + began)},
        last_run=last_run,
        served=served,
    )


def place(clock: FakeClock, seen: LeaseRecord, ticket: int = 1) -> Waiting:
    waiting = Waiting(clock, patience=999, clock_skew=1)
    waiting.note_ticket(seen._replace(tickets=ticket), is_given=True)
    return waiting


def test_who_does_not_wait_takes_no_ticket(store: FaultyStore) -> None:
    Lock("x", 30, store=store).acquire(wait=60)
    with pytest.raises(LeaseHeldError):
        Lock("x", 30, store=store).acquire()
    assert store.sent == ["Acquire", "Acquire"]


def test_a_waiter_takes_one_and_hands_it_in(store: FaultyStore) -> None:
    Lock("x", 3, store=store).acquire()
    Lock("x", 3, store=store).acquire(wait=60)
    Lock("x", 3, store=store).acquire(wait=60)
    assert store.sent.count("TakeTicket") == 2
    record = store.inner.get("x")
    assert record is not None
    assert (record.tickets, record.served) == (2, 2)


def test_without_one_it_waits_all_the_same(store: FaultyStore, clock: FakeClock) -> None:
    Lock("x", 3, store=store).acquire()
    store.faults = [None, "unreachable"]
    Lock("x", 3, store=store).acquire(wait=60)
    assert clock.now == pytest.approx(4, abs=0.002)


def test_none_is_given_once_the_lease_is_free(store: FaultyStore) -> None:
    holder = Lock("x", 3, store=store).acquire()

    def after_the_release(operation: Operation) -> Reply:
        holder.release()
        return store.inner.execute(operation, timeout=1)

    store.faults = [None, after_the_release]
    Lock("x", 3, store=store).acquire(wait=60)
    assert store.sent == ["Acquire", "Acquire", "TakeTicket", "Release", "Acquire"]
    (*_, last) = store.requests
    assert isinstance(last, Acquire)
    assert last.ticket is None


def test_the_first_comes_when_the_run_should_be_over(clock: FakeClock) -> None:
    clock.now = 5
    assert place(clock, record(began=3, lasted=10)).turn_in == pytest.approx(8 + 1, rel=0.03)


def test_the_next_ones_come_a_run_later_each(clock: FakeClock) -> None:
    turns = [
        place(clock, record(began=0, lasted=10, served=4), number).turn_in for number in (5, 6, 7)
    ]
    assert turns == pytest.approx([11, 22, 33], rel=0.03)


def test_a_line_that_is_slower_than_its_last_run_is_waited_for_at_its_own_pace(
    clock: FakeClock,
) -> None:
    waiting = place(clock, record(began=0, lasted=10, token=5), 4)
    clock.now = 60
    waiting.note(record(began=60, lasted=10, token=8, served=1))
    # Three runs in 60 s, and two more before this waiter's turn.
    assert waiting.turn_in == pytest.approx(10 + 1 + 2 * 20, rel=0.03)


def test_those_behind_a_run_that_takes_longer_do_not_hope_for_shorter_ones(
    clock: FakeClock,
) -> None:
    clock.now = 40
    behind = place(clock, record(began=0, lasted=10), 3)
    assert behind.turn_in == pytest.approx(30 + 1 + 2 * 40, rel=0.03)


def test_a_run_that_is_a_little_late_is_looked_at_after_an_eighth_of_it(clock: FakeClock) -> None:
    clock.now = 10.5
    assert place(clock, record(began=0, lasted=10)).turn_in == pytest.approx(1.25 + 1, rel=0.03)


@pytest.mark.parametrize(("ticket", "pause"), [(3, 2), (6, 5), (9, 5)])
def test_those_far_behind_in_a_line_that_moves_look_less_often(
    clock: FakeClock, ticket: int, pause: float
) -> None:
    waiting = place(clock, record(began=0, lasted=10), ticket)
    assert waiting.longest_pause == 1, "nothing has moved yet"
    waiting.note(record(began=1, lasted=10, token=2, served=1))
    assert waiting.longest_pause == pause


def test_a_run_that_takes_longer_is_asked_for_less_and_less_often(clock: FakeClock) -> None:
    waits = []
    for clock.now in (11, 14, 20, 40):
        waits.append(place(clock, record(began=0, lasted=10)).turn_in)
    assert all(before < after for before, after in pairwise(waits))
    assert waits[-1] == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize(
    ("now", "lasted", "sure"), [(15, 10, True), (21, 10, False), (0, None, False)]
)
def test_a_waiter_knows_when_its_estimate_is_not_reliable(
    clock: FakeClock, now: float, lasted: float | None, sure: bool
) -> None:
    clock.now = now
    assert place(clock, record(began=0, lasted=lasted)).estimate_is_reliable is sure


def test_a_row_without_any_facts_is_waited_for_all_the_same(clock: FakeClock) -> None:
    waiting = Waiting(clock, patience=999, clock_skew=1)
    waiting.note(None)
    assert 0 < waiting.turn_in < 2 * FIRST_GUESS
    clock.now = 100
    assert waiting.turn_in > 50
    nonsense = LeaseRecord(
        "x", 1, holder={"acquired_at": "?"}, last_run={"started": "", "ended": "7"}
    )
    waiting.note(nonsense)
    assert 0 < waiting.turn_in < 2 * FIRST_GUESS


class Waiter(Client):
    """Waits for the lease once, and works for 50 ms."""

    def _work(self) -> None:
        self.run = self.name
        lease = Lock("x", 30, store=self).acquire(wait=60)
        self.order.append((lease.token, self.name))
        self.sleep(0.05)
        lease.release()
        self.run = ""
        self.sleep(1e6)

    def get(self, name: str) -> LeaseRecord | None:
        self.looks.append(self.name)
        return super().get(name)

    order: list[tuple[int, str]]
    looks: list[str]


class CountingWorld(World):
    requests = 0

    def apply(self, operation: Operation) -> Reply:
        self.requests += 1
        return super().apply(operation)


CALM = Weather(lost=0, reply_lost=0, late=0, doubled=0, throttled=0, slow=0, freeze=0, crash=0)


@pytest.mark.parametrize(("waiters", "requests", "seconds"), [(8, 45, 1.2), (32, 220, 4.5)])
def test_many_are_served_in_good_time_with_few_requests(
    monkeypatch: pytest.MonkeyPatch, waiters: int, requests: int, seconds: float
) -> None:
    """In the world's own time, where a request takes 22 ms on the average."""
    for seed in range(10):
        # The pauses' jitter as well, so that a seed always gives the same figures.
        monkeypatch.setattr("os.urandom", random.Random(-1 - seed).randbytes)
        world = CountingWorld(random.Random(seed), CALM, [], tells_time=False)
        order: list[tuple[int, str]] = []
        looks: list[str] = []
        for number in range(waiters):
            client = Waiter(world, f"{number:02}", offset=0, duration=30, starts_within=0.01)
            client.order, client.looks = order, looks
        world.run(60)
        assert len(order) == waiters
        assert world.requests <= requests
        assert len(looks) <= 2 * waiters, "who knows its turn does not look first"
        assert world.last_use <= seconds
