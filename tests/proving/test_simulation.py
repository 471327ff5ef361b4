"""The real protocol code in a bad world: whatever the dice say, nothing forbidden happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import hypothesis
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lambda_singleton._holding.tenure import Tenure
from proof.catalogue import RULES, Switch
from proof.deliveries import (
    Deliveries,
    Delivery,
    Reader,
    Scribe,
    deliver,
    job,
    slots,
    versions,
)
from proof.loans import lend
from proof.rebuilds import Caller, Rebuilds, judge, rebuilds
from proof.simulation import NIGHT, SKEW, Incident, Weather, World, jitter_from, simulate
from proof.switches import SWITCHES

SEEDS = 2200
#: As many worlds of loans as the rarest break of a rule needs.
LOANS = 600
#: A thousand slots, and twenty versions of one thing.
JOBS: dict[str, Callable[[int], Deliveries]] = {
    "slots": lambda seed: deliver(seed, slots(1000), seconds=6000, within=2000),
    "with_effects": lambda seed: deliver(seed, job(3), seconds=3000, within=600, worker=Reader),
    "without_effects": lambda seed: deliver(seed, job(3), seconds=3000, within=600, worker=Scribe),
    "versions": lambda seed: deliver(seed, versions(20), seconds=400, within=100),
    "rebuilds": rebuilds,
}
CALM = Weather(lost=0, reply_lost=0, late=0, doubled=0, throttled=0, slow=0, freeze=0, crash=0.1)


def worlds(seeds: int = SEEDS, **rules: object) -> Iterator[World]:
    for seed in range(seeds):
        yield simulate(seed, **rules)  # type: ignore[arg-type]


def jobs(world: str, seeds: int) -> Iterator[str]:
    """Yield what is forbidden in these worlds of jobs that have to happen."""
    for seed in range(seeds):
        yield from JOBS[world](seed).history(SKEW).jobs()


def violation(shown: str = "", *, skew: float = SKEW, **rules: object) -> str | None:
    """Return the first one of this kind that any seed shows."""
    broken = (w.history(skew).violations() for w in worlds(300, skew=skew, **rules))
    return next((text for texts in broken for text in texts if shown in text), None)


def test_nothing_forbidden_happens_in_some_worlds() -> None:
    assert violation(tells_time=False) is None


def test_nothing_forbidden_ever_happens() -> None:
    steps = runs = crashes = deletions = 0
    for seed, world in enumerate(worlds(tells_time=False)):
        assert world.history(SKEW).violations() == [], f"seed {seed}"
        steps += world.steps
        runs += sum(event.kind == "started" for event in world.events)
        crashes += world.crashes
        deletions += world.deletions
    assert steps > 2_000_000
    assert runs > 10 * SEEDS
    assert crashes > 2 * SEEDS
    assert deletions > SEEDS / 10


def test_a_thousand_slots_all_succeed_once() -> None:
    for seed in range(3):
        world = JOBS["slots"](seed)
        assert world.history(SKEW).violations() == [], f"seed {seed}"
        assert world.inbox == []
        succeeded = {event.lease for event in world.events if event.kind == "succeeded"}
        assert len(succeeded) == 1000
        # A run that nobody could be told of is told as not recorded.
        assert sum(record.done == 1 for record in world.table.records()) > 990
        assert world.crashes > 20
        assert world.failures > 100


def test_a_job_of_500_steps_has_500_effects() -> None:
    runs = 0
    for seed in range(20):
        world = JOBS["with_effects"](seed)
        # Here nobody interrupts a run that waits for a reply beyond its lease: the row refuses it.
        assert world.history(SKEW).jobs() == [], f"seed {seed}"
        assert [effect["step"] for effect in world.table.effects] == list(range(1, 501))
        record = world.table.get("x")
        assert record is not None
        assert (record.done, record.progress, world.inbox) == (1, None, []), f"seed {seed}"
        runs += sum(event.kind == "started" for event in world.events)
    assert runs > 20 * 10


def test_a_job_without_transactions_never_goes_back() -> None:
    for seed in range(20):
        world = JOBS["without_effects"](seed)
        assert world.history(SKEW).jobs() == [], f"seed {seed}"
        steps = {event.order for event in world.events if event.kind == "advanced"}
        assert steps == set(range(1, 501)), f"seed {seed}"


def test_versions_never_go_back() -> None:
    told = Counter[str]()
    for seed in range(100):
        world = JOBS["versions"](seed)
        assert world.history(SKEW).violations() == [], f"seed {seed}"
        record = world.table.get("x")
        assert record is not None
        assert (record.done, world.inbox) == (20, []), f"seed {seed}"
        told.update(event.outcome for event in world.events if event.kind == "settled")
    assert told["done"] > 100
    assert told["superseded"] > 100


def test_nobody_is_told_of_a_run_that_was_not() -> None:
    figures = judge(5_000)
    assert figures.violations == []
    assert figures.unsettled == 0
    assert figures.told["shared"] > 2_000
    assert figures.told["attempted"] > 7_500
    assert figures.crashes > 500


class Rebuilder(Caller):
    """One whose run takes its time, and succeeds."""

    patience = (60.0,)

    def _do(self, delivery: Delivery, tenure: Tenure) -> bool:
        self._tell("started", delivery, token=tenure.token, until=self.world.now + 10)
        self.sleep(8)
        self._tell("stopped", delivery)
        self._tell("succeeded", delivery)
        return True


def test_fifty_callers_during_one_run_need_one_more() -> None:
    for seed in range(20):
        dice = random.Random(seed)
        world = Rebuilds(dice, replace(CALM, crash=0))
        with jitter_from(dice):
            for number in range(51):
                Rebuilder(world, f"caller-{number}", offset=dice.uniform(-0.5, 0.5), duration=10)
            world.inbox.append(Delivery("x", 0, "rebuild"))
            for _ in range(50):
                world.deliver(Delivery("x", 0, "rebuild"), within=5)
            world.run(100)
        told = Counter(event.kind for event in world.events)
        assert world.history(SKEW).violations() == []
        assert (told["attempted"], told["started"], told["shared"]) == (51, 2, 49), f"seed {seed}"


def test_executions_and_their_tasks_never_harm_each_other_nor_strangers() -> None:
    outcomes = Counter[str]()
    crashes = 0
    for seed in range(150):
        world = lend(seed)
        assert list(world.violations()) == [], f"seed {seed}"
        outcomes.update(world.outcomes)
        crashes += world.crashes
    assert outcomes["succeeded"] > 100
    assert outcomes["lost"] > 100
    assert crashes > 300


def test_a_seed_tells_the_same_story_again() -> None:
    assert simulate(7).events == simulate(7).events
    assert simulate(7).events != simulate(8).events


def test_in_good_weather_somebody_always_works() -> None:
    for world in worlds(200, weather=CALM):
        assert world.history(SKEW).violations() == []
        spans = sorted(
            (run.span for run in world.history(SKEW).runs if run.ran), key=lambda span: span.start
        )
        idle = [
            b.start - a.end for a, b in pairwise(spans) if not a.end < NIGHT[1] or b.end < NIGHT[0]
        ]
        # The longest lease, the skew, how much the clocks differ, and until somebody asks again.
        assert max(idle) < 10 + 2 * SKEW + 2


class TestClocks:
    def test_that_differ_within_the_skew_never_let_two_in(self) -> None:
        assert violation(skew=SKEW) is None

    def test_that_differ_by_more_let_two_in_if_the_store_tells_no_time(self) -> None:
        assert violation("two handlers", skew=8 * SKEW, tells_time=False) is not None

    def test_then_the_token_still_saves_what_is_guarded(self) -> None:
        fenced = 0
        for world in worlds(300, skew=8 * SKEW, tells_time=False):
            assert not [t for t in world.history(8 * SKEW).violations() if "old token" in t]
            fenced += sum(event.kind == "fenced" for event in world.events)
        assert fenced > 10, "and there was something to save"

    def test_a_client_whose_clock_is_provably_off_does_not_run(self) -> None:
        ran, refused = 0, 0
        for world in worlds(300, skew=8 * SKEW, weather=CALM):
            for client in world.clients:
                started = client.name in {
                    event.run[0] for event in world.events if event.kind == "started"
                }
                if abs(client.offset) > SKEW + 1 + 0.05:
                    assert not started, client.offset
                    refused += 1
                ran += started
        assert ran > 100
        assert refused > 100


@pytest.mark.parametrize(
    "switch",
    [rule.simulation for rule in RULES if rule.simulation],
    ids=lambda switch: switch.name,
)
def test_each_rule_is_needed(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*SWITCHES[switch.name])
    if switch.world == "simulate":
        assert violation(switch.shows, tells_time=False) is not None
    elif switch.world == "loans":
        told = (text for seed in range(LOANS) for text in lend(seed).violations())
        assert any(switch.shows in text for text in told)
    else:
        assert switch.shows in " ".join(jobs(switch.world, 5))


moments = st.integers(0, 100).map(lambda tenths: tenths / 10)
incidents = st.builds(
    Incident,
    start=moments,
    seconds=moments,
    client=st.sampled_from("AB"),
    kind=st.sampled_from(["lost", "reply_lost", "late", "doubled", "throttled", "freeze"]),
)
stories = st.tuples(st.integers(0, 50), st.lists(incidents, max_size=4))


def told(story: tuple[int, list[Incident]]) -> list[str]:
    seed, incidents = story
    world = simulate(seed, incidents=incidents, weather=CALM, seconds=20, tells_time=False)
    return world.history(SKEW).violations()


some = settings(max_examples=500, deadline=None, database=None)


@some
@given(story=stories)
def test_no_story_ends_badly(story: tuple[int, list[Incident]]) -> None:
    assert told(story) == []


@pytest.mark.parametrize("switch", ["acquire_without_skew", "release_without_owner"])
def test_a_broken_rule_is_told_as_a_short_story(
    switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*SWITCHES[switch])
    seed, shortest = hypothesis.find(
        stories,
        lambda story: bool(told(story)),
        settings=settings(some, max_examples=3000, phases=[Phase.generate, Phase.shrink]),
        random=random.Random(0),
    )
    assert told((seed, shortest)) != []
    assert len(shortest) <= 2
