"""A small world with its own time, in which the real protocol code runs against a bad network.

One thread for each client, of which only one runs at a time: the world hands control on from event
to event, so that a seed always gives the same history.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar
from unittest.mock import patch

from demo.history import History, Run, Span
from lambda_singleton import (
    LeaseError,
    LeaseRecord,
    LeaseStoreError,
    MemoryStore,
    _backoff,
    _renewal,
)
from lambda_singleton._acquire import acquisition, run
from lambda_singleton._protocol import Operation
from lambda_singleton._renewal import Renewal
from lambda_singleton._store import Reply
from lambda_singleton._term import Term

from .fakes import START

T = TypeVar("T")

NAME = "x"
SKEW = 1.0
KILL_GRACE = 2.0


class Crash(BaseException):
    """The process is gone."""


class World:
    """True time, and who is next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.now = 0.0
        self.history = History()
        self.table = MemoryStore()
        self.crashes = 0
        self.over = False
        self.failure: BaseException | None = None
        self.tasks: list[Task] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._control = threading.Semaphore(0)

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Plan something."""
        heapq.heappush(self._events, (moment, next(self._order), action))

    def run(self, until: float) -> None:
        """Let everything happen that is planned until then."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.over = True
        for task in self.tasks:
            self.hand_over(task)
            task.thread.join()
        if self.failure is not None:
            raise self.failure

    def hand_over(self, task: Task) -> None:
        """Let a task run until it waits, unless it has ended."""
        if task.done:
            return
        task.turn.release()
        self._control.acquire()

    def take_back(self) -> None:
        """Called by a task that waits."""
        self._control.release()


class Task:
    """A thread that runs only when the world says so."""

    def __init__(self, world: World, body: Callable[[], None]) -> None:
        self.turn = threading.Semaphore(0)
        self.done = False
        self.world = world
        self.thread = threading.Thread(target=self._run, args=(body,), daemon=True)
        self.thread.start()
        world.tasks.append(self)

    def _run(self, body: Callable[[], None]) -> None:
        self.turn.acquire()
        try:
            if not self.world.over:
                body()
        except Crash:
            pass
        except BaseException as error:
            self.world.failure = error
        finally:
            self.done = True
            self.world.take_back()

    def wait(self) -> None:
        """Wait until the world hands over again."""
        self.world.take_back()
        self.turn.acquire()
        if self.world.over:
            raise Crash


@dataclass
class Weather:
    """How bad the network and the machines are: probabilities for each request or pause."""

    lost: float = 0.08
    reply_lost: float = 0.08
    late: float = 0.05
    doubled: float = 0.05
    slow: float = 0.1
    freeze: float = 0.05
    crash: float = 0.02


@dataclass
class Client:
    """One participant: its clock, its connection, and its jobs."""

    world: World
    weather: Weather
    offset: float
    duration: float
    clock_skew: float = SKEW
    kill_grace: float = KILL_GRACE
    pauses: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._task = Task(self.world, self._live)
        self.world.at(self.world.random.uniform(0, 3), self._wake)

    # The clock.

    @property
    def clock(self) -> Client:
        return self

    def time(self) -> float:
        return START + self.world.now + self.offset

    def monotonic(self) -> float:
        return 7000.0 + self.world.now

    def sleep(self, seconds: float, /) -> None:
        self.world.at(self.world.now + seconds, self._wake)
        self._task.wait()
        if self._chance(self.weather.crash):
            self.world.crashes += 1
            raise Crash
        if self._chance(self.weather.freeze):
            frozen_at = self.world.now
            self.world.at(frozen_at + self.world.random.uniform(0, 3 * self.duration), self._wake)
            try:
                self._task.wait()
            finally:
                self.pauses.append(Span(frozen_at, self.world.now))

    # The store, seen over the network.

    def prepare(self, *, timeout: float) -> None: ...

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        return self._ask(lambda: self.world.table.execute(operation, timeout=timeout), timeout)

    def get(self, name: str) -> LeaseRecord | None:
        return self._ask(lambda: self.world.table.get(name), 1.0)

    def records(self) -> Iterator[LeaseRecord]:
        raise NotImplementedError

    def force_release(self, name: str) -> LeaseRecord:
        raise NotImplementedError

    def _ask(self, apply: Callable[[], T], timeout: float) -> T:
        replies: list[T] = []
        waiting = True
        sent = self.world.now
        there = self._trip(timeout)
        back = self._trip(timeout)

        def arrive() -> None:
            reply = apply()
            if not self._chance(self.weather.reply_lost):
                self.world.at(self.world.now + back, lambda: receive(reply))

        def receive(reply: T) -> None:
            if waiting:
                replies.append(reply)
                self._wake()

        def give_up() -> None:
            if waiting and not replies:
                self._wake()

        if self._chance(self.weather.late):
            there = self.world.random.uniform(timeout, 4 * self.duration)
        if not self._chance(self.weather.lost):
            self.world.at(sent + there, arrive)
            if self._chance(self.weather.doubled):
                self.world.at(sent + there + self.world.random.uniform(0, self.duration), apply)
        self.world.at(sent + timeout, give_up)
        self._task.wait()
        waiting = False
        if not replies:
            raise LeaseStoreError("no reply")
        return replies[0]

    def _trip(self, timeout: float) -> float:
        slowest = timeout if self._chance(self.weather.slow) else 0.02
        return self.world.random.uniform(0.001, slowest)

    # The jobs.

    def _live(self) -> None:
        while True:
            # A process that crashed leaves everything as it is; the next one knows nothing.
            with contextlib.suppress(Crash):
                self._work()
            if self.world.over:
                return

    def _work(self) -> None:
        while True:
            deadline = None
            if self._chance(0.3):
                deadline = self.time() + self.world.random.uniform(1, 5 * self.duration)
            term = Term(self.duration, deadline, self.kill_grace)
            try:
                steps = acquisition(
                    self, NAME, term, wait=self.world.random.choice([0, 0, 5, 60]), holder={}
                )
                lease = run(steps, self)
            except LeaseError:
                self.sleep(self.world.random.uniform(0, 2))
                continue
            started = self.world.now
            self.pauses = []
            ends_at = started + self.world.random.uniform(0, 3 * self.duration)
            try:
                if deadline is None:
                    self._handle(Renewal(lease), ends_at)
                else:
                    # The platform kills late.
                    late = self.world.random.uniform(0, self.kill_grace)
                    killed_at = deadline - self.time() + self.world.now + late
                    self._handle(Renewal(lease), min(ends_at, killed_at))
                    if ends_at > killed_at:
                        raise Crash
            finally:
                self.world.history.runs.append(
                    Run(NAME, lease.token, Span(started, self.world.now), tuple(self.pauses))
                )
            with contextlib.suppress(LeaseError):
                lease.release()
            self.sleep(self.world.random.uniform(0, 2))

    def _handle(self, renewal: Renewal, ends_at: float) -> None:
        while self.world.now < ends_at:
            delay = renewal.step()
            if renewal._lease.lost:
                return
            left = ends_at - self.world.now
            self.sleep(max(0.0, left if delay is None else min(left, delay)))

    def _wake(self) -> None:
        self.world.hand_over(self._task)

    def _chance(self, probability: float) -> bool:
        return self.world.random.random() < probability


def simulate(
    seed: int, *, seconds: float = 120, skew: float = SKEW, weather: Weather | None = None
) -> World:
    """Let a few clients compete for one lease, with clocks that differ by `skew` at the most."""
    world = World(seed)
    # The package's own jitter has to come from the seed as well.
    with (
        patch.object(_backoff, "random", world.random),
        patch.object(_renewal, "random", world.random),
    ):
        for _ in range(world.random.randint(2, 5)):
            Client(
                world,
                weather or Weather(),
                offset=world.random.uniform(-skew / 2, skew / 2),
                duration=world.random.choice([2.0, 3.0, 10.0]),
            )
        world.run(seconds)
    return world
