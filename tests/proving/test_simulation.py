"""The real protocol code in a bad world: whatever the dice say, nothing forbidden happens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf

import hypothesis
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lambda_singleton import LeaseRecord
from lambda_singleton._clock import Instant, milliseconds
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._protocol.operations import Acquire, Release, Renew
from lambda_singleton._protocol.term import Term
from lambda_singleton._protocol.waiting import Waiting
from proof.simulation import NIGHT, SKEW, Incident, Weather, World, simulate

SEEDS = 2200
CALM = Weather(lost=0, reply_lost=0, late=0, doubled=0, throttled=0, slow=0, freeze=0, crash=0.1)


def worlds(seeds: int = SEEDS, **rules: object) -> Iterator[World]:
    for seed in range(seeds):
        yield simulate(seed, **rules)  # type: ignore[arg-type]


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


def renew_may_lower(self: Renew, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


def renew_without_owner(self: Renew, record: LeaseRecord | None) -> bool:
    return record is not None


def acquire_may_lower(self: Acquire, record: LeaseRecord | None) -> bool:
    return allows(self, record) or (record is not None and record.owner == self.owner)


def acquire_without_skew(self: Acquire, record: LeaseRecord | None) -> bool:
    over = record is not None and milliseconds(record.expires_at or 0) <= self.now
    return allows(self, record) or over


def acquire_waits_for_a_release(self: Acquire, record: LeaseRecord | None) -> bool:
    return allows(self, record) and (record is None or record.owner in (None, self.owner))


def release_without_owner(self: Release, record: LeaseRecord | None) -> bool:
    return record is not None


def token_from_the_clock(self: Acquire, record: LeaseRecord | None) -> LeaseRecord:
    return apply(self, None)


def token_not_from_the_clock(self: Acquire, record: LeaseRecord | None) -> LeaseRecord:
    return apply(self, record or LeaseRecord(self.name, 0))


def no_grace_for_the_kill(self: Term) -> float:
    return inf if self.deadline is None else self.deadline


def a_lease_beyond_the_deadline(self: Term) -> float:
    return inf if self.deadline is None else self.deadline + 60


def count_from_the_reply(self: Tenure, sent: object, expires_at: float) -> None:
    now = Instant.now(self.store.clock)
    self._ends = Instant(now.wall + 3600, now.monotonic + (self.term.duration or 0))


def half_an_observation(self: Waiting) -> float:
    duration = 0.0 if self.record is None else self.record.duration or 0.0
    return float(silent_in.__get__(self)) - duration / 2 - self._clock_skew


def ask_without_looking_at_the_clock(self: Renewal) -> float:
    return 1.0


allows, apply = Acquire.allows, Acquire.apply
silent_in: property = Waiting._silent_in  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("owner", "name", "broken", "shown"),
    [
        (Renew, "allows", renew_may_lower, "two handlers"),
        (Renew, "allows", renew_without_owner, ""),
        (Acquire, "allows", acquire_may_lower, "two handlers"),
        (Acquire, "allows", acquire_without_skew, "two handlers"),
        (Acquire, "allows", acquire_waits_for_a_release, "still blocked"),
        (Release, "allows", release_without_owner, "two handlers"),
        (Acquire, "apply", token_from_the_clock, "the token of x fell"),
        (Acquire, "apply", token_not_from_the_clock, "the token of x fell"),
        (Term, "_latest", property(no_grace_for_the_kill), ""),
        (Term, "_latest", property(a_lease_beyond_the_deadline), "still blocked"),
        (Tenure, "extend", count_from_the_reply, "two handlers"),
        (Waiting, "_silent_in", property(half_an_observation), "two handlers"),
        (Renewal, "stop_in", property(ask_without_looking_at_the_clock), "was not told"),
    ],
    ids=lambda value: getattr(getattr(value, "fget", value), "__name__", ""),
)
def test_each_rule_is_needed(
    owner: type,
    name: str,
    broken: Callable[..., object],
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert violation(shown, tells_time=False) is not None


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


@pytest.mark.parametrize(
    ("owner", "broken"), [(Acquire, acquire_without_skew), (Release, release_without_owner)]
)
def test_a_broken_rule_is_told_as_a_short_story(
    owner: type, broken: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "allows", broken)
    seed, shortest = hypothesis.find(
        stories,
        lambda story: bool(told(story)),
        settings=settings(some, max_examples=3000, phases=[Phase.generate, Phase.shrink]),
        random=random.Random(0),
    )
    assert told((seed, shortest)) != []
    assert len(shortest) <= 2
