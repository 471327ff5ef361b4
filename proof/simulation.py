"""A small world with its own time, in which the real protocol code runs against a bad network.

Each client is a coroutine of which only one runs at a time: the world hands control on from event
to event, so that a seed always gives the same history.
"""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Any, Literal, TypeVar
from unittest.mock import patch

from greenlet import greenlet

from lambda_singleton import (
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseRecord,
    LeaseStoreError,
    MemoryStore,
    _backoff,
)
from lambda_singleton._events.logger import logger
from lambda_singleton._holding import renewal
from lambda_singleton._holding.acquire import acquire
from lambda_singleton._holding.lease import Lease
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.steps import run
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._protocol import waiting
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term

from .history import Event, History, Promise

T = TypeVar("T")

NAME = "x"
START = 1_800_000_000.0
SKEW = 1.0
KILL_GRACE = 2.0
#: Two clocks run at the same rate but for one part in a thousand.
DRIFT = 0.001
#: No request is on its way for longer than this (seconds).
LATEST = 20.0
#: When nobody begins anything.
NIGHT = (40.0, 75.0)


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Weather:
    """How bad the network and the machines are: probabilities for each request, pause or run."""

    lost: float = 0.08
    reply_lost: float = 0.08
    late: float = 0.05
    doubled: float = 0.05
    throttled: float = 0.05
    slow: float = 0.1
    freeze: float = 0.05
    crash: float = 0.1
    #: That the row is removed in the night, when it has been out of use for long.
    deletion: float = 0.5


@dataclass(frozen=True, order=True)
class Incident:
    """What is sure to happen to one client's requests, or to its process, for some time."""

    start: float
    seconds: float
    client: str
    kind: Literal["lost", "reply_lost", "late", "doubled", "throttled", "freeze"]


class World:
    """True time, what is planned, and what has happened."""

    def __init__(
        self,
        dice: random.Random,
        weather: Weather,
        incidents: Sequence[Incident],
        *,
        tells_time: bool,
    ) -> None:
        self.dice = dice
        self.weather = weather
        self.incidents = incidents
        self.tells_time = tells_time
        self.now = 0.0
        self.steps = 0
        self.crashes = 0
        self.deletions = 0
        self.last_use = 0.0
        self.events: list[Event] = []
        self.clients: list[Client] = []
        self.table = MemoryStore()
        self.guarded = 0
        self.control = greenlet.getcurrent()
        self._planned: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Plan something."""
        heapq.heappush(self._planned, (moment, next(self._order), action))

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.dice.random() < probability

    def strikes(self, kind: str, client: Client) -> bool:
        """Say whether it happens to this client now."""
        return self.chance(getattr(self.weather, kind)) or any(
            incident.start <= self.now < incident.start + incident.seconds
            for incident in self.incidents
            if (incident.client, incident.kind) == (client.name, kind)
        )

    def run(self, until: float) -> None:
        """Let everything happen that is planned until then."""
        while self._planned and self._planned[0][0] <= until:
            self.now, _, action = heapq.heappop(self._planned)
            self.steps += 1
            action()

    def note(self, **facts: Any) -> None:
        """Write an event down."""
        self.events.append(Event(at=self.now, **facts))

    def collect_garbage(self) -> None:
        """Remove the row if no request that is on its way can be older than it."""
        if self.table.get(NAME) and self.last_use + LATEST + SKEW < self.now:
            self.deletions += 1
            del self.table._records[NAME]

    def apply(self, operation: Operation) -> Reply:
        """Do at the store what a request asks for."""
        reply = self.table.execute(operation, timeout=0)
        if reply.applied:
            self.last_use = self.now
        time = float(int(START + self.now)) if self.tells_time else None
        return Reply(reply.applied, reply.record, time)

    def write(self, token: int) -> bool:
        """Do what a guarded resource does."""
        accepted = token >= self.guarded
        self.guarded = max(token, self.guarded)
        return accepted

    def history(self, difference: float) -> History:
        """Return what has happened, to be judged."""
        promise = Promise(clock_skew=SKEW, kill_grace=KILL_GRACE, difference=difference)
        return History(self.events, promise)


@dataclass
class Client:
    """One participant: its clock, its connection, and its jobs."""

    world: World
    name: str
    offset: float
    duration: float
    rate: float = 1.0
    clock_skew: float = SKEW
    kill_grace: float = KILL_GRACE
    starts_within: float = 3.0
    run: str = field(default="", init=False)
    #: When the latest request was sent that got an answer.
    _answered: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.world.clients.append(self)
        self._numbers = count(1)
        self._coroutine = greenlet(self._live, self.world.control)
        self._turn = 0
        self.world.at(self.world.dice.uniform(0, self.starts_within), self._waker())

    # The process.

    def _waker(self) -> Callable[[], None]:
        """Return what ends the wait that comes next, and no other."""
        turn = self._turn

        def wake() -> None:
            if turn == self._turn:
                self._turn += 1
                self._coroutine.switch()

        return wake

    def _wait(self) -> None:
        self.world.control.switch()

    def _plan_death(self, after: float) -> None:
        run = self.run

        def kill() -> None:
            if self.run == run:
                self._turn += 1
                self.world.crashes += 1
                self._coroutine.throw(Crash)

        self.world.at(self.world.now + after, kill)

    # The clock.

    @property
    def clock(self) -> Client:
        return self

    def time(self) -> float:
        return START + self.world.now + self.offset

    def monotonic(self) -> float:
        return 7000.0 + self.world.now * self.rate

    def sleep(self, seconds: float, /) -> None:
        self.world.at(self.world.now + seconds / self.rate, self._waker())
        self._wait()
        if self.world.strikes("freeze", self):
            self._note("frozen")
            nap = self.world.dice.uniform(0, 3 * self.duration)
            self.world.at(self.world.now + nap, self._waker())
            self._wait()
            self._note("thawed")

    # The store, seen over the network.

    def prepare(self, *, timeout: float) -> None: ...

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        return self._ask(lambda: self.world.apply(operation), timeout)

    def get(self, name: str) -> LeaseRecord | None:
        return self._ask(lambda: self.world.table.get(name), 1.0)

    def records(self) -> Iterator[LeaseRecord]:
        raise NotImplementedError

    def force_release(self, name: str) -> LeaseRecord:
        raise NotImplementedError

    def _ask(self, apply: Callable[[], T], timeout: float) -> T:
        world, uniform = self.world, self.world.dice.uniform
        answers: list[tuple[T] | None] = []
        wake, sent = self._waker(), world.now
        there, back = self._trip(timeout), self._trip(timeout)

        def arrive() -> None:
            answer = None if throttled else (apply(),)
            if not world.strikes("reply_lost", self):
                world.at(world.now + back, lambda: receive(answer))

        def receive(answer: tuple[T] | None) -> None:
            answers.append(answer)
            wake()

        throttled = world.strikes("throttled", self)
        if world.strikes("late", self):
            there = uniform(timeout, LATEST)
        if not world.strikes("lost", self):
            world.at(sent + there, arrive)
            if world.strikes("doubled", self) and not throttled:
                world.at(sent + there + uniform(0, self.duration), apply)
        world.at(sent + timeout, wake)
        self._wait()
        answer = answers[0] if answers else None
        if answer is None:
            raise LeaseStoreError("no reply, or throttled")
        self._answered = sent
        return answer[0]

    def _trip(self, timeout: float) -> float:
        slowest = timeout if self.world.chance(self.world.weather.slow) else 0.02
        return self.world.dice.uniform(0.001, slowest)

    # The jobs.

    def _live(self) -> None:
        while True:
            # A process that crashed leaves everything as it is; the next one knows nothing.
            try:
                self._work()
            except Crash:
                self._note("killed")

    def _work(self) -> None:
        dice = self.world.dice
        while True:
            self.run = f"{self.name}.{next(self._numbers)}"
            deadline = None
            if self.world.chance(0.3):
                lasts = dice.uniform(1, 5 * self.duration)
                deadline = self.time() + lasts
                # The platform kills late.
                self._plan_death(lasts + dice.uniform(0, self.kill_grace))
            if self.world.chance(self.world.weather.crash):
                self._plan_death(dice.uniform(0, 3 * self.duration))
            tenure = self._attempt(deadline)
            if tenure is not None:
                self._handle(tenure)
                with contextlib.suppress(LeaseError):
                    Lease(tenure).release()
                    self._note("released")
            self._note("ended")
            self.run = ""
            in_the_night = NIGHT[0] < self.world.now < NIGHT[1]
            self.sleep(dice.uniform(0, 2) + (NIGHT[1] - self.world.now if in_the_night else 0))

    def _attempt(self, deadline: float | None) -> Tenure | None:
        ends = {} if deadline is None else {"deadline": self._true(deadline)}
        self._note("attempted", duration=self.duration, **ends)
        wait = self.world.dice.choice([0, 0, 5, 60])
        term = Term(self.duration, deadline, self.kill_grace)
        tenure = Tenure(self, NAME, term, {"request_id": self.run})
        try:
            run(acquire(tenure, wait=wait), self)
            return tenure
        except LeaseHeldError as error:
            holder = (error.holder or {}).get("request_id")
            self._note("refused", holder=holder, since=self._answered)
        except LeaseError:
            pass
        return None

    def _handle(self, tenure: Tenure) -> None:
        world, renewal, lease = self.world, Renewal(tenure), Lease(tenure)
        ends_at = world.now + world.dice.uniform(0, 3 * self.duration)
        self._note("started", token=lease.token, until=self._end_of(lease))
        while world.now < ends_at:
            delay = look(tenure, renewal)
            if lease.lost:
                self._note("told")
                break
            self._note("held", until=self._end_of(lease))
            if world.chance(0.2):
                self._write(lease)
                continue
            left = ends_at - world.now
            self.sleep(max(0.0, min(left, delay)))
        self._note("stopped")

    def _write(self, lease: Lease) -> None:
        sent = self.world.now
        try:
            accepted = self._ask(lambda: self.world.write(lease.token), 0.2)
        except LeaseStoreError:
            return
        # A handler looks before it goes on, as one does after every call that takes long.
        with contextlib.suppress(LeaseLostError):
            lease.check()
        self._note("wrote" if accepted else "fenced", token=lease.token, since=sent, resource="y")

    def _end_of(self, lease: Lease) -> float:
        return self.world.now + lease.remaining()

    def _true(self, local: float) -> float:
        return local - self.offset - START

    def _note(self, kind: str, **facts: Any) -> None:
        if self.run:
            self.world.note(kind=kind, run=self.run, lease=NAME, **facts)


def look(tenure: Tenure, renewal: Renewal) -> float:
    """Do what the watching thread does, in a world where nothing hangs for ever.

    Return in how many seconds it looks again; inf: never.
    """
    stop_in = renewal.stop_in
    if stop_in <= 0:
        tenure.expire()
    if not tenure.is_held:
        return inf
    due_in = renewal.due_in(stop_in)
    if due_in <= 0:
        renewal.renew()
        return 0.0
    return min(stop_in, due_in)


@contextlib.contextmanager
def jitter_from(dice: random.Random) -> Iterator[None]:
    """The package's own jitter has to come from the same dice."""
    with (
        patch.object(_backoff, "uniform", dice.uniform),
        patch.object(waiting, "uniform", dice.uniform),
        patch.object(renewal, "uniform", dice.uniform),
        patch.object(logger(), "disabled", True),
    ):
        yield


def simulate(
    seed: int,
    *,
    incidents: Sequence[Incident] = (),
    seconds: float = 120,
    skew: float = SKEW,
    weather: Weather | None = None,
    tells_time: bool = True,
) -> World:
    """Let a few clients compete for one lease, with clocks that differ by `skew` at the most."""
    dice = random.Random(seed)
    world = World(dice, weather or Weather(), incidents, tells_time=tells_time)
    with jitter_from(dice):
        for number in range(dice.randint(2, 5)):
            Client(
                world,
                "ABCDE"[number],
                offset=dice.uniform(-skew / 2, skew / 2),
                duration=dice.choice([2.0, 3.0, 10.0]),
                rate=1 + dice.uniform(-DRIFT / 2, DRIFT / 2),
            )
        if world.chance(world.weather.deletion):
            world.at(NIGHT[1], world.collect_garbage)
        world.run(seconds)
    return world
