"""The peers on Node.js, each in a process of its own that does what it is told."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import Contender, HeldError

SCRIPT = Path(__file__).resolve().parent.parent / "node" / "peer.js"
MODULES = SCRIPT.parents[2] / ".node-bench" / "node_modules"


class NodeError(Exception):
    """A peer on Node.js that could not do it, or no Node.js."""


class Node(Contender):
    """Speaks JSON lines with the process; several threads may."""

    waits = True
    renews = True
    elsewhere = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        node = shutil.which("node")
        if node is None or not MODULES.exists():
            raise NodeError("no Node.js and npm on this machine")
        self._numbers = itertools.count()
        self._answers: dict[int, queue.Queue[Any]] = {}
        self._speaking = threading.Lock()
        self._process = subprocess.Popen(
            [node, SCRIPT, self.package, table, str(round(lease * 1000))],
            env={**os.environ, "NODE_PATH": str(MODULES), "NODE_NO_WARNINGS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        number = next(self._numbers)
        self._ask(number, do="acquire", lock=name, wait=wait)
        work()
        self._ask(number, do="release")

    def cycles(self, names: Sequence[str]) -> tuple[float, float]:
        """Guard nothing under each of the names, in one go."""
        answer = self._ask(next(self._numbers), do="cycles", names=names)
        return answer["cpu"], answer["wall"]

    def _ask(self, number: int, **job: Any) -> Any:
        answers = self._answers.setdefault(number, queue.Queue())
        assert self._process.stdin is not None
        with self._speaking:
            self._process.stdin.write(json.dumps({"id": number, **job}) + "\n")
            self._process.stdin.flush()
        answer = answers.get(timeout=300)
        if answer.get("error") == "held":
            raise HeldError
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            self.requests = answer["requests"]
            self._answers[answer["id"]].put(answer)
        for answers in self._answers.values():
            answers.put({"error": "the process ended"})


class DynamodbLockClient(Node):
    """Its `FailOpen`, which cannot fail before the holder's lease has ended."""

    package = "dynamodb-lock-client"
    fails_fast = False
    token = True


class DeliveryHero(Node):
    """@deliveryhero/dynamodb-lock, which looks every 100 ms."""

    key = ("lockId:S", "lockGroup:S")
    package = "@deliveryhero/dynamodb-lock"
