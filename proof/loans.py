"""Executions that lend one lease to their tasks, in the simulation's bad world.

A state machine takes the lease, has attempts of its tasks borrow it, works itself in between, and
returns it. Its requests get lost, come late and twice, as all do. An attempt that it waits for no
longer works on as a zombie, or begins only then. Strangers want the same lease, and watch it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lambda_singleton import (
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseRecord,
    LeaseStoreError,
)
from lambda_singleton._holding.acquire import acquire
from lambda_singleton._holding.borrower import Borrower
from lambda_singleton._holding.lease import Lease
from lambda_singleton._holding.steps import run
from lambda_singleton._protocol.borrowing import Borrow
from lambda_singleton._protocol.execution import Keep, Return
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Acquire
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term

from .history import Span
from .simulation import NAME, SKEW, START, Client, Crash, Weather, World, jitter_from

#: For how long an execution waits for its zombies before it gives up (seconds).
PATIENCE = 60.0


@dataclass
class Job:
    """One attempt of a task: for which execution, and how it ended."""

    execution: str
    duration: float
    park: float
    #: For how long others may be kept out after its last request, in seconds.
    blocks: float
    result: str = ""
    #: Up to when its execution relies on the lease, by its last confirmed request.
    until: float = 0.0
    #: How often it is asked for again while another attempt is at work.
    asks: int = 0


class Belief(NamedTuple):
    """That nobody else has the lease, and during which time an execution relied on it."""

    execution: str
    span: Span
    #: When it asked for that.
    since: float = 0.0


@dataclass
class Stay:
    """What an execution believes, as it goes on: it ends with its return, or with bad news."""

    start: float
    end: float


class Loans(World):
    """A world with executions; it sees at the table who has lost what."""

    def __init__(self, dice: random.Random, weather: Weather) -> None:
        super().__init__(dice, weather, (), tells_time=False)
        self.jobs: list[Job] = []
        self.beliefs: list[Belief] = []
        self.native: list[Belief] = []
        self.wrong: list[str] = []
        self.outcomes: list[str] = []
        #: Of executions that have taken the lease: those that others have taken it from since.
        self.open: set[str] = set()
        self.lost: set[str] = set()

    def apply(self, operation: Operation) -> Reply:
        """Do at the store what a request asks for, and note who loses the lease by it."""
        reply = super().apply(operation)
        if not reply.applied:
            return reply
        if isinstance(operation, Acquire):
            self.lost |= self.open - {operation.owner}
            self.lost.discard(operation.owner)
            if operation.holder.get("execution") == operation.owner:
                self.open.add(operation.owner)
        elif isinstance(operation, Return):
            self.open.discard(operation.owner)
        elif isinstance(operation, Borrow) and operation.execution not in self.open:
            self.wrong.append("a task has revived an execution that has ended")
        return reply

    def told_of_loss(self, execution: str) -> None:
        """Judge a LeaseLostError."""
        if execution in self.open - self.lost:
            self.wrong.append("an execution was told of a loss that there was not")

    def violations(self) -> Iterator[str]:
        """Yield what must never happen and yet did, in words."""
        history = self.history(SKEW)
        yield from history.violations()
        yield from self.wrong
        machines = {client.name for client in self.clients if isinstance(client, Machine)}
        strangers = {c.name for c in self.clients if type(c) is Client} - machines
        spans = [
            (r.id.partition(".")[0], span)
            for r in history.runs
            if r.ran
            for span in history.trusted(r)
        ]
        for belief in self.beliefs:
            if any(name in strangers and span.overlaps(belief.span) for name, span in spans):
                yield "a stranger has worked while an execution relied on its lease"
        for work in self.native:
            # A task that nobody waits for may begin later: the execution cannot be asked.
            others = [
                span for name, span in spans if name in strangers or span.start < work.since
            ] + [other.span for other in self.native if other.execution != work.execution]
            if any(span.overlaps(work.span) for span in others):
                yield "somebody has worked while an execution did"


class Task(Client):
    """A function that attempts one task after the other."""

    world: Loans

    def _work(self) -> None:
        while True:
            if not self.world.jobs:
                self.sleep(0.2)
                continue
            job = self.world.jobs.pop(0)
            # An attempt may begin long after it was asked for.
            if self.world.chance(0.1):
                self.sleep(self.world.dice.uniform(0, 30))
            try:
                result = self._attempt_task(job)
            except Crash:
                job.result = "killed"
                raise
            if result == "held" and job.asks:
                job.asks -= 1
                again = functools.partial(self.world.jobs.append, job)
                self.world.at(self.world.now + self.world.dice.uniform(0.1, 0.5), again)
            else:
                job.result = result

    def _attempt_task(self, job: Job) -> str:
        world = self.world
        self.run, self.duration = f"{self.name}.{next(self._numbers)}", job.duration
        self._job = job
        if world.chance(2 * world.weather.crash):
            self._plan_death(world.dice.uniform(0, 3 * job.duration))
        self._note("attempted", duration=job.blocks)
        tenure = Borrower(
            self,
            NAME,
            Term(job.duration),
            {"request_id": self.run},
            execution=job.execution,
            park=job.park,
        )
        result = "failed"
        try:
            run(acquire(tenure, wait=0), self)
        except LeaseLostError:
            world.told_of_loss(job.execution)
            result = "lost"
        except LeaseHeldError:
            result = "held"
        except LeaseError:
            pass
        else:
            self._handle(tenure)
            with contextlib.suppress(LeaseError):
                Lease(tenure).release()
                # The execution relies on the park if that was confirmed.
                if not tenure.is_perhaps_released:
                    job.until = max(job.until, world.now + tenure.parked_for)
                self._note("released")
                result = "lost" if Lease(tenure).lost else "succeeded"
        self._note("ended")
        self.run = ""
        return result

    def _end_of(self, lease: Lease) -> float:
        end = super()._end_of(lease)
        if not lease.lost:
            self._job.until = end + self._job.park - self._job.duration
        return end


class Machine(Client):
    """A state machine, one execution after the other. It is a service, and does not freeze."""

    world: Loans

    def sleep(self, seconds: float, /) -> None:
        """Wait, and go on."""
        self.world.at(self.world.now + seconds / self.rate, self._waker())
        self._wait()

    def _work(self) -> None:
        while True:
            self.sleep(self.world.dice.uniform(0, 10))
            self.run = f"{self.name}.{next(self._numbers)}"
            self.lasts = self.world.dice.choice([3.0, 15.0, 60.0])
            self.stays: list[Stay] = []
            outcome = self._execute()
            self.world.outcomes.append(outcome)
            for stay in self.stays:
                span = Span(stay.start, min(stay.end, self.world.now))
                self.world.beliefs.append(Belief(self.run, span))

    def _execute(self) -> str:
        if not self._take():
            return "held"
        for _ in range(self.world.dice.randint(1, 3)):
            outcome = self._task() if self.world.chance(0.7) else self._work_itself()
            if outcome == "lost":
                self._end_beliefs()
                return "lost"
            # An execution that is aborted returns nothing.
            if self.world.chance(0.05):
                self._end_beliefs()
                return "aborted"
        return "succeeded" if self._return() else "not returned"

    def _take(self) -> bool:
        for _ in range(10):
            now = self._ms(self.time())
            lasts = self._ms(self.lasts)
            facts = {"execution": self.run}
            take = Acquire(NAME, self.run, facts, now, now + lasts, lasts, self._ms(SKEW))
            if self._extend(take):
                return True
            self.sleep(self.world.dice.uniform(1, 4))
        return False

    def _task(self) -> str:
        duration = self.world.dice.choice([2.0, 3.0])
        park = 2 * duration + 8
        for _ in range(8):
            job = Job(self.run, duration, park, max(park, self.lasts))
            self.world.jobs.append(job)
            self._ask_twice(job)
            gives_up_at = self.world.now + self.world.dice.choice([4.0, 60.0])
            while not job.result and self.world.now < gives_up_at:
                self.sleep(0.1)
            if job.result in ("succeeded", "killed"):
                self.stays.append(Stay(self.world.now, job.until))
            if job.result in ("succeeded", "lost"):
                return job.result
            # After the end of one that was killed.
            self.sleep(duration + 2 * SKEW if job.result in ("killed", "") else 1.0)
        return "failed"

    def _ask_twice(self, job: Job) -> None:
        """Start the same task again, for which nobody waits, or a branch that does the same."""
        for _ in range(self.world.dice.randint(0, 4)):
            moment = self.world.now + self.world.dice.uniform(0, 12)
            again = dataclasses.replace(job, asks=20)
            self.world.at(moment, functools.partial(self.world.jobs.append, again))

    def _work_itself(self) -> str:
        """Keep the lease, work, and wait longer than it lasts, or not."""
        for _ in range(self.world.dice.randint(1, 4)):
            if self._insist(self._keep) != "applied":
                return "lost"
            began = self.world.now
            self.sleep(self.world.dice.uniform(0, 0.5) * self.lasts)
            end = min(self.world.now, self.stays[-1].end)
            self.world.native.append(Belief(self.run, Span(began, end), self._asked))
        return "succeeded"

    def _keep(self) -> bool | None:
        now = self._ms(self.time())
        lasts = self._ms(self.lasts)
        facts = {"execution": self.run}
        return self._extend(Keep(NAME, self.run, facts, now, now + lasts, self._ms(SKEW)))

    def _return(self) -> bool:
        # It relies on nothing any more from when it sends the first one.
        self._end_beliefs()
        return self._insist(self._give_up) == "applied"

    def _give_up(self) -> bool | None:
        now = self._ms(self.time())
        return self._send(Return(NAME, self.run, now, self._ms(SKEW), {"outcome": "succeeded"}))

    def _insist(self, send: object) -> str:
        """Send until it is applied, nobody answers for too long, or the lease is lost."""
        assert callable(send)
        gives_up_at = self.world.now + PATIENCE
        is_uncertain = False
        while self.world.now < gives_up_at:
            applied = send()
            if applied:
                return "applied"
            if applied is False and not self._still_has():
                if not is_uncertain:
                    self.world.told_of_loss(self.run)
                return "lost"
            is_uncertain = is_uncertain or applied is None
            self.sleep(2)
        record = self.world.table.get(NAME)
        until = None if record is None or record.loan is None else record.loan.until
        is_dead = until is not None and until - START < self.world.now - 10
        if record is not None and self._is_mine(record) and is_dead:
            self.world.wrong.append("an execution never got its lease back")
        return "lost"

    def _still_has(self) -> bool:
        try:
            record = self._ask(lambda: self.world.table.get(NAME), 1.0)
        except LeaseStoreError:
            return True
        return record is not None and self._is_mine(record)

    def _is_mine(self, record: LeaseRecord) -> bool:
        loan = record.loan
        return record.owner == self.run or (
            record.owner is not None
            and loan is not None
            and (loan.execution, loan.token) == (self.run, record.token)
        )

    def _extend(self, operation: Acquire | Keep) -> bool | None:
        self._asked = sent = self.world.now
        applied = self._send(operation)
        if applied:
            end = sent + (operation.expires_at - operation.now) / 1000
            self.stays.append(Stay(self.world.now, end))
        return applied

    def _send(self, operation: Operation) -> bool | None:
        try:
            return self.execute(operation, timeout=1.0).applied
        except LeaseStoreError:
            return None

    def _end_beliefs(self) -> None:
        for stay in self.stays:
            stay.end = min(stay.end, self.world.now)

    @staticmethod
    def _ms(seconds: float) -> int:
        return round(seconds * 1000)


def lend(seed: int, *, seconds: float = 300) -> Loans:
    """Let one or two state machines, their functions and some strangers want one lease."""
    dice = random.Random(seed)  # noqa: S311
    world = Loans(dice, Weather(late=0.15, doubled=0.15, deletion=0))

    def join(kind: type[Client], name: str) -> None:
        offset = dice.uniform(-SKEW / 2, SKEW / 2)
        kind(world, name, offset=offset, duration=dice.choice([2.0, 3.0]))

    with jitter_from(dice):
        for number in range(dice.randint(1, 2)):
            join(Machine, f"M{number}")
        for number in range(dice.randint(2, 4)):
            join(Task, f"T{number}")
        for number in range(dice.randint(0, 2)):
            join(Client, f"S{number}")
        world.run(seconds)
    return world
