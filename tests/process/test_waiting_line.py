"""A line of waiters heals: those who gave up cost those behind them a moment, and no more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from lambda_singleton import LeaseHeldError, Lock, MemoryStore

#: Seconds: the first in line looks at least this often, and a moment for what lies between.
ONE_PAUSE = 1.0
A_MOMENT = 0.1

START = 1_800_000_000.0


class Clock:
    """Moves when somebody sleeps; what is planned happens on the way."""

    def __init__(self) -> None:
        self.now = 0.0
        self._plans: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return START + self.now

    def monotonic(self) -> float:
        return 5000.0 + self.now

    def sleep(self, seconds: float, /) -> None:
        until = self.now + seconds
        while due := [plan for plan in self._plans if plan[0] <= until]:
            plan = min(due)
            self._plans.remove(plan)
            self.now = max(self.now, plan[0])
            plan[1]()
        self.now = until

    def at(self, moment: float, action: Callable[[], None]) -> None:
        self._plans.append((moment, action))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock=clock)


def run_once(store: MemoryStore, clock: Clock, seconds: float) -> None:
    """So that everybody knows how long a run takes."""
    lease = Lock("x", 3600, store=store).acquire()
    clock.sleep(seconds)
    lease.release()


def give_up(store: MemoryStore, count: int) -> None:
    """Leave so many tickets behind."""
    for _ in range(count):
        with suppress(LeaseHeldError):
            Lock("x", 3600, store=store).acquire(wait=0.001)
    record = store.get("x")
    assert record is not None
    assert record.tickets - record.served >= count


def seconds_late(store: MemoryStore, clock: Clock, seconds: float, left_behind: int) -> float:
    """Return how long after a run's end a single waiter has the lease."""
    lease = Lock("x", 3600, store=store).acquire()
    end = clock.now + seconds
    give_up(store, left_behind)
    clock.at(end, lease.release)
    Lock("x", 3600, store=store).acquire(wait=3000)
    return clock.now - end


@pytest.mark.parametrize("left_behind", [0, 1, 3, 10, 50])
@pytest.mark.parametrize("usual", [None, 0.3, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("factor", [0.7, 1.0, 3.0])
def test_a_single_waiter_comes_no_more_than_one_pause_late(
    store: MemoryStore, clock: Clock, left_behind: int, usual: float | None, factor: float
) -> None:
    if usual is not None:
        run_once(store, clock, usual)
    late = seconds_late(store, clock, (usual or 5.0) * factor, left_behind)
    assert late <= ONE_PAUSE + A_MOMENT


@pytest.mark.parametrize("left_behind", [1, 10, 50])
def test_a_single_waiter_is_not_late_in_the_rounds_after_others_gave_up(
    store: MemoryStore, clock: Clock, left_behind: int
) -> None:
    run_once(store, clock, 4)
    first = Lock("x", 3600, store=store).acquire()
    give_up(store, left_behind)
    first.release()
    for _ in range(3):
        late = seconds_late(store, clock, 4, 0)
        assert late <= ONE_PAUSE + A_MOMENT
        record = store.get("x")
        assert record is not None
        # The waiter has it now: it ends its run.
        run_again(store, clock)


def run_again(store: MemoryStore, clock: Clock) -> None:
    clock.sleep(4)
    store.force_release("x")


def test_one_whose_holder_died(store: MemoryStore, clock: Clock) -> None:
    Lock("x", 10, store=store).acquire()
    give_up(store, 10)
    # Whoever died is taken over from at its end, and the skew of clocks.
    Lock("x", 10, store=store).acquire(wait=60)
    assert clock.now <= 10 + store.clock_skew + ONE_PAUSE + A_MOMENT


def test_a_waiter_behind_a_dead_one_does_not_ask_much_more_often(
    store: MemoryStore, clock: Clock
) -> None:
    looks = 0
    get = store.get

    def count(name: str) -> object:
        nonlocal looks
        looks += 1
        return get(name)

    run_once(store, clock, 60)
    lease = Lock("x", 3600, store=store).acquire()
    give_up(store, 10)
    clock.at(clock.now + 60, lease.release)
    store.get = count  # type: ignore[method-assign,assignment]
    Lock("x", 3600, store=store).acquire(wait=3000)
    # Once a second at most, as the first in line.
    assert looks <= 70
