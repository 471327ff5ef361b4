"""One line of the timeline: an invocation, or the same one tried again until it gets its lease."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from local_lambda import Function, Outcome, Running
from proof.history import Event, History, Kind, Run, Span

#: What the samples write into their logs.
LOGGED: dict[str, Kind] = {
    "stopped": "stopped",
    "write accepted": "wrote",
    "write refused": "fenced",
}


@dataclass
class Lane:
    """What one caller did, and what was done to it."""

    label: str
    tries: list[Outcome] = field(default_factory=list)
    pauses: list[Span] = field(default_factory=list)
    killed_at: float | None = None
    _running: Running | None = None
    _since: float = field(default_factory=time.time)

    def start(self, function: Function, event: Any) -> None:
        """Begin an invocation."""
        self._running = function.start(event)

    def wait_until_started(self) -> None:
        """Return when the handler has its lease and is at work."""
        while self.run is None and not self.running.done:
            time.sleep(0.01)

    def finish(self) -> Outcome:
        """Wait for the invocation's end."""
        self.tries.append(self.running.outcome())
        return self.tries[-1]

    def retry_while_held(self, function: Function, event: Any, pause: float = 0.4) -> None:
        """Do what a state machine's Retry does."""
        while True:
            self.start(function, event)
            if self.finish().error_type != "LeaseHeldError":
                return
            time.sleep(pause)

    def kill(self) -> None:
        """Kill the process that the handler runs in."""
        self.killed_at = time.time()
        self.running.environment.kill()

    def pause(self) -> None:
        """Stop the process; nothing in it notices."""
        self.pauses.append(Span(time.time(), inf))
        self.running.environment.pause()

    def resume(self) -> None:
        """Let it go on as if nothing had been."""
        self.pauses[-1] = Span(self.pauses[-1].start, time.time())
        self.running.environment.thaw()

    @property
    def running(self) -> Running:
        """The invocation that was started last."""
        assert self._running is not None
        return self._running

    @property
    def outcome(self) -> Outcome:
        """How the last invocation ended."""
        return self.tries[-1]

    @property
    def skipped(self) -> bool:
        """Whether the handler did not run because the lease was held, or its slot was done."""
        return self.result.get("status") == "skipped"

    @property
    def shared(self) -> bool:
        """Whether the handler did not run because a later run had succeeded."""
        return self.result.get("status") == "coalesced"

    @property
    def result(self) -> dict[str, Any]:
        """What the last invocation returned."""
        payload = self.outcome.payload
        return payload if isinstance(payload, dict) else {}

    @property
    def events(self) -> list[Event]:
        """The handler at work, as its own log, its end and what was done to it tell it."""
        started = next(self._logged("started"), None)
        if started is None:
            return []
        lease = started["lease"]

        def event(at: float, kind: Kind, **facts: Any) -> Event:
            run = self.running.environment.request_id
            return Event(at=at, kind=kind, run=run, lease=lease, **facts)

        events = [event(started["at"], "started", token=started["token"])]
        for message, kind in LOGGED.items():
            events += [
                event(line["at"], kind, token=line["token"], resource=lease)
                for line in self._logged(message)
            ]
        for pause in self.pauses:
            events.append(event(pause.start, "frozen"))
            if pause.end != inf:
                events.append(event(pause.end, "thawed"))
        if self.killed_at is not None:
            events.append(event(self.killed_at, "killed"))
        elif self.tries:
            events.append(event(self.outcome.ended, "stopped"))
        return sorted(events, key=lambda event: event.at)

    @property
    def run(self) -> Run | None:
        """The handler at work; None if it was not."""
        runs = History(self.events).runs
        return runs[0] if runs else None

    @property
    def writes(self) -> list[bool]:
        """Whether its guarded writes were accepted."""
        return [e.kind == "wrote" for e in self.events if e.kind in ("wrote", "fenced")]

    def _logged(self, message: str) -> Iterator[dict[str, Any]]:
        # One environment may have served other lanes before.
        for text in list(self.running.environment.logs):
            if text.startswith("{"):
                line = json.loads(text)
                if line.get("message") == message and line.get("at", 0) >= self._since:
                    yield line
