"""Callers that share a run, in the simulation's bad world: none is told of a run that was not.

    python -m proof.rebuilds              a thousand events
    python -m proof.rebuilds 100000       as many as that

Events of two kinds of work come in bursts, each to a caller of its own. One whose caller has
failed, was refused or died comes back at once, after a second, or after a minute.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from functools import partial
from typing import NamedTuple

from lambda_singleton import LeaseHeldError
from lambda_singleton._holding.aim import Aim
from lambda_singleton._holding.refusal import CoalescedError
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Acquire
from lambda_singleton._protocol.store import Reply

from .deliveries import Deliveries, Delivery, Worker
from .simulation import SKEW, Weather, jitter_from

#: When an event comes back that nobody has settled, in seconds.
COMES_BACK = (0.0, 1.0, 60.0)
#: One world's events, and how many callers there may be at a time.
EVENTS, AT_A_TIME = 100, 25
#: How many events come within five seconds.
BURST = 20


class Rebuilds(Deliveries):
    """A world with callers that may share a run."""

    def apply(self, operation: Operation) -> Reply:
        """Do at the store what a request asks for, and note a run that nobody needs."""
        before = self.table.get(operation.name)
        reply = super().apply(operation)
        unless = operation.unless if isinstance(operation, Acquire) else None
        success = None if before is None else before.success
        if reply.applied and unless is not None and success is not None:
            # Not the package's own comparison: a rule may have been taken out of it.
            is_later = success.token > unless.since and success.work == unless.work
            if is_later:
                self.note(kind="repeated", run="", lease=operation.name)
        return reply


class Caller(Worker):
    """A function that waits, and shares a run if it can."""

    patience: tuple[float, ...] = (5.0, 20.0, 60.0)

    def _let_come_back(self, delivery: Delivery) -> None:
        world = self.world
        world.at(world.now + world.dice.choice(COMES_BACK), lambda: world.inbox.append(delivery))

    def _aim(self, delivery: Delivery) -> Aim:
        return Aim(work=delivery.work)

    def _is_over(self, delivery: Delivery, error: LeaseHeldError) -> bool:
        is_shared = isinstance(error, CoalescedError)
        if is_shared:
            self._tell("shared", delivery)
        return is_shared

    def _tell(self, kind: str, delivery: Delivery, **facts: object) -> None:
        super()._tell(kind, delivery, work=delivery.work, **facts)


def rebuilds(seed: int) -> Rebuilds:
    """Let callers settle a hundred events, in one world."""
    dice = random.Random(seed)  # noqa: S311
    world = Rebuilds(dice, Weather())
    with jitter_from(dice):
        for number in range(AT_A_TIME):
            Caller(
                world,
                f"caller-{number}",
                offset=dice.uniform(-SKEW / 2, SKEW / 2),
                duration=dice.choice([2.0, 3.0, 10.0]),
            )
        for burst in range(0, EVENTS, BURST):
            for _ in range(BURST):
                work = dice.choice(["rebuild", "rebuild", "other"])
                moment = 3 * burst + dice.uniform(0, 5)
                world.at(moment, partial(world.inbox.append, Delivery("x", 0, work)))
        world.run(3 * EVENTS + 600)
    return world


class Figures(NamedTuple):
    """What has happened in some worlds."""

    events: int
    told: Counter[str]
    crashes: int
    unsettled: int
    violations: list[str]


def judge(events: int) -> Figures:
    """Let so many events come, in worlds of a hundred each, and judge each world."""
    told = Counter[str]()
    crashes = unsettled = 0
    violations: list[str] = []
    for seed in range(events // EVENTS):
        world = rebuilds(seed)
        told.update(event.kind for event in world.events)
        crashes += world.crashes
        unsettled += len(world.inbox)
        found = world.history(SKEW).violations()
        violations += [f"seed {seed}: {violation}" for violation in found]
    return Figures(events, told, crashes, unsettled, violations)


def main(events: int) -> int:
    """Print what has happened; return 1 if anything is forbidden."""
    began = time.monotonic()
    figures = judge(events)
    told = figures.told
    print(
        f"{figures.events:,} events, {told['attempted']:,} callers: {told['shared']:,} shared a"
        f" run, {told['started']:,} ran, {told['succeeded']:,} of these succeeded;"
        f" {figures.crashes:,} were killed; {figures.unsettled} events are left;"
        f" {time.monotonic() - began:.0f} s"
    )
    print(f"{len(figures.violations)} violations")
    for violation in figures.violations[:20]:
        print(f"  {violation}")
    return int(bool(figures.violations) or figures.unsettled > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
