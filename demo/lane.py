"""One line of the timeline: an invocation, or the same one tried again until it gets its lease."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local_lambda import Function, Outcome, Running

from .history import Run, Span, Write


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
        self.pauses.append(Span(time.time(), float("inf")))
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
        """Whether the handler did not run because the lease was held."""
        payload = self.outcome.payload
        return isinstance(payload, dict) and payload.get("status") == "skipped"

    @property
    def run(self) -> Run | None:
        """The handler at work, as its own log and its end tell it."""
        started = next(self._logged("started"), None)
        if started is None:
            return None
        stopped = next(self._logged("stopped"), None)
        end = float("inf")
        if stopped is not None:
            end = stopped["at"]
        elif self.killed_at is not None:
            end = self.killed_at
        elif self.tries:
            end = self.outcome.ended
        return Run(started["lease"], started["token"], Span(started["at"], end), tuple(self.pauses))

    @property
    def writes(self) -> list[Write]:
        """The handler's writes to its guarded table."""
        return [
            Write(line["at"], line["lease"], line["token"], message == "write accepted")
            for message in ("write accepted", "write refused")
            for line in self._logged(message)
        ]

    def _logged(self, message: str) -> Iterator[dict[str, Any]]:
        # One environment may have served other lanes before.
        for text in list(self.running.environment.logs):
            if text.startswith("{"):
                line = json.loads(text)
                if line.get("message") == message and line.get("at", 0) >= self._since:
                    yield line
