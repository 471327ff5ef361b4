"""The short form of `make shared-runs`' real callers."""

from __future__ import annotations

import random
from dataclasses import replace

from local_lambda import Engine
from proof.callers import Callers, judged
from proof.history import Event, History


def test_nobody_is_told_of_a_run_that_was_not(engine: Engine) -> None:
    callers = Callers(engine, random.Random(7), 60, comes_back=(0.0, 1.0))
    history = callers.run()
    assert judged(history) == []
    told = {event.run for event in history.events if event.kind == "shared"}
    ran = {event.run for event in history.events if event.kind == "started"}
    assert len(told) > 10
    assert len(ran) > 5
    assert callers.counts["killed"] > 0


def test_the_judge_finds_a_caller_that_was_misled() -> None:
    def note(at: float, kind: str, run: str, **facts: object) -> Event:
        return Event(at=at, kind=kind, run=run, lease="x", work="rebuild", **facts)  # type: ignore[arg-type]

    first = [
        note(0, "attempted", "a"),
        note(1, "started", "a", token=1),
        note(3, "succeeded", "a"),
        note(3, "stopped", "a"),
    ]
    misled = [note(2, "attempted", "b"), note(4, "shared", "b")]
    told = "a caller of x was told of a later run, and there was none"
    assert list(History([*first, *misled]).misled()) == [told]
    # A run that began after it came, and has not succeeded yet.
    second = [note(3.1, "attempted", "c"), note(3.2, "started", "c", token=2)]
    assert list(History([*first, *misled, *second]).misled()) == [told]
    done = [*second, note(3.9, "succeeded", "c")]
    assert list(History([*first, *misled, *done]).misled()) == []
    other = [event if event.run != "c" else replace(event, work="other") for event in done]
    assert list(History([*first, *misled, *other]).misled()) == [told]
