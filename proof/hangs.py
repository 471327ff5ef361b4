"""`python -m proof.hangs`: something hangs for ever, and the handler is told in time.

Each run is a process that holds a lease of a second on a real engine. From a random moment on, one
thing hangs: a renewal's request, the read of its reply, a refresh of credentials, a look-up of a
name, an observer, a log handler, `on_lost`. What counts is when the handler is interrupted,
compared with the end of the lease as its holder believes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, NoReturn

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseInterrupt,
    Lock,
    observe,
    singleton,
)
from local_lambda import Engine

from .credentials import Credentials
from .proxy import Fault, Proxy, Request

Hanging = Literal["request", "read", "credentials", "look-up", "observer", "log handler", "on_lost"]
HANGING: tuple[Hanging, ...] = (
    "request",
    "read",
    "credentials",
    "look-up",
    "observer",
    "log handler",
    "on_lost",
)
PLACES = ("main", "thread", "task")
#: One lease (seconds).
DURATION = 1.0
#: The hang begins so long after the start, at most (seconds).
LATEST_START = 1.5
#: A handler that is not interrupted works so long after the hang began (seconds).
WORK = 2.5
#: A process that was not run for so long says nothing of when it would have been told (seconds).
STALL = 0.05


class Told(NamedTuple):
    """What one process saw. `late` is from the lease's end on (seconds): negative is in time."""

    hanging: str
    place: str
    interrupted: bool
    late: float
    #: For how long at most a thread that only sleeps was not run in the last moments (seconds).
    stalled: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; return 1 if any was told too late."""
    parser = argparse.ArgumentParser("python -m proof.hangs", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        hanging, place, moment = options.child
        _Child(hanging, float(moment)).run(place)
        return 1
    dice = random.Random(options.seed)  # noqa: S311
    runs = [
        (HANGING[number % len(HANGING)], dice.choice(PLACES), dice.uniform(0.0, LATEST_START))
        for number in range(options.runs)
    ]
    with Engine() as engine, ThreadPoolExecutor(options.jobs) as pool:
        table = f"hangs-{uuid.uuid4().hex[:8]}"
        os.environ.update(engine.environment)
        DynamoDBStore(table).create_table()
        tries = list(pool.map(lambda run: _tries(engine, table, *run), runs))
    repeated = sum(len(told) - 1 for told in tries)
    if repeated:
        print(f"{repeated} runs were repeated: their process was not run when it mattered")
    return _report([told[-1] for told in tries])


def _report(told: Sequence[Told]) -> int:
    print(f"{'hangs':14}{'runs':>6}{'interrupted':>13}{'went on':>9}{'latest, to the end':>20}")
    for hanging in HANGING:
        those = [one for one in told if one.hanging == hanging]
        if those:
            print(_row(hanging, those))
    print(_row("all", told))
    late = [one for one in told if one.late >= 0]
    for one in late:
        print(f"LATE: {one}")
    return 1 if late else 0


def _row(name: str, told: Sequence[Told]) -> str:
    interrupted = [one.late for one in told if one.interrupted]
    latest = f"{max(interrupted) * 1000:+.0f} ms" if interrupted else "-"
    went_on = len(told) - len(interrupted)
    return f"{name:14}{len(told):6}{len(interrupted):13}{went_on:9}{latest:>20}"


def _tries(engine: Engine, table: str, hanging: Hanging, place: str, moment: float) -> list[Told]:
    # What a machine that is busy otherwise does is no measurement.
    tries: list[Told] = []
    while len(tries) < 3:
        told = _told(engine, table, hanging, place, moment)
        tries.append(told)
        if told.late < 0 or told.stalled < STALL:
            break
    return tries


def _told(engine: Engine, table: str, hanging: Hanging, place: str, moment: float) -> Told:
    # Each process has a proxy and credentials of its own, which hang when its moment has come.
    began = threading.Event()

    def fault(request: Request) -> Fault | None:
        if not began.is_set() or hanging not in ("request", "look-up", "on_lost"):
            return None
        return Fault("reset" if hanging == "look-up" else "black hole")

    with Proxy(engine.endpoint, fault) as proxy, Credentials(began.is_set) as credentials:
        environment = {**os.environ, **engine.environment}
        environment |= {"AWS_ENDPOINT_URL": proxy.endpoint, "SINGLETON_TABLE": table}
        if hanging == "look-up":
            environment["AWS_ENDPOINT_URL"] = proxy.endpoint.replace("127.0.0.1", "localhost")
        if hanging == "credentials":
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                del environment[name]
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = credentials.endpoint
        child = subprocess.Popen(
            [sys.executable, "-m", "proof.hangs", "--child", hanging, place, str(moment)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moment)
        began.set()
        output, errors = child.communicate(timeout=60)
        if not output:
            raise RuntimeError(f"{hanging}, {place}: {errors}")
        return Told(*json.loads(output))


class Pulse:
    """Notices when a busy machine, or somebody who keeps the interpreter, lets no thread run."""

    PAUSE, MEMORY = 0.002, 0.3

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._last = time.monotonic()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def stalled(self) -> float:
        now = time.monotonic()
        recent = (stall for at, stall in self._stalls if at > now - self.MEMORY)
        return max([now - self._last, *recent])

    def _beat(self) -> None:
        while True:
            time.sleep(self.PAUSE)
            now = time.monotonic()
            self._stalls.append((now, now - self._last))
            self._last = now


class _Child:
    """The process whose handler is to be told."""

    def __init__(self, hanging: str, moment: float) -> None:
        self._hanging = hanging
        self._moment = moment
        self._began = 0.0
        self._end = 0.0
        self._late = float("-inf")
        self._place = ""
        self._pulse = Pulse()
        self._store = DynamoDBStore()
        self._name = uuid.uuid4().hex

    def run(self, place: str) -> None:
        """Hold a lease there; ends the process once it is known how it went."""
        self._place = place
        self._prepare()
        {"main": self._hold, "thread": self._in_thread, "task": self._in_task}[place]()

    def _in_thread(self) -> None:
        thread = threading.Thread(target=self._hold)
        thread.start()
        thread.join()

    def _in_task(self) -> None:
        async def hold() -> None:
            async with Lock(self._name, DURATION, store=self._store) as lease:
                await self._work_async(lease)

        asyncio.run(hold())

    def _hold(self) -> None:
        @singleton(f"{self._name}-outer", 0.9 * DURATION, store=self._store, on_lost=self._hang)
        def outer(event: object, context: object) -> None:
            inner()

        def inner() -> None:
            with Lock(self._name, DURATION, store=self._store) as lease:
                self._work(lease)

        if self._hanging == "on_lost":
            outer({}, None)
        else:
            inner()

    def _work(self, lease: Lease) -> None:
        self._start()
        try:
            while self._note(lease):
                time.sleep(0.003)
        except LeaseInterrupt:
            self._tell(interrupted=True)
        self._tell(interrupted=False)

    async def _work_async(self, lease: Lease) -> None:
        self._start()
        try:
            while self._note(lease):
                await asyncio.sleep(0.003)
        except asyncio.CancelledError:
            self._tell(interrupted=True)
        self._tell(interrupted=False)

    def _tell(self, *, interrupted: bool) -> NoReturn:
        # At once: what hangs would keep the process from its end.
        late = time.time() - self._end if interrupted else self._late
        print(json.dumps(Told(self._hanging, self._place, interrupted, late, self._pulse.stalled)))
        sys.stdout.flush()
        os._exit(0)

    def _start(self) -> None:
        self._began = time.monotonic()
        print("started")
        sys.stdout.flush()

    def _note(self, lease: Lease) -> bool:
        # Until when the holder believes to have it, and by how much that is over.
        now, left = time.time(), lease.remaining()
        if left > 0:
            self._end = now + left
        self._late = now - self._end
        return time.monotonic() < self._began + self._moment + WORK

    def _prepare(self) -> None:
        match self._hanging:
            case "read":
                self._hang_in(socket.socket, "recv_into")
            case "look-up":
                self._hang_in(socket, "getaddrinfo")
            case "observer":
                observe(self._hang)
            case "log handler":
                handler = logging.Handler()
                handler.emit = self._hang  # type: ignore[method-assign, assignment]
                logging.getLogger("lambda_singleton").addHandler(handler)
                logging.getLogger("lambda_singleton").setLevel(logging.DEBUG)

    def _hang_in(self, owner: Any, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def hanging(*args: Any, **kwargs: Any) -> Any:
            self._hang()
            return call(*args, **kwargs)

        setattr(owner, name, hanging)

    def _hang(self, *_: object) -> None:
        if self._began and time.monotonic() >= self._began + self._moment:
            threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
