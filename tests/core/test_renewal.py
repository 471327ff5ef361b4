"""When a lease is renewed, and when it is given up. No thread: the clock is turned by hand."""

from __future__ import annotations

from math import inf

import pytest

from lambda_singleton import Lease, LeaseStoreError, Lock, MemoryStore
from lambda_singleton._holding.acquire import take
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._invocation import term_of
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term
from proof.simulation import look

from ..fakes import START, Context, FakeClock, FaultyStore


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


def taken(
    store: FaultyStore,
    duration: float | None,
    deadline: float | None = None,
    *,
    stop_at_deadline: bool = False,
) -> Tenure:
    end = None if deadline is None else START + deadline
    term = Term(duration, end, store.kill_grace, stop_at_deadline=stop_at_deadline)
    tenure = Tenure(store, "x", term)
    take(tenure, wait=0)
    return tenure


def play(tenure: Tenure, clock: FakeClock, until: float, renewal: Renewal | None = None) -> None:
    """Do what the thread does until then."""
    renewal = renewal or Renewal(tenure)
    while clock.now < until:
        delay = look(tenure, renewal)
        if delay == inf:
            return
        clock.now = min(until, clock.now + max(delay, 0.001))


@pytest.mark.parametrize("duration", [0.3, 1, 30])
def test_a_lease_is_renewed_at_a_third_of_it(
    store: FaultyStore, clock: FakeClock, duration: float
) -> None:
    lease = taken(store, duration)
    play(lease, clock, until=duration / 3)
    assert store.sent == ["Acquire", "Renew"]
    assert lease.remaining > 0.9 * duration


def test_an_hour_takes_no_more_renewals_than_needed(store: FaultyStore, clock: FakeClock) -> None:
    lease = taken(store, 30)
    play(lease, clock, until=3600)
    assert 360 <= store.sent.count("Renew") <= 450
    lease.check()


def test_renewals_end_when_the_lease_reaches_the_deadline(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30, deadline=100)
    renewal = Renewal(lease)
    assert renewal.is_needed
    play(lease, clock, renewal=renewal, until=99)
    assert look(lease, renewal) == inf
    row = store.inner.get("x")
    assert row is not None
    assert row.expires_at == START + 102
    assert lease.loss is None


@pytest.mark.parametrize(
    ("duration", "deadline", "needed"),
    [(None, 60, False), (90, 60, False), (62, 60, False), (61, 60, True), (30, 60, True)],
)
def test_a_lease_that_lasts_as_long_as_the_invocation_needs_none(
    store: FaultyStore, duration: float | None, deadline: float, needed: bool
) -> None:
    assert Renewal(taken(store, duration, deadline)).is_needed is needed


@pytest.mark.parametrize(("duration", "given_up_at"), [(30, 29), (5, 4.5)])
def test_a_failed_renewal_is_tried_again_until_the_leases_end(
    store: FaultyStore, clock: FakeClock, duration: float, given_up_at: float
) -> None:
    lease = taken(store, duration)
    store.faults = ["unreachable"] * 999
    play(lease, clock, until=60)
    assert lease.loss is not None
    assert store.sent.count("Renew") >= 5
    assert clock.now == pytest.approx(given_up_at, abs=0.01), "before the end, to clean up"


def test_a_failed_renewal_is_tried_again_soon_and_then_more_rarely(
    store: FaultyStore, clock: FakeClock, without_jitter: None
) -> None:
    sent_at: list[float] = []

    def unreachable(operation: Operation) -> Reply:
        sent_at.append(clock.now)
        raise LeaseStoreError("unreachable")

    def reached(operation: Operation) -> Reply:
        sent_at.append(clock.now)
        return store.inner.execute(operation, timeout=1)

    lease = taken(store, 30)
    store.faults = [*[unreachable] * 5, reached, unreachable, reached]
    play(lease, clock, until=40)
    assert sent_at == pytest.approx([10, 10.5, 11.5, 13.5, 16, 18.5, 28.5, 29])


def test_a_store_that_recovers_saves_the_lease(store: FaultyStore, clock: FakeClock) -> None:
    lease = taken(store, 30)
    store.faults = ["unreachable", "reply lost", "unreachable"]
    play(lease, clock, until=25)
    lease.check()
    assert lease.remaining > 15


def test_a_refusal_that_names_the_holder_itself_is_tried_again(
    store: FaultyStore, clock: FakeClock, without_jitter: None
) -> None:
    def refuses_the_owner(operation: Operation) -> Reply:
        return Reply(applied=False, record=store.inner.get("x"))

    lease = taken(store, 30)
    store.faults = [refuses_the_owner, refuses_the_owner]
    play(lease, clock, until=11)
    assert store.sent == ["Acquire", "Renew", "Renew"]
    assert lease.remaining == pytest.approx(19), "neither was believed"
    play(lease, clock, until=40)
    lease.check()


def test_what_nobody_expects_of_a_store_is_tried_again_after_a_pause(
    store: FaultyStore, clock: FakeClock, without_jitter: None
) -> None:
    def broken(operation: Operation) -> Reply:
        raise ZeroDivisionError

    renewal = Renewal(taken(store, 30))
    store.faults = [broken, broken]
    clock.now = 10
    pauses = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            renewal.renew()
        pauses.append(renewal.due_in(stop_in=30))
    assert pauses == [0.5, 1.0], "as after any other failure"
    renewal.renew()
    assert renewal.due_in(stop_in=30) == 10


def test_no_request_is_sent_that_might_hang_beyond_the_end(
    store: FaultyStore, clock: FakeClock
) -> None:
    sent_at: list[float] = []

    def unreachable(operation: Operation) -> Reply:
        sent_at.append(clock.now)
        raise LeaseStoreError("unreachable")

    lease = taken(store, 30)
    store.faults = [unreachable] * 999
    play(lease, clock, until=60)
    assert max(sent_at) + lease.timeout <= 29


def test_a_frozen_process_sends_nothing_when_it_wakes_up(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30)
    renewal = Renewal(lease)
    play(lease, clock, renewal=renewal, until=5)
    clock.now += 3600
    assert look(lease, renewal) == inf
    assert store.sent == ["Acquire"]
    assert lease.loss is not None


def test_a_process_that_wakes_up_in_the_last_moment_sends_nothing(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30)
    renewal = Renewal(lease)
    clock.now += 29.5
    assert look(lease, renewal) == inf
    assert store.sent == ["Acquire"]
    assert lease.loss is not None


def test_a_process_whose_wall_clock_went_on_sends_nothing(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30)
    renewal = Renewal(lease)
    clock.offset += 3600
    assert look(lease, renewal) == inf
    assert store.sent == ["Acquire"]


def test_a_stolen_lease_is_noticed_with_the_next_renewal(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30)
    store.force_release("x")
    play(lease, clock, until=11)
    assert lease.loss == "stolen"


def test_a_lease_that_was_released_by_hand_is_not_lost(
    store: FaultyStore, clock: FakeClock
) -> None:
    lease = taken(store, 30)
    renewal = Renewal(lease)
    Lease(lease).release()
    assert look(lease, renewal) == inf
    assert lease.loss is None


class TestManagedInstances:
    """They tell the caller that the time is over, and let the handler run on."""

    @pytest.mark.parametrize("duration", [None, 90, 30, 1])
    def test_the_handler_is_stopped_at_the_deadline(
        self, store: FaultyStore, clock: FakeClock, duration: float | None
    ) -> None:
        lease = taken(store, duration, deadline=60, stop_at_deadline=True)
        renewal = Renewal(lease)
        assert renewal.is_needed
        play(lease, clock, renewal=renewal, until=59.9)
        assert lease.loss is None
        play(lease, clock, renewal=renewal, until=70)
        assert lease.loss is not None
        assert clock.now == pytest.approx(60, abs=0.01)

    @pytest.mark.parametrize(
        ("initialization", "stops"),
        [("lambda-managed-instances", True), ("on-demand", False), (None, False)],
    )
    def test_are_known_by_how_they_initialise(
        self,
        store: FaultyStore,
        monkeypatch: pytest.MonkeyPatch,
        initialization: str | None,
        stops: bool,
    ) -> None:
        monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
        if initialization is not None:
            monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", initialization)
        term = term_of(Context(60_000), store, duration=None, min_hold=0)
        assert term.stop_at_deadline is stops
        assert not term_of(None, store, duration=30, min_hold=0).stop_at_deadline

    def test_the_handler_is_stopped_at_a_deadline_before_the_next_renewal(
        self, store: FaultyStore, clock: FakeClock, without_jitter: None
    ) -> None:
        lease = taken(store, 2.8, deadline=0.85, stop_at_deadline=True)
        play(lease, clock, until=2)
        assert lease.loss is not None
        assert clock.now == pytest.approx(0.85, abs=0.01)

    def test_a_lease_that_cannot_be_renewed_ends_as_anywhere(
        self, store: FaultyStore, clock: FakeClock
    ) -> None:
        lease = taken(store, 30, deadline=60, stop_at_deadline=True)
        store.faults = ["unreachable"] * 999
        play(lease, clock, until=70)
        assert lease.loss is not None
        assert clock.now == pytest.approx(29, abs=0.01)


def test_manual_leases_are_renewed_by_nobody(store: FaultyStore, clock: FakeClock) -> None:
    lease = Lock("x", 30, store=store).acquire()
    clock.now += 29
    assert lease.remaining() == 1
