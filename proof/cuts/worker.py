"""Processes that run cases, one after the other, and a new one after each violation."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, NamedTuple, Self

from .point import Point

#: No run takes as long (seconds).
TOO_LONG = 12.0
#: A violation has to show again in one of so many runs: machines are busy, and threads race.
AGAIN = 2


class Case(NamedTuple):
    """A scenario, what is done to it, and where; no point: it runs undisturbed."""

    scenario: str
    kind: str
    point: Point | None

    def __str__(self) -> str:
        if self.point is None:
            return f"--scenario {self.scenario}"
        return f"--scenario {self.scenario} --exception {self.kind} --point {self.point}"

    def line(self) -> str:
        return json.dumps(self) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        scenario, kind, point = json.loads(line)
        return cls(scenario, kind, None if point is None else Point(*point))


class Result(NamedTuple):
    """What came of a case."""

    case: Case
    happened: bool
    outcome: str
    violations: list[str]
    net: str
    #: Whether the cut took the place of an interrupt.
    replaced_interrupt: bool = False
    #: Violations that did not show again.
    once: Sequence[str] = ()

    def line(self) -> str:
        return json.dumps(self[1:]) + "\n"


class Worker:
    """A process that runs cases."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proof.cuts", "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @staticmethod
    def points(scenario: str, *, fine: bool) -> list[Point]:
        """Return the points of an undisturbed run."""
        lines = subprocess.run(
            [sys.executable, "-m", "proof.cuts", "--list", scenario, *(["--fine"] if fine else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()
        return [Point(*json.loads(line)) for line in lines]

    def run(self, case: Case) -> Result:
        """Run it, and say so if it does not come to an end."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(case.line())
            stdin.flush()
        except BrokenPipeError:
            return Result(case, True, "", ["the process ended after the run before"], "never")
        if not _is_readable(stdout):
            return Result(case, True, "", [f"it did not end within {TOO_LONG:g} s"], "never")
        line = stdout.readline()
        if not line:
            return Result(case, True, "", ["the process ended"], "never")
        return Result(case, *json.loads(line))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def results_of(cases: Sequence[Case]) -> list[Result]:
    """Run them all."""
    results: list[Result] = []
    worker: Worker | None = None
    for case in cases:
        worker = Worker() if worker is None else worker
        result = worker.run(case)
        if result.violations:
            worker.end()
            worker = None
            result = _confirmed(result)
        results.append(result)
    if worker is not None:
        worker.end()
    return results


def _confirmed(result: Result) -> Result:
    for _ in range(AGAIN):
        worker = Worker()
        again = worker.run(result.case)
        worker.end()
        if again.violations:
            return again
    return result._replace(violations=[], once=result.violations)


def _is_readable(pipe: IO[str]) -> bool:
    return bool(select.select([pipe], [], [], TOO_LONG)[0])
