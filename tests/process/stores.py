"""A store that tells what it was sent, and does on command what the tests need."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lambda_singleton import LeaseStoreError, MemoryStore

#: Called with the kind of a request and the lease's name.
Act = Callable[[str, str], None]


def nothing(kind: str, name: str) -> None:
    """Let the request pass."""


class ScriptedStore(MemoryStore):
    """Remembers every request; `before` and `after` act, or raise, around its application."""

    def __init__(self, *, clock: Any = time) -> None:
        super().__init__(clock=clock)
        self.sent: list[tuple[str, str]] = []
        self.before: Act = nothing
        self.after: Act = nothing

    def execute(self, operation: Any, *, timeout: float) -> Any:
        kind = type(operation).__name__
        self.sent.append((kind, operation.name))
        self.before(kind, operation.name)
        reply = super().execute(operation, timeout=timeout)
        self.after(kind, operation.name)
        return reply

    def count(self, kind: str) -> int:
        """Return how many requests of that kind were sent."""
        return [sent for sent, _ in self.sent].count(kind)

    def owner(self, name: str) -> str | None:
        """Return who holds the lease of that name."""
        record = self.get(name)
        return None if record is None else record.owner

    def end_of(self, name: str) -> float:
        """Return when others may think of taking the lease, in epoch seconds."""
        record = self.get(name)
        assert record is not None
        assert record.expires_at is not None
        return float(record.expires_at)


class NotedStore(ScriptedStore):
    """Writes down in a file which process sent what: for processes that fork."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def execute(self, operation: Any, *, timeout: float) -> Any:
        line = f"{os.getpid()} {type(operation).__name__}\n"
        with self._path.open("a") as notes:
            notes.write(line)
        return super().execute(operation, timeout=timeout)

    def sent_by(self, pid: int) -> list[str]:
        """Return the kinds of what that process has sent."""
        lines = [line.split() for line in self._path.read_text().splitlines()]
        return [kind for sender, kind in lines if int(sender) == pid]


def no_renewals(*names: str) -> Act:
    """Return an outage: renewals of these leases (of all, if none is named) are not answered."""

    def fail(kind: str, name: str) -> None:
        if kind == "Renew" and (not names or name in names):
            raise LeaseStoreError("unreachable")

    return fail


class Hang:
    """A call that does not return until `end`, or for `most` seconds."""

    def __init__(self, most: float = 6.0) -> None:
        self._most = most
        self._end = threading.Event()
        self.began = threading.Event()
        #: Whether any call has returned.
        self.ended = False

    def __call__(self, *args: object) -> None:
        self.began.set()
        self._end.wait(self._most)
        self.ended = True

    def end(self) -> None:
        """Let every call return."""
        self._end.set()


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait for it; say whether it came."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.01)
    return True


def lease_threads() -> list[threading.Thread]:
    """Return the threads of the package that are alive."""
    return [thread for thread in threading.enumerate() if "lease" in thread.name.lower()]
