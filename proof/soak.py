"""`make soak`: real processes under fire, their history, and a table of what they went through.

Handlers under AWS's runtime client compete for a few leases on a real engine, through a proxy that
spoils their requests. They hold in the main thread, in a worker thread or in a task, which is
cancelled, and fork children. They are killed and stopped at random, run into their deadlines, have
clocks that differ, observers that hang, and credentials that do. In the end the history alone is
judged.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3

from lambda_singleton import DynamoDBStore
from local_lambda import Engine, EngineError, Function, Outcome, Running

from .credentials import Credentials
from .history import Event, History, Kind, Promise
from .proxy import Fault, Proxy, Request

HANDLERS = Path(__file__).parent / "handlers"
LEASES = ("a", "b", "c")
DURATION = 3.0
CLOCK_SKEW = 1.0
#: How much the processes' clocks are off (seconds): any two of them by less than the skew.
OFFSETS = (-0.3, -0.1, 0.1, 0.3)
#: A process that wakes up on a busy machine needs some time to be told (seconds).
TOLD_WITHIN = 1.0
#: How often each fault strikes, of all requests.
FAULTS: Mapping[str, float] = {
    "throttled": 0.02,
    "error 500": 0.02,
    "reset": 0.02,
    "black hole": 0.02,
    "reply lost": 0.03,
    "reply cut": 0.02,
    "applied late": 0.02,
    "applied twice": 0.02,
    "slow": 0.03,
}
#: How often a refresh of credentials hangs, where they come from an endpoint.
HUNG_REFRESHES = 0.1
#: Where a handler holds its lease, and how often.
PLACES: Mapping[str, float] = {"main": 0.4, "thread": 0.25, "task": 0.35}
#: How often a handler forks, and how often an observer of its lease hangs.
FORKS, HUNG_OBSERVERS = 0.4, 0.2
#: How a child leaves its parent's block.
WAYS = ("return", "error", "exit")
#: How many functions have jobs that have to happen, which, and of how many pages.
JOB_LANES, JOBS, PAGES = 3, ("slot", "version", "pages", "rebuild", "rebuild"), 40
#: Every so many seconds nobody reaches the engine for a while (seconds).
BLACKOUT_EVERY, BLACKOUT = 30.0, 3.5


class Soak:
    """Some lanes of invocations, and what is done to them."""

    def __init__(
        self, engine: Engine, dice: random.Random, broken: float, transport: str = "boto3"
    ) -> None:
        self.dice = dice
        self.events: list[Event] = []
        self.counts: Counter[str] = Counter()
        #: How many jobs of each kind are done.
        self.settled: Counter[str] = Counter()
        self.over = threading.Event()
        self.proxy = Proxy(engine.endpoint, self._fault, self._applied)
        self.credentials = Credentials(lambda: self.dice.random() < HUNG_REFRESHES)
        self._broken = broken
        self._transactions: set[str] = set()
        self._started = time.monotonic()
        suffix = uuid.uuid4().hex[:8]
        leases, resources = f"soak-leases-{suffix}", f"soak-resources-{suffix}"
        DynamoDBStore(leases, client=boto3.client("dynamodb")).create_table()
        DynamoDBStore(resources, client=boto3.client("dynamodb")).create_table()
        variables = {
            **engine.environment,
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "SINGLETON_TABLE": leases,
            "SINGLETON_TRANSPORT": transport,
            "RESOURCES_TABLE": resources,
            "DURATION": str(DURATION),
        }
        self.lanes = [
            Lane(self, variables, offset=offset, timeout=timeout, managed=managed)
            for offset, timeout, managed in (
                *((offset, 60.0, False) for offset in OFFSETS),
                (OFFSETS[0], 5.0, False),
                (OFFSETS[-1], 5.0, True),
            )
        ]
        self.lanes += [
            JobLane(self, variables, offset=offset, timeout=60.0, managed=False)
            for offset in OFFSETS[:JOB_LANES]
        ]
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del variables[key]
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self.credentials.endpoint
        self.lanes.append(Lane(self, variables, offset=OFFSETS[1], timeout=60.0, managed=False))

    def run(self, seconds: float) -> None:
        """Let it happen, and say now and then how it goes."""
        ends_at = self._started + seconds
        with self.proxy, self.credentials:
            for lane in self.lanes:
                lane.start()
            while (left := ends_at - time.monotonic()) > 0:
                time.sleep(min(30.0, left))
                self._say_how_it_goes()
            self.over.set()
            for lane in self.lanes:
                lane.join()
                lane.function.__exit__()
                self.events += lane.events()

    def history(self) -> History:
        """Return all that was seen."""
        difference = max(OFFSETS) - min(OFFSETS)
        promise = Promise(CLOCK_SKEW, difference=difference, told_within=TOLD_WITHIN)
        return History(self.events, promise)

    def _fault(self, request: Request) -> Fault | None:
        if (time.monotonic() - self._started) % BLACKOUT_EVERY > BLACKOUT_EVERY - BLACKOUT:
            return Fault("black hole")
        acquires = ":duration" in request.body.get("ExpressionAttributeValues", {})
        if acquires and self.dice.random() < self._broken:
            return Fault("condition ignored")
        names = [*FAULTS, ""]
        weights = [*FAULTS.values(), 1 - sum(FAULTS.values())]
        kind = self.dice.choices(names, weights)[0]
        if not kind:
            return None
        late = self.dice.uniform(0.5, DURATION + 1)
        return Fault(kind, self.dice.uniform(0.05, 0.3) if kind == "slow" else late)  # type: ignore[arg-type]

    def _applied(self, request: Request) -> None:
        now, token = time.time(), request.body.get("ClientRequestToken")
        if token in self._transactions:
            # A copy of a transaction: DynamoDB says yes once more, and applies nothing.
            return
        self._transactions |= {token} - {None}
        for kind, lease, order in _recorded(request):
            self.events.append(Event(at=now, kind=kind, run="", lease=lease, order=order))

    def _say_how_it_goes(self) -> None:
        seconds = time.monotonic() - self._started
        counts = self.counts
        print(
            f"{seconds:4.0f} s: {counts['invocations']} invocations, {counts['kills']} kills,"
            f" {counts['freezes']} freezes, {sum(self.proxy.faults.values())} faults",
            file=sys.stderr,
            flush=True,
        )


def _recorded(request: Request) -> Iterator[tuple[Kind, str, int]]:
    """Yield what the row says of a job after a request that was applied."""
    body = request.body
    is_transaction = request.action == "TransactWriteItems"
    update = body["TransactItems"][0]["Update"] if is_transaction else body
    expression = update.get("UpdateExpression", "")
    values = update.get("ExpressionAttributeValues", {})
    lease = update.get("Key", {}).get("id", {}).get("S", "")
    if "#begun = :order" in expression:
        yield "begun", lease, int(values[":order"]["N"])
    if "#done = :order" in expression:
        yield "recorded", lease, int(values[":order"]["N"])
    if "#progress = :progress" in expression:
        yield "advanced", lease, int(values[":progress"]["S"])
    if is_transaction:
        yield "effected", lease, int(values[":progress"]["S"])


class Lane(threading.Thread):
    """Invokes its function again and again, and does it harm."""

    handler = "job.handler"

    def __init__(
        self,
        soak: Soak,
        variables: Mapping[str, str],
        *,
        offset: float,
        timeout: float,
        managed: bool,
    ) -> None:
        super().__init__(daemon=True)
        self.function = Function(
            self.handler,
            variables={**variables, "CLOCK_OFFSET": str(offset)},
            timeout=timeout,
            task_root=HANDLERS,
            managed=managed,
        )
        self._soak = soak
        self._managed = managed
        self._noted: list[Event] = []

    def run(self) -> None:
        """Go on until it is over."""
        while not self._soak.over.is_set():
            self._invoke()

    def events(self) -> Iterator[Event]:
        """Yield what its handlers have written down, and what was done to them."""
        yield from self._noted
        for line in self.function.logs:
            if line.startswith('{"at"'):
                yield Event.from_json(line)

    def _invoke(self) -> None:
        dice, counts = self._soak.dice, self._soak.counts
        running = self.function.start(self._next_event(dice))
        counts["invocations"] += 1
        harm = dice.choices([None, self._kill, self._freeze], [0.4, 0.25, 0.35])[0]
        moment = time.monotonic() + dice.uniform(0.1, 2 * DURATION)
        while harm is not None and not running.done:
            # A process that has no invocation yet has nothing to lose.
            if time.monotonic() >= moment and running.environment.request_id:
                harm(running)
                break
            time.sleep(0.01)
        outcome = running.outcome(timeout=120)
        self._count(outcome, running)
        if outcome.error_type == "LeaseHeldError":
            time.sleep(dice.uniform(0, 0.4))

    def _next_event(self, dice: random.Random) -> dict[str, object]:
        return _event(dice)

    def _kill(self, running: Running) -> None:
        self._soak.counts["kills"] += 1
        running.environment.kill()
        self._note("killed", running)

    def _freeze(self, running: Running) -> None:
        self._soak.counts["freezes"] += 1
        running.environment.pause()
        self._note("frozen", running)
        time.sleep(self._soak.dice.uniform(0.1, 1.5 * DURATION))
        self._note("thawed", running)
        running.environment.thaw()

    def _count(self, outcome: Outcome, running: Running) -> None:
        counts = self._soak.counts
        counts[outcome.error_type or "succeeded"] += 1
        if outcome.error_type == "Sandbox.Timedout":
            counts["ran on" if self._managed else "timed out"] += 1
            if not self._managed:
                self._note("killed", running)

    def _note(self, kind: Kind, running: Running) -> None:
        self._noted.append(Event(at=time.time(), kind=kind, run=running.environment.request_id))


class JobLane(Lane):
    """Has its function do jobs that have to happen, one after the other."""

    handler = "jobs.handler"
    _job = ""

    def _next_event(self, dice: random.Random) -> dict[str, object]:
        self._job = dice.choice(JOBS)
        number = self._soak.settled[self._job]
        # All versions, and all rebuilds, are of one thing each.
        key = f"{self._job}-{number}" if self._job in ("slot", "pages") else self._job
        return {
            "job": self._job,
            "lease": key,
            "version": max(0, number + dice.randint(-2, 2)),
            "pages": PAGES,
            "fails": dice.random() < 0.1,
            "seconds": dice.uniform(0.1, 1.5),
            "wait": 10 if self._job == "rebuild" else dice.choice([0, 3]),
            "place": "main",
            "children": [],
            "hang": 0,
        }

    def _count(self, outcome: Outcome, running: Running) -> None:
        super()._count(outcome, running)
        if outcome.error_type is None:
            # The next slot, job or version; whoever counts the same one twice skips one.
            self._soak.settled[self._job] += 1


def _event(dice: random.Random) -> dict[str, object]:
    """Return what a handler is to do."""
    tried = _try(dice)
    place = dice.choices([*PLACES], [*PLACES.values()])[0]
    # A child of fork() would be inside its parent's event loop, and could run none.
    forks = place != "task" and dice.random() < FORKS
    hangs = dice.random() < HUNG_OBSERVERS
    return {
        **tried,
        "place": place,
        "children": [_child(dice, tried) for _ in range(dice.randint(1, 3))] if forks else [],
        "hang": dice.uniform(0.5, 1.5 * DURATION) if hangs else 0,
        "cancel": dice.choice([None, dice.uniform(0.01, DURATION)]),
    }


def _child(dice: random.Random, parent: dict[str, object]) -> dict[str, object]:
    after, way = dice.uniform(0, DURATION), dice.choice(WAYS)
    return {**_try(dice), "lease": parent["lease"], "after": after, "way": way}


def _try(dice: random.Random) -> dict[str, object]:
    return {
        "lease": dice.choice(LEASES),
        "seconds": dice.uniform(0.1, 2.5 * DURATION),
        "wait": dice.choice([0, 0, 3]),
    }


def table(soak: Soak, history: History, seconds: float) -> tuple[str, bool]:
    """Return the table in Markdown, and whether every promise was kept."""
    kinds = Counter(event.kind for event in history.events)
    places = Counter(run.place for run in history.runs if run.ran)
    counts, promise = soak.counts, history.promise
    promised = DURATION + promise.clock_skew + promise.difference
    broken = {
        "overlaps: two handlers of a lease at once": list(history.overlaps()),
        "token falls": list(history.token_falls()),
        "stuck leases: refused for a dead holder": list(history.stuck()),
        "losses not told in time": list(history.untold()),
        "stale writes accepted": list(history.stale_writes()),
        "children that believed in a lease": list(history.believed()),
        "children that hung": list(history.endless()),
        "slots and versions recorded twice": list(history.done_twice()),
        "older versions after newer ones": list(history.order_falls()),
        "progress that went back": list(history.progress_falls()),
        "effects not applied once": list(history.done_again()),
        "callers told of a run that was not": list(history.misled()),
    }
    rows: list[tuple[str, object]] = [
        ("seconds", round(seconds)),
        ("invocations", counts["invocations"]),
        ("handlers that got a lease", kinds["started"]),
        *((f"of those in the place: {place}", n) for place, n in sorted(places.items())),
        ("children forked by holders", kinds["inherited"]),
        ("tasks cancelled", kinds["cancelled"]),
        ("observers that hung", kinds["hung"]),
        ("refreshes of credentials that hung", soak.credentials.hung),
        ("refused, as somebody else held it", kinds["refused"]),
        ("no answer from the store: not run", counts["LeaseStoreError"]),
        ("requests", len(soak.proxy.requests)),
        ("processes killed", counts["kills"]),
        ("processes killed at their deadline", counts["timed out"]),
        ("deadlines passed on Managed Instances", counts["ran on"]),
        ("processes stopped for a while", counts["freezes"]),
        *((f"requests spoilt: {kind}", n) for kind, n in sorted(soak.proxy.faults.items())),
        ("of those late or double ones: refused", soak.proxy.refused_late),
        ("take-overs from a dead or silent holder", len(list(history.take_overs()))),
        ("lost leases told to their handlers", kinds["told"]),
        ("slots and versions whose success was recorded", kinds["recorded"]),
        ("steps with an effect", kinds["effected"]),
        ("callers that shared a run", kinds["shared"]),
        ("guarded writes accepted", kinds["wrote"]),
        ("guarded writes refused for their old token", kinds["fenced"]),
        *((f"**{what}**", f"**{len(texts)}**") for what, texts in broken.items()),
    ]
    rows.append(("longest that a dead holder blocked others", f"{history.longest_block():.2f} s"))
    rows.append(("longest that it may, by the promise", f"{promised:.2f} s"))
    width = max(len(what) for what, _ in rows)
    lines = [f"| {'what':{width}} | {'count':>7} |", f"| {'-' * width} | {'-' * 6}: |"]
    lines += [f"| {what:{width}} | {count:>7} |" for what, count in rows]
    lines += ["", *(f"VIOLATED: {text}" for texts in broken.values() for text in texts)]
    return "\n".join(lines), not any(broken.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=660.0, help="how long (default: 660)")
    parser.add_argument("--seed", type=int, default=None, help="of what is done to whom")
    parser.add_argument("--history", type=Path, help="where to write the history")
    parser.add_argument(
        "--break",
        dest="broken",
        type=float,
        default=0.0,
        help="the share of conditions that the store ignores: to see that this is noticed",
    )
    parser.add_argument("--transport", choices=("boto3", "direct"), default="boto3")
    options = parser.parse_args(arguments)
    try:
        with Engine() as engine:
            engine.pin()
            dice = random.Random(options.seed)  # noqa: S311
            soak = Soak(engine, dice, options.broken, options.transport)
            started = time.monotonic()
            soak.run(options.seconds)
            seconds = time.monotonic() - started
    except EngineError as error:
        print(error, file=sys.stderr)
        return 2
    history = soak.history()
    if options.history:
        lines = sorted(history.events, key=lambda event: event.at)
        options.history.write_text("".join(f"{event.to_json()}\n" for event in lines))
    text, kept = table(soak, history, seconds)
    print(text)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
