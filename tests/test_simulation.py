"""The real protocol code in a bad world: whatever the seed, no two handlers, no falling token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf

import pytest

from lambda_singleton import LeaseRecord
from lambda_singleton._acquire import Observation
from lambda_singleton._clock import milliseconds
from lambda_singleton._lease import Lease
from lambda_singleton._protocol import Acquire, Release, Renew
from lambda_singleton._term import Term

from .simulation import SKEW, Weather, World, simulate

SEEDS = 200


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def violation(skew: float = SKEW) -> str | None:
    """Return the first one that any seed shows."""
    worlds = (simulate(seed, skew=skew) for seed in range(SEEDS))
    return next((text for world in worlds for text in world.history.violations()), None)


def test_nothing_forbidden_ever_happens() -> None:
    worlds = [simulate(seed) for seed in range(SEEDS)]
    broken = {seed: w.history.violations() for seed, w in enumerate(worlds)}
    assert {seed: texts for seed, texts in broken.items() if texts} == {}
    assert sum(len(world.history.runs) for world in worlds) > 3 * SEEDS, "and much happens"
    assert sum(world.crashes for world in worlds) > SEEDS


def test_a_seed_tells_the_same_story_again() -> None:
    def story(world: World) -> list[tuple[int, float, float]]:
        return [(run.token, run.span.start, run.span.end) for run in world.history.runs]

    assert story(simulate(7)) == story(simulate(7))
    assert story(simulate(7)) != story(simulate(8))


def test_in_good_weather_somebody_always_works() -> None:
    calm = Weather(lost=0, reply_lost=0, late=0, doubled=0, slow=0, freeze=0, crash=0.01)
    for seed in range(50):
        world = simulate(seed, weather=calm)
        assert world.history.violations() == []
        spans = sorted((run.span for run in world.history.runs), key=lambda span: span.start)
        idle = [b.start - a.end for a, b in pairwise(spans)]
        # The longest lease, the skew, and the time until somebody asks again.
        assert max(idle) < 10 + 2 * SKEW + 3


def test_clocks_that_differ_by_more_than_promised_are_not_survived() -> None:
    assert violation(skew=8 * SKEW) is not None


def renew_may_lower(self: Renew, record: LeaseRecord | None) -> bool:
    return record is not None and record.owner == self.owner


def acquire_may_lower(self: Acquire, record: LeaseRecord | None) -> bool:
    return allows(self, record) or (record is not None and record.owner == self.owner)


def acquire_without_skew(self: Acquire, record: LeaseRecord | None) -> bool:
    over = record is not None and milliseconds(record.expires_at or 0) <= self.now
    return allows(self, record) or over


def release_without_owner(self: Release, record: LeaseRecord | None) -> bool:
    return record is not None


def token_from_the_clock(self: Acquire, record: LeaseRecord | None) -> LeaseRecord:
    return apply(self, None)


def no_grace_for_the_kill(self: Term) -> float:
    return inf if self.deadline is None else self.deadline


def count_from_the_reply(self: Lease, sent: object, expires_at: float) -> None:
    from lambda_singleton._clock import Instant

    now = Instant.now(self._store.clock)
    self._ends = Instant(now.wall + 3600, now.monotonic + (self._term.duration or 0))


def half_an_observation(self: Observation) -> float:
    duration = 0.0 if self._record is None else self._record.duration or 0.0
    return float(seconds_to_takeover.__get__(self)) - duration / 2 - self._margin


allows, apply = Acquire.allows, Acquire.apply
seconds_to_takeover: property = Observation.seconds_to_takeover  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Renew, "allows", renew_may_lower),
        (Acquire, "allows", acquire_may_lower),
        (Acquire, "allows", acquire_without_skew),
        (Release, "allows", release_without_owner),
        (Acquire, "apply", token_from_the_clock),
        (Term, "_latest", property(no_grace_for_the_kill)),
        (Lease, "_trust", count_from_the_reply),
        (Observation, "seconds_to_takeover", property(half_an_observation)),
    ],
    ids=lambda value: getattr(getattr(value, "fget", value), "__name__", ""),
)
def test_each_rule_is_needed(
    owner: type, name: str, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert violation() is not None
