"""Callers that share a run, as real processes under fire: none is told of a run that was not.

    python -m proof.callers               a thousand events

Functions under AWS's runtime client take events of two kinds of work from one queue, through a
proxy that spoils their requests. They are killed at random. What was not settled comes back at
once, after a second, or after a minute. In the end the history alone is judged.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import boto3

from lambda_singleton import DynamoDBStore
from local_lambda import Engine, EngineError, Function

from .history import Event, History, Promise
from .proxy import Fault, Proxy, Request
from .soak import CLOCK_SKEW, OFFSETS, TOLD_WITHIN

HANDLERS = Path(__file__).parent / "handlers"
DURATION, WAIT = 3.0, 20.0
#: When an event comes back that nobody has settled, in seconds.
COMES_BACK = (0.0, 1.0, 60.0)
#: How many functions there are, and how often one is killed.
FUNCTIONS, KILLS = 10, 0.3
#: How often each fault strikes, of all requests.
FAULTS: Mapping[str, float] = {
    "throttled": 0.02,
    "reset": 0.02,
    "reply lost": 0.03,
    "applied late": 0.02,
    "applied twice": 0.03,
}


class Queue:
    """Events that have to be settled, each at its moment."""

    def __init__(self, unsettled: int) -> None:
        self.unsettled = unsettled
        self._waiting: list[tuple[float, int, Any]] = []
        self._number = count()
        self._lock = threading.Lock()

    def put(self, event: Any, after: float) -> None:
        """Have it delivered then."""
        with self._lock:
            heapq.heappush(self._waiting, (time.monotonic() + after, next(self._number), event))

    def settle(self) -> None:
        """Take one for settled."""
        with self._lock:
            self.unsettled -= 1

    def take(self) -> Any:
        """Return one whose moment has come; None if there is none."""
        with self._lock:
            if self._waiting and self._waiting[0][0] <= time.monotonic():
                return heapq.heappop(self._waiting)[2]
        return None


class Callers:
    """Functions that take events, and what is done to them."""

    def __init__(
        self,
        engine: Engine,
        dice: random.Random,
        events: int,
        comes_back: Sequence[float] = COMES_BACK,
    ) -> None:
        self.dice = dice
        self._comes_back = comes_back
        self.counts: Counter[str] = Counter()
        self.queue = Queue(events)
        self.proxy = Proxy(engine.endpoint, self._fault)
        self._noted: list[Event] = []
        table = f"callers-{uuid.uuid4().hex[:8]}"
        DynamoDBStore(table, client=boto3.client("dynamodb")).create_table()
        self._functions = [
            Function(
                "rebuild.handler",
                name="rebuild",
                variables={
                    **engine.environment,
                    "AWS_ENDPOINT_URL": self.proxy.endpoint,
                    "SINGLETON_TABLE": table,
                    "DURATION": str(DURATION),
                    "WAIT": str(WAIT),
                    "CLOCK_OFFSET": str(OFFSETS[number % len(OFFSETS)]),
                },
                timeout=60,
                task_root=HANDLERS,
            )
            for number in range(FUNCTIONS)
        ]
        for _ in range(events):
            work = dice.choice(["rebuild", "rebuild", "other"])
            self.queue.put(
                {"work": work, "seconds": dice.uniform(0.05, 0.8), "fails": dice.random() < 0.1}, 0
            )

    def run(self) -> History:
        """Let all of them be settled, and return the history."""
        with self.proxy:
            lanes = [
                threading.Thread(target=self._work, args=(function,), daemon=True)
                for function in self._functions
            ]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            for function in self._functions:
                function.__exit__()
        noted = [*self._noted]
        for function in self._functions:
            lines = [line for line in function.logs if line.startswith('{"at"')]
            noted += [Event.from_json(line) for line in lines]
        difference = max(OFFSETS) - min(OFFSETS)
        return History(noted, Promise(CLOCK_SKEW, difference=difference, told_within=TOLD_WITHIN))

    def _work(self, function: Function) -> None:
        while self.queue.unsettled > 0:
            event = self.queue.take()
            if event is None:
                time.sleep(0.05)
            elif self._is_settled(function, event):
                self.queue.settle()
            else:
                # What fails does so once: a poison event would never be settled.
                again = {**event, "fails": False}
                self.queue.put(again, self.dice.choice(self._comes_back))

    def _is_settled(self, function: Function, event: Any) -> bool:
        running = function.start(event)
        self.counts["callers"] += 1
        if self.dice.random() < KILLS:
            moment = time.monotonic() + self.dice.uniform(0, 1)
            while not running.done and time.monotonic() < moment:
                time.sleep(0.01)
            if not running.done and running.environment.request_id:
                running.environment.kill()
                self.counts["killed"] += 1
                run = running.environment.request_id
                self._noted.append(Event(at=time.time(), kind="killed", run=run))
        outcome = running.outcome(timeout=120)
        self.counts[outcome.error_type or outcome.result] += 1
        return outcome.error_type is None

    def _fault(self, request: Request) -> Fault | None:  # noqa: ARG002
        names = [*FAULTS, ""]
        kind = self.dice.choices(names, [*FAULTS.values(), 1 - sum(FAULTS.values())])[0]
        late = self.dice.uniform(0.3, DURATION + 1)
        return Fault(kind, late) if kind else None  # type: ignore[arg-type]


def judged(history: History) -> list[str]:
    """Return what must never happen and yet did, in words."""
    return [*history.overlaps(), *history.token_falls(), *history.misled()]


def main() -> int:
    """Return 0 if nobody was misled."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", type=int, nargs="?", default=1_000)
    parser.add_argument("--seed", type=int, default=None, help="of what is done to whom")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        with Engine() as engine:
            engine.pin()
            callers = Callers(engine, random.Random(options.seed), options.events)  # noqa: S311
            history = callers.run()
    except EngineError as error:
        print(error, file=sys.stderr)
        return 2
    violations, counts = judged(history), callers.counts
    print(
        f"{options.events:,} events, {counts['callers']:,} callers: {counts['coalesced']:,} shared"
        f" a run, {counts['rebuilt']:,} ran and said so; {counts['killed']:,} were killed;"
        f" {sum(callers.proxy.faults.values()):,} of {len(callers.proxy.requests):,} requests were"
        f" spoilt; {time.monotonic() - began:.0f} s"
    )
    print(f"{len(violations)} violations")
    for violation in violations:
        print(f"  {violation}")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
