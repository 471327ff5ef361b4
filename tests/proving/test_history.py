"""The judge finds what it is there for, also when it is hidden among thousands of clean events."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from lambda_singleton import MemoryStore
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.store import Reply
from proof.history import Event, History, Kind, Promise
from proof.simulation import SKEW, Weather, simulate


def event(at: float, kind: Kind, run: str = "a", **facts: object) -> Event:
    return Event(at=at, kind=kind, run=run, lease="x", **facts)  # type: ignore[arg-type]


def a_run(run: str, token: int, start: float, end: float) -> list[Event]:
    return [
        event(start, "attempted", run, duration=5),
        event(start, "started", run, token=token, until=start + 5),
        event(end, "stopped", run),
        event(end, "released", run),
        event(end, "ended", run),
    ]


def violations(*events: Event, **promise: float) -> list[str]:
    return History(events, Promise(**promise)).violations()


def test_a_clean_history_is_clean() -> None:
    first = [*a_run("a", 1, 0, 2), event(1, "wrote", "a", token=1, resource="r")]
    second = [*a_run("b", 2, 2, 3), event(2.5, "wrote", "b", token=2, resource="r")]
    fenced = event(2.7, "fenced", "a", token=1, resource="r")
    assert violations(*first, *second, fenced) == []


def test_an_overlap_is_found() -> None:
    assert violations(*a_run("a", 1, 0, 2), *a_run("b", 2, 1.9, 3)) == [
        "two handlers of x at the same time: tokens 1 and 2"
    ]


def test_a_long_run_overlaps_also_what_is_not_its_neighbour() -> None:
    runs = [*a_run("a", 1, 0, 4.9), *a_run("b", 2, 1, 2), *a_run("c", 3, 3, 4)]
    assert len(violations(*runs)) == 2


@pytest.mark.parametrize(("until", "found"), [(None, 0), (5, 1)])
def test_a_child_that_believes_in_its_parents_lease_is_found(
    until: float | None, found: int
) -> None:
    inherited = event(1, "inherited", "child", until=until)
    assert len(violations(*a_run("a", 1, 0, 2), inherited)) == found


@pytest.mark.parametrize(("ends", "found"), [(["ended"], 0), ([], 1)])
def test_a_child_that_hangs_is_found(ends: list[Kind], found: int) -> None:
    child = [event(1, "attempted", "child", duration=5, place="child")]
    child += [event(2, kind, "child") for kind in ends]
    assert len(violations(*a_run("a", 1, 0, 3), *child)) == found


@pytest.mark.parametrize(("ends", "found"), [([2], 1), ([2, 4], 0)])
def test_what_was_sent_in_the_background_ends_a_run_anew(ends: list[float], found: int) -> None:
    holder = [event(0, "attempted", duration=5), *(event(at, "ended") for at in ends)]
    refused = event(9, "refused", "b", holder="a", since=8.5)
    assert len(violations(*holder, refused)) == found


@pytest.mark.parametrize(("until", "end", "found"), [(9, 7, 0), (9, 8.5, 1), (5, 8.5, 0)])
def test_a_stopped_process_is_not_at_work_and_has_a_moment_to_wake_up_in(
    until: float, end: float, found: int
) -> None:
    paused = [
        event(0, "started", token=1, until=until),
        event(1, "frozen"),
        event(8, "thawed"),
        event(8.1, "told"),
        event(8.1, "stopped"),
    ]
    # Until 9 it is still its own lease; at 5 it was over, and its token protects what it writes.
    overlaps = violations(*paused, *a_run("b", 2, 6, end), told_within=0.2)
    assert sum("two handlers" in text for text in overlaps) == found


def test_a_falling_token_is_found() -> None:
    assert violations(*a_run("a", 7, 0, 1), *a_run("b", 7, 2, 3)) == [
        "the token of x fell from 7 to 7"
    ]


def test_an_accepted_stale_write_is_found() -> None:
    def write(at: float, token: int, since: float) -> Event:
        return event(at, "wrote", str(token), token=token, since=since, resource="r")

    assert violations(write(1, 2, 0.9), write(2, 1, 1.1)) == [
        "r accepted a write with the old token 1"
    ]
    assert violations(write(1, 2, 0.9), write(2, 1, 0.95)) == [], "their order is not known"


def test_a_dead_holder_that_blocks_for_too_long_is_found() -> None:
    killed = [*a_run("a", 1, 0, 9)[:2], event(3, "killed")]

    def refused(at: float) -> Event:
        return event(at, "refused", "b", since=at, holder="a")

    assert violations(*killed, refused(3 + 5 + SKEW)) == []
    assert violations(*killed, refused(3.1 + 5 + SKEW)) == ["x was still blocked by a, who is dead"]
    assert violations(*killed, refused(3.1 + 5 + SKEW), difference=0.2) == []
    assert len(violations(refused(3))) == 1, "a holder that nobody has seen"


def test_an_invocations_end_limits_how_long_it_blocks() -> None:
    killed = [
        event(0, "attempted", duration=60, deadline=4),
        event(0, "started", token=1, until=6),
        event(4, "killed"),
    ]
    for at, found in ((4 + 2 + SKEW, 0), (4.1 + 2 + SKEW, 1)):
        assert len(violations(*killed, event(at, "refused", "b", since=at, holder="a"))) == found


@pytest.mark.parametrize(("told", "found"), [(4.9, 0), (5.1, 0), (5.3, 1), (None, 1)])
def test_a_loss_that_is_not_told_in_time_is_found(told: float | None, found: int) -> None:
    run = [event(0, "started", token=1, until=5), event(6, "stopped")]
    if told is not None:
        run.append(event(told, "told"))
    assert len(violations(*run, told_within=0.2)) == found


def test_a_history_can_be_written_down_and_read_again() -> None:
    events = simulate(3).events
    assert [Event.from_json(line.to_json()) for line in events] == events


# A lie told in the middle of a long and clean history.


def overlap(events: list[Event], at: int) -> None:
    before = max(i for i in range(at) if events[i].kind == "stopped")
    events[at] = replace(events[at], at=events[before].at - 0.001)


def fallen_token(events: list[Event], at: int) -> None:
    events[at] = replace(events[at], token=1)


def stale_write(events: list[Event], at: int) -> None:
    token = events[at].token or 0
    events.append(
        Event(at=1e6, kind="wrote", run="1", lease="x", resource="y", token=token - 1, since=1e6)
    )
    events.append(replace(events[at], kind="wrote", resource="y", at=events[at].at, since=None))


def untold(events: list[Event], at: int) -> None:
    run = [i for i, event in enumerate(events) if event.run == events[at].run]
    for i in run:
        if events[i].until is not None:
            events[i] = replace(events[i], until=events[at].at - 0.001)
        elif events[i].kind == "told":
            events[i] = replace(events[i], kind="held")


def stuck(events: list[Event], at: int) -> None:
    run = events[at].run
    events.append(Event(at=1e6, kind="refused", run="z", lease="x", holder=run, since=1e6))
    events.append(Event(at=1e5, kind="ended", run=run, lease="x"))


@pytest.mark.parametrize("lie", [overlap, fallen_token, stale_write, untold, stuck])
def test_one_lie_in_a_long_history_is_found(lie: Callable[[list[Event], int], None]) -> None:
    dice = random.Random(lie.__name__)
    for seed in range(20):
        world = simulate(seed, weather=Weather(freeze=0))
        assert world.history(SKEW).violations() == []
        stopped = next(i for i, event in enumerate(world.events) if event.kind == "stopped")
        starts = [
            i
            for i, event in enumerate(world.events)
            if event.kind == "started" and i > stopped and event.at < world.events[-1].at - 1
        ]
        lie(world.events, dice.choice(starts))
        assert world.history(SKEW).violations() != [], f"seed {seed}"


class OftenWrong(MemoryStore):
    """Loses one condition in fifty, as emulators that are not made for this do."""

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        if self.dice.random() < 0.02:
            self._records[operation.name] = operation.apply(self._records.get(operation.name))
            return Reply(True, self._records[operation.name])
        return super().execute(operation, timeout=timeout)

    dice = random.Random(1)


def test_a_store_that_loses_conditions_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proof.simulation.MemoryStore", OftenWrong)
    found = [simulate(seed).history(SKEW).violations() for seed in range(20)]
    assert any("two handlers" in text for texts in found for text in texts)
