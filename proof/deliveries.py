"""Jobs that have to happen, in the simulation's bad world: slots once, versions in order.

Events are delivered one to three times each, in any order, and come back when their run has failed,
was refused, or died.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lambda_singleton import LeaseError, LeaseHeldError
from lambda_singleton._holding.acquire import acquire
from lambda_singleton._holding.aim import Aim
from lambda_singleton._holding.checkpoint import checkpoint
from lambda_singleton._holding.lease import Lease
from lambda_singleton._holding.release import release_now
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.steps import run
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Release
from lambda_singleton._protocol.progress import Advance, Checkpoint
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term

from .simulation import SKEW, Client, Weather, World, jitter_from, look

#: In how many seconds at most an event comes back that nobody has settled.
COMES_BACK = 30.0


class Delivery(NamedTuple):
    """One event: the lease that it asks for, and the order of its run."""

    lease: str
    order: int
    #: What its run does for others as well.
    work: str | None = None


class Deliveries(World):
    """A world with events that have to be settled."""

    def __init__(self, dice: random.Random, weather: Weather) -> None:
        super().__init__(dice, weather, (), tells_time=False)
        self.inbox: list[Delivery] = []
        self.failures = 0

    def deliver(self, delivery: Delivery, within: float) -> None:
        """Have it arrive at some moment from now on."""
        moment = self.now + self.dice.uniform(0, within)
        self.at(moment, lambda: self.inbox.append(delivery))

    def transact(self, operation: Operation, effects: Sequence[Mapping[str, Any]]) -> Reply:
        """Do at the store what a transaction asks for."""
        reply = self.table.transact(operation, effects, timeout=0)
        if reply.applied:
            self._note_step(operation)
            for effect in effects:
                self.note(kind="effected", run="", lease=operation.name, order=effect["step"])
        return reply

    def _note_step(self, operation: Operation) -> None:
        if isinstance(operation, Advance | Checkpoint):
            step = int(operation.progress.text)
            self.note(kind="advanced", run="", lease=operation.name, order=step)

    def apply(self, operation: Operation) -> Reply:
        """Do at the store what a request asks for, and note what it records."""
        reply = super().apply(operation)
        done = operation.done if isinstance(operation, Release) else None
        if reply.applied and isinstance(done, int):
            self.note(kind="recorded", run="", lease=operation.name, order=done)
        if reply.applied:
            self._note_step(operation)
        return reply


class Worker(Client):
    """A function that takes one event after the other."""

    world: Deliveries
    #: For how long it waits, in seconds: one of these.
    patience: tuple[float, ...] = (0, 5)

    def _work(self) -> None:
        while True:
            if not self.world.inbox:
                self.sleep(0.5)
                continue
            delivery = self.world.inbox.pop(0)
            settled = False
            try:
                settled = self._settle(delivery)
            finally:
                # Whatever cuts it off: an event that nobody has settled comes back.
                if not settled:
                    self._let_come_back(delivery)

    def _let_come_back(self, delivery: Delivery) -> None:
        self.world.deliver(delivery, COMES_BACK)

    def _settle(self, delivery: Delivery) -> bool:
        world, dice = self.world, self.world.dice
        self.run = f"{self.name}.{next(self._numbers)}"
        if world.chance(world.weather.crash):
            self._plan_death(dice.uniform(0, 3 * self.duration))
        self._tell("attempted", delivery, duration=self.duration)
        aim, term = self._aim(delivery), Term(self.duration)
        tenure = Tenure(self, delivery.lease, term, {"request_id": self.run}, aim)
        try:
            run(acquire(tenure, wait=dice.choice(self.patience)), self)
        except LeaseHeldError as error:
            return self._end(delivery, settled=self._is_over(delivery, error))
        except LeaseError:
            return self._end(delivery, settled=False)
        has_worked = self._do(delivery, tenure)
        with contextlib.suppress(LeaseError):
            release_now(tenure, "succeeded" if has_worked else "failed")
        return self._end(delivery, settled=has_worked and not Lease(tenure).lost)

    def _aim(self, delivery: Delivery) -> Aim:
        return Aim(delivery.order)

    def _is_over(self, delivery: Delivery, error: LeaseHeldError) -> bool:
        is_over = error.reason in ("done", "superseded")
        if is_over:
            self._tell("settled", delivery, order=delivery.order, outcome=error.reason)
        return is_over

    def _do(self, delivery: Delivery, tenure: Tenure) -> bool:
        world, renewal, lease = self.world, Renewal(tenure), Lease(tenure)
        ends_at = world.now + world.dice.uniform(0, 1.5 * self.duration)
        until = world.now + lease.remaining()
        self._tell("started", delivery, token=lease.token, until=until, order=delivery.order)
        while world.now < ends_at:
            delay = look(tenure, renewal)
            if lease.lost:
                self._tell("told", delivery)
                break
            until = world.now + lease.remaining()
            self._tell("held", delivery, until=until)
            self._tell(
                "wrote",
                delivery,
                token=lease.token,
                since=world.now,
                order=delivery.order,
                resource=delivery.lease,
            )
            self.sleep(max(0.001, min(ends_at - world.now, delay, 1.0)))
        self._tell("stopped", delivery)
        has_failed = world.chance(0.15)
        world.failures += has_failed
        has_succeeded = not has_failed and not lease.lost
        if has_succeeded:
            self._tell("succeeded", delivery, order=delivery.order)
        return has_succeeded

    def _end(self, delivery: Delivery, *, settled: bool) -> bool:
        self._tell("ended", delivery)
        self.run = ""
        return settled

    def _tell(self, kind: str, delivery: Delivery, **facts: object) -> None:
        self.world.note(kind=kind, run=self.run, lease=delivery.lease, **facts)


class Reader(Worker):
    """A function that does a job of many steps, each with an effect or without."""

    #: Of the job.
    steps = 500
    has_effects = True

    def transact(
        self, operation: Operation, effects: Sequence[Mapping[str, Any]], *, timeout: float
    ) -> Reply:
        """Apply both, or neither."""
        return self._ask(lambda: self.world.transact(operation, effects), timeout)

    def _do(self, delivery: Delivery, tenure: Tenure) -> bool:
        world, renewal, lease = self.world, Renewal(tenure), Lease(tenure)
        until = world.now + lease.remaining()
        self._tell("started", delivery, token=lease.token, until=until, order=delivery.order)
        has_succeeded = False
        with contextlib.suppress(LeaseError):
            for step in range((lease.progress or 0) + 1, self.steps + 1):
                look(tenure, renewal)
                self.sleep(world.dice.uniform(0.01, 0.1))
                lease.check()
                effects = [{"step": step}] if self.has_effects else []
                run(checkpoint(tenure, step, effects, 0.0), self)
                if world.chance(0.01):
                    break
            else:
                has_succeeded = True
        if lease.lost:
            self._tell("told", delivery)
        self._tell("stopped", delivery)
        if has_succeeded:
            self._tell("succeeded", delivery, order=delivery.order)
        return has_succeeded


class Scribe(Reader):
    """One without transactions."""

    has_effects = False


def deliver(
    seed: int,
    deliveries: Sequence[Delivery],
    *,
    seconds: float,
    within: float,
    worker: type[Worker] = Worker,
) -> Deliveries:
    """Let three to six workers settle these events, each delivered one to three times."""
    dice = random.Random(seed)  # noqa: S311
    world = Deliveries(dice, Weather())
    with jitter_from(dice):
        for number in range(dice.randint(3, 6)):
            worker(
                world,
                "ABCDEF"[number],
                offset=dice.uniform(-SKEW / 2, SKEW / 2),
                duration=dice.choice([2.0, 3.0, 10.0]),
            )
        for delivery in deliveries:
            for _ in range(dice.randint(1, 3)):
                world.deliver(delivery, within)
        world.run(seconds)
    return world


def slots(number: int) -> list[Delivery]:
    """Return events of so many slots, each with a row of its own."""
    return [Delivery(f"x#{slot}", 1) for slot in range(number)]


def versions(number: int) -> list[Delivery]:
    """Return events of so many versions of one thing."""
    return [Delivery("x", version) for version in range(1, number + 1)]


def job(number: int) -> list[Delivery]:
    """Return so many more deliveries of one job."""
    return [Delivery("x", 1)] * number
