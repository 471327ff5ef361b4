"""A lease from its holder's side."""

from __future__ import annotations

import pytest

from lambda_singleton import LeaseLostError, LeaseStoreError, Lock, MemoryStore, singleton
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.store import Reply

from ..fakes import START, Context, FakeClock, FaultyStore, acquire


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
def lock(store: FaultyStore) -> Lock:
    return Lock("x", 30, store=store)


def test_what_remains_of_a_lease_counts_down(lock: Lock, clock: FakeClock) -> None:
    lease = lock.acquire()
    assert lease.remaining() == 30
    clock.now += 29.5
    assert lease.remaining() == 0.5
    assert not lease.lost
    lease.check()
    clock.now += 0.5
    assert lease.remaining() == 0
    assert lease.lost


def test_nothing_remains_of_one_that_has_ended(lock: Lock, clock: FakeClock) -> None:
    lease = lock.acquire()
    clock.now += 31
    assert lease.remaining() == 0


def test_a_holder_believes_the_more_pessimistic_clock(lock: Lock, clock: FakeClock) -> None:
    lease = lock.acquire()
    clock.offset = 12
    assert lease.remaining() == 18
    clock.offset = -3600
    assert lease.remaining() == 30
    clock.now += 30
    assert lease.lost


def test_a_holder_counts_from_before_its_request(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    def slow(operation: Operation) -> Reply:
        clock.now += 4
        reply = store.inner.execute(operation, timeout=1)
        clock.now += 4
        return reply

    store.faults = [slow]
    assert lock.acquire().remaining() == 22


def test_a_holder_counts_from_before_its_request_when_the_wall_clock_steps_back(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    def slow(operation: Operation) -> Reply:
        clock.now += 8
        clock.offset -= 8
        return store.inner.execute(operation, timeout=1)

    store.faults = [slow]
    assert lock.acquire().remaining() == 22


def test_a_lost_lease_says_why(lock: Lock, clock: FakeClock) -> None:
    lease = lock.acquire()
    clock.now += 31
    with pytest.raises(LeaseLostError, match=r"'x' .* its end came") as lost:
        lease.check()
    assert (lost.value.name, lost.value.reason) == ("x", "expired")


def test_an_expired_lease_is_not_renewed(lock: Lock, store: FaultyStore, clock: FakeClock) -> None:
    lease = lock.acquire()
    clock.now += 31
    with pytest.raises(LeaseLostError):
        lease.renew()
    assert store.sent == ["Acquire"]


def test_a_renewal_is_one_request_and_extends_from_now(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    clock.now += 20
    lease.renew()
    assert lease.remaining() == 30
    assert store.sent == ["Acquire", "Renew"]


def test_a_renewal_whose_reply_is_lost_keeps_the_lease(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    clock.now += 20
    store.faults = ["reply lost"]
    lease.renew()
    assert lease.remaining() == pytest.approx(30, abs=1)
    assert store.sent == ["Acquire", "Renew", "Renew"]


def test_a_late_renewal_never_shortens_the_lease(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    clock.now += 10
    store.faults = ["applied late"]
    lease.renew()
    before = store.inner.get("x")
    store.apply_late()
    assert store.inner.get("x") == before
    # Nobody may take it while its holder believes in it.
    clock.now += 29.9
    lease.check()
    assert not store.inner.execute(acquire("x", "b", now=clock.now), timeout=1).applied


def test_a_late_renewal_never_harms_the_next_holder(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    store.faults = ["applied late", "applied late", "applied late"]
    with pytest.raises(LeaseStoreError):
        lease.renew()
    clock.now += 31
    other = lock.acquire()
    before = store.inner.get("x")
    assert [reply.applied for reply in store.apply_late()] == [False] * 3
    assert store.inner.get("x") == before
    other.check()


def test_a_renewal_that_fails_leaves_the_lease_until_its_end(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    store.faults = ["unreachable"] * 3
    with pytest.raises(LeaseStoreError):
        lease.renew()
    assert 28 < lease.remaining() < 30
    lease.renew()


def test_a_renewal_waits_longer_before_each_further_try(
    lock: Lock, store: FaultyStore, clock: FakeClock, without_jitter: None
) -> None:
    lease = lock.acquire()
    store.faults = ["unreachable"] * 3
    with pytest.raises(LeaseStoreError):
        lease.renew()
    assert clock.sleeps == [0.05, 0.1]


def test_a_stolen_lease_says_so(lock: Lock, store: FaultyStore, clock: FakeClock) -> None:
    lease = lock.acquire()
    store.force_release("x")
    assert not lease.lost, "nobody has told it yet"
    with pytest.raises(LeaseLostError) as lost:
        lease.renew()
    assert lost.value.reason == "stolen"
    assert lease.lost
    assert lease.remaining() == 0
    clock.now += 31
    with pytest.raises(LeaseLostError) as lost:
        lease.check()
    assert lost.value.reason == "stolen"
    lease.release()
    assert store.sent == ["Acquire", "Renew"], "nothing is left to give back"


def test_a_refused_renewal_without_a_row_is_a_lost_lease(lock: Lock, store: FaultyStore) -> None:
    lease = lock.acquire()
    store.faults = [lambda operation: Reply(applied=False)]
    with pytest.raises(LeaseLostError) as lost:
        lease.renew()
    assert lost.value.reason == "stolen"


def test_a_clock_that_ran_backwards_does_not_extend_the_lease(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    clock.offset = -60
    with pytest.raises(LeaseStoreError, match="backwards"):
        lease.renew()
    assert lease.remaining() < 30
    assert not lease.lost


def test_a_clock_that_goes_wrong_meanwhile_ends_the_lease(
    lock: Lock, store: FaultyStore, clock: FakeClock
) -> None:
    lease = lock.acquire()
    store.faults = [lambda operation: Reply(applied=True, store_time=START + 120)]
    with pytest.raises(LeaseLostError):
        lease.renew()
    assert lease.lost


class TestRelease:
    def test_is_one_request(self, lock: Lock, store: FaultyStore) -> None:
        lock.acquire().release()
        assert store.sent == ["Acquire", "Release"]

    def test_twice_is_harmless(self, lock: Lock, store: FaultyStore) -> None:
        lease = lock.acquire()
        lease.release()
        lock.acquire()
        lease.release()
        assert store.sent == ["Acquire", "Release", "Acquire"]
        assert not lease.lost

    def test_ends_the_lease_for_its_holder(self, lock: Lock, clock: FakeClock) -> None:
        lease = lock.acquire()
        lease.release()
        assert lease.remaining() == 0
        assert not lease.lost
        with pytest.raises(LeaseLostError, match="released"):
            lease.check()
        with pytest.raises(LeaseLostError):
            lease.renew()
        clock.now += 31
        assert not lease.lost

    def test_whose_reply_is_lost_is_a_release(self, lock: Lock, store: FaultyStore) -> None:
        lease = lock.acquire()
        store.faults = ["reply lost"]
        lease.release()
        assert not lease.lost
        assert lock.acquire().token == lease.token + 1

    def test_finds_out_that_the_lease_was_stolen(self, lock: Lock, store: FaultyStore) -> None:
        lease = lock.acquire()
        store.force_release("x")
        lease.release()
        with pytest.raises(LeaseLostError) as lost:
            lease.check()
        assert lost.value.reason == "stolen"

    def test_waits_longer_before_each_further_try(
        self, lock: Lock, store: FaultyStore, clock: FakeClock, without_jitter: None
    ) -> None:
        lease = lock.acquire()
        store.faults = ["unreachable"] * 2
        lease.release()
        assert clock.sleeps == [0.05, 0.1]

    @pytest.mark.parametrize(("left", "tries"), [(4.9, 1), (5, 1), (5.1, 2), (7.6, 3)])
    def test_is_tried_again_only_if_there_is_time(
        self, store: FaultyStore, clock: FakeClock, left: float, tries: int
    ) -> None:
        def unreachable(operation: Operation) -> Reply:
            clock.now += 2.5
            raise LeaseStoreError("unreachable")

        @singleton("x", store=store)
        def handler(event: object, context: object) -> None:
            clock.now += 60 - left
            store.faults = [unreachable] * 9

        handler({}, Context(60_000))
        assert store.sent == ["Acquire"] + ["Release"] * tries

    def test_of_a_lease_that_somebody_else_holds_changes_nothing(
        self, lock: Lock, store: FaultyStore, clock: FakeClock
    ) -> None:
        lease = lock.acquire()
        clock.now += 31
        lock.acquire()
        before = store.inner.get("x")
        lease.release()
        assert store.inner.get("x") == before
        assert lease.lost

    def test_late_never_harms_the_next_holder(
        self, lock: Lock, store: FaultyStore, clock: FakeClock
    ) -> None:
        lease = lock.acquire()
        store.faults = ["applied late", "unreachable", "unreachable"]
        with pytest.raises(LeaseStoreError):
            lease.release()
        clock.now += 31
        other = lock.acquire()
        assert [reply.applied for reply in store.apply_late()] == [False]
        other.renew()

    def test_that_failed_can_be_tried_again(self, lock: Lock, store: FaultyStore) -> None:
        lease = lock.acquire()
        store.faults = ["unreachable"] * 3
        with pytest.raises(LeaseStoreError):
            lease.release()
        lease.release()
        lock.acquire()

    def test_that_was_applied_unheard_is_a_release_also_when_tried_again(
        self, lock: Lock, store: FaultyStore
    ) -> None:
        lease = lock.acquire()
        store.faults = ["reply lost", "unreachable", "unreachable"]
        with pytest.raises(LeaseStoreError):
            lease.release()
        other = lock.acquire()
        lease.release()
        assert not lease.lost
        other.check()

    def test_of_an_expired_lease_that_nobody_took_frees_it(
        self, lock: Lock, store: FaultyStore, clock: FakeClock
    ) -> None:
        lease = lock.acquire()
        clock.now += 30.5
        lease.release()
        assert lease.lost
        row = store.inner.get("x")
        assert row is not None
        assert row.last_run is not None
        assert row.last_run["outcome"] == "lost"
        lock.acquire()

    def test_writes_down_the_run(self, lock: Lock, store: FaultyStore, clock: FakeClock) -> None:
        lease = lock.acquire()
        clock.now += 2
        lease.release()
        row = store.inner.get("x")
        assert row is not None
        assert row.last_run == {
            "started": "2027-01-15T08:00:00.000Z",
            "ended": "2027-01-15T08:00:02.000Z",
            "outcome": "released",
        }


def test_tokens_rise_over_everything(lock: Lock, store: FaultyStore, clock: FakeClock) -> None:
    tokens = []

    def take() -> None:
        tokens.append(lock.acquire().token)

    take()
    clock.now += 31  # taken over from a dead holder
    take()
    store.force_release("x")
    take()
    clock.now += 31
    lease = lock.acquire()
    tokens.append(lease.token)
    lease.release()
    take()
    assert isinstance(store.inner, MemoryStore)
    del store.inner._records["x"]
    clock.now += 1
    take()
    assert tokens == sorted(set(tokens))
