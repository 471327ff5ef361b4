"""A process that does what it is told: `Worker` here, and the process itself when it is run.

Jobs go in and events come out as JSON lines. Every job runs in a thread of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any, Self

from .contenders import Contender, HeldError, load
from .measure import cycles


class WorkerError(Exception):
    """A job that went wrong."""


class NotInTimeError(WorkerError):
    """A job that goes on for too long."""


class Job:
    """One job of a worker, from this side."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()

    def wait(self, *kinds: str, timeout: float = 900.0) -> dict[str, Any]:
        """Return the next event, which must be of one of these kinds."""
        try:
            event = self.events.get(timeout=max(0.0, timeout))
        except queue.Empty:
            raise NotInTimeError("not within the time for it") from None
        if event["event"] not in kinds:
            raise WorkerError(event.get("error", event["event"]))
        return event


class Worker:
    """The process; it talks to `endpoint` instead of the engine if that is given."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._numbers = itertools.count()
        self._jobs: dict[int, Job] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name],
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def start(self, do: str, **job: Any) -> Job:
        """Begin a job: `make`, `guard`, `cycles` or `count`."""
        number = next(self._numbers)
        self._jobs[number] = Job()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": do, **job}) + "\n")
        self._process.stdin.flush()
        return self._jobs[number]

    def do(self, do: str, **job: Any) -> dict[str, Any]:
        """Do a job to its end, and return its last event."""
        started = self.start(do, **job)
        if do == "guard":
            started.wait("granted")
        return started.wait("done")

    def kill(self) -> None:
        """End it by SIGKILL, whatever it holds."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._jobs[event["id"]].events.put(event)
        for job in self._jobs.values():
            job.events.put({"event": "error", "error": "the process ended"})


class _Process:
    """The other side."""

    def __init__(self) -> None:
        self.requests = 0
        self._contenders: dict[tuple[Any, ...], Contender] = {}
        # boto3's sessions are made by one thread at a time.
        self._making = threading.Lock()
        self._speaking = threading.Lock()
        self._count_requests()

    def serve(self) -> None:
        for line in sys.stdin:
            threading.Thread(target=self._run, args=(json.loads(line),), daemon=True).start()

    def _run(self, job: dict[str, Any]) -> None:
        try:
            result: dict[str, Any] = getattr(self, f"_do_{job['do']}")(job) or {}
        except HeldError:
            self._say(job, "held")
        except Exception as error:
            self._say(job, "error", error=f"{type(error).__name__}: {error}"[:100])
        else:
            self._say(job, "done", **result)

    def _do_count(self, job: dict[str, Any]) -> None: ...

    def _do_make(self, job: dict[str, Any]) -> None:
        self._contender(job)

    def _do_guard(self, job: dict[str, Any]) -> None:
        contender = self._contender(job)
        time.sleep(max(0.0, job.get("at", 0.0) - time.time()))
        asked = time.time()

        def work() -> None:
            self._say(job, "granted", asked=asked, at=time.time())
            time.sleep(job.get("hold", 0.0))

        contender.guard(job["name"], work, job.get("wait", 0.0))

    def _do_cycles(self, job: dict[str, Any]) -> dict[str, Any]:
        contender = self._contender(job)
        if job.get("trace"):
            tracemalloc.start()
        used = cycles(contender, [job["name"].format(number) for number in range(job["times"])])
        traced = tracemalloc.get_traced_memory()[0] if job.get("trace") else 0
        tracemalloc.stop()
        return {**used._asdict(), "blocks": sys.getallocatedblocks(), "traced": traced}

    def _contender(self, job: dict[str, Any]) -> Contender:
        slot = tuple(job.get(part) for part in ("contender", "table", "lease", "slot"))
        with self._making:
            if slot not in self._contenders:
                self._contenders[slot] = load(job["contender"])(job["table"], job["lease"])
            return self._contenders[slot]

    def _say(self, job: dict[str, Any], event: str, **said: Any) -> None:
        counted = sum(contender.requests for contender in self._contenders.values())
        line = json.dumps(
            {
                "id": job["id"],
                "event": event,
                "requests": self.requests + counted,
                "threads": threading.active_count(),
                "memory": _resident(),
                **said,
            }
        )
        with self._speaking:
            print(line, flush=True)

    def _count_requests(self) -> None:
        # Some peers make sessions of their own, out of reach of an event hook.
        import boto3  # noqa: F401 - no thread finds it half imported
        import botocore.httpsession

        session_type: Any = botocore.httpsession.URLLib3Session
        send = session_type.send

        def counted(session: Any, request: Any) -> Any:
            self.requests += 1
            return send(session, request)

        session_type.send = counted

        # This package's own client sends over connections of its own.
        from lambda_singleton._stores.connection import Connections

        connections_type: Any = Connections
        post = connections_type.post

        def counted_too(connections: Any, *args: Any) -> Any:
            self.requests += 1
            return post(connections, *args)

        connections_type.post = counted_too


def _resident() -> int:
    """Return the bytes of memory that this process has now."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _Process().serve()
