"""`make mutants`: change one small thing of the package or its command line, and see a test fail.

A sample of all changes, half of them numbers, bounds and deletions. Each is made in a copy of the
checkout, where the tests run that cover its line, those that are most about its module first. A
seed always gives the same sample; without one, each day has its own.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import queue
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Literal

from .alive import KNOWN
from .catalogue import ROOT
from .covering import DATA, DURATIONS, MEASURED, SOURCES
from .mutation import MISSED_MOST, Mutation, mutations

#: Tests of one mutant, by how long they take (seconds) where nothing is changed.
LONGEST = 150.0
AT_A_TIME = 2
#: Of how many mutants one may be alive. Some change nothing that anybody could see.
ONE_OF = 40

Verdict = Literal["killed", "alive", "known"]


class Coverage:
    """Which tests run which lines, as `make coverage` has measured it."""

    def __init__(self) -> None:
        self._data = sqlite3.connect(DATA, check_same_thread=False)
        self._durations: dict[str, float] = json.loads(DURATIONS.read_text())
        self._tests = dict(self._data.execute("SELECT id, context FROM context"))
        self._files = {path: number for number, path in self._data.execute("SELECT * FROM file")}

    @cached_property
    def _sizes(self) -> Mapping[int, int]:
        """How much each test runs altogether."""
        counted = "SELECT context_id, COUNT(*) FROM arc GROUP BY context_id"
        return dict(self._data.execute(counted))

    def tests_of(self, mutation: Mutation) -> list[str]:
        """Return the tests that run its statement, and as many as there is time for."""
        file = self._files.get(str(ROOT / mutation.file), -1)
        of_file = "SELECT context_id, COUNT(*) FROM arc WHERE file_id = ?"
        focus = dict(self._data.execute(f"{of_file} GROUP BY context_id", [file]))
        # What runs at import is run by whoever comes first, and meant for all.
        found = set(focus)
        if mutation.in_function:
            first, last = self._then(mutation.file, mutation.statement)
            between = "AND (fromno BETWEEN ? AND ? OR tono BETWEEN ? AND ?)"
            wanted = self._data.execute(
                f"{of_file} {between} GROUP BY context_id", [file, first, last, first, last]
            )
            found = {test for test, _ in wanted}
        ordered = sorted(found, key=lambda test: -focus[test] / self._sizes[test])
        return list(self._in_time(self._tests[test] for test in ordered))

    def _in_time(self, tests: Iterator[str]) -> Iterator[str]:
        left = LONGEST
        for test in tests:
            # Without a length: it did not pass, or is no test.
            length = self._durations.get(test)
            if length is not None and length <= left:
                left -= length
                yield test

    def _then(self, file: str, lines: tuple[int, int]) -> tuple[int, int]:
        """Return where the lines were when it was measured."""
        old, new = ((root / file).read_text().splitlines() for root in (SOURCES, ROOT))
        if old == new:
            return lines
        where: dict[int, int] = {}
        for block in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks():
            where |= {block.b + n + 1: block.a + n + 1 for n in range(block.size)}
        found = [where[line] for line in range(lines[0], lines[1] + 1) if line in where]
        # A statement that is new has the tests of what is above it.
        above = [where[line] for line in range(lines[0], 0, -1) if line in where]
        return (found[0], found[-1]) if found else (above[0], above[0]) if above else lines


class Copy:
    """A copy of the checkout, in which one thing at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "checkout"
        ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "model")
        shutil.copytree(ROOT, self._root, ignore=ignored)
        for installed in [*ROOT.glob(".venv*"), *ROOT.glob(".node-*")]:
            (self._root / installed.name).symlink_to(installed.resolve())

    def kills(self, mutation: Mutation, tests: Sequence[str]) -> bool:
        """Return whether a test fails, or never ends, with that change."""
        path = self._root / mutation.file
        source = path.read_bytes()
        path.write_bytes(mutation.apply(source))
        try:
            return self._fails(tests)
        finally:
            path.write_bytes(source)

    def _fails(self, tests: Sequence[str]) -> bool:
        command = ["-m", "pytest", "-xq", "--timeout=30", "-p", "no:cacheprovider"]
        paths = [str(self._root / name) for name in ("layer/python", "tools", ".")]
        process = subprocess.Popen(
            [sys.executable, *command, *tests],
            cwd=self._root,
            env={**os.environ, "PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            # Whatever cannot even begin has failed.
            return process.wait(60 + 3 * LONGEST) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def all_mutations() -> list[Mutation]:
    """Return every change of every module."""
    files = [path for folder in MEASURED for path in sorted((ROOT / folder).rglob("*.py"))]
    return [each for path in files for each in mutations(ROOT, str(path.relative_to(ROOT)))]


def sample(every: Sequence[Mutation], number: int, seed: int) -> list[Mutation]:
    """Choose some, half of them of the kinds that tests miss most often."""
    dice = random.Random(seed)
    missed = [one for one in every if one.kind in MISSED_MOST]
    others = [one for one in every if one.kind not in MISSED_MOST]
    return dice.sample(missed, number // 2) + dice.sample(others, number - number // 2)


def why_known(mutation: Mutation) -> str | None:
    """Return why this change is harmless, if somebody has found out."""
    line = (ROOT / mutation.file).read_text().splitlines()[mutation.line - 1].strip()
    name = mutation.file.rpartition("lambda_singleton")[2].partition("/")[2]
    return KNOWN.get((name, line, mutation.old, mutation.new))


def judge(every: Sequence[Mutation]) -> Iterator[tuple[Mutation, Verdict, int]]:
    """Yield each with its verdict, and with how many tests have run."""
    coverage = Coverage()
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()

    def verdict(mutation: Mutation) -> tuple[Mutation, Verdict, int]:
        if why_known(mutation) is not None:
            return mutation, "known", 0
        tests = coverage.tests_of(mutation)
        copy = copies.get()
        try:
            is_killed = bool(tests) and copy.kills(mutation, tests)
        finally:
            copies.put(copy)
        return mutation, "killed" if is_killed else "alive", len(tests)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_A_TIME) as pool:
        for number in range(AT_A_TIME):
            copies.put(Copy(Path(folder) / str(number)))
        yield from pool.map(verdict, every)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if no more are alive than may be."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--mutants", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")))
    options = parser.parse_args(arguments)
    every = all_mutations()
    chosen = sample(every, options.mutants, options.seed)
    print(f"{len(chosen)} of {len(every)} mutants: SEED={options.seed} MUTANTS={len(chosen)}")
    began, counts = time.monotonic(), dict.fromkeys(("killed", "alive", "known"), 0)
    for mutation, verdict, tests in judge(chosen):
        counts[verdict] += 1
        if verdict != "killed":
            old, new = (" ".join(text.split()) for text in (mutation.old, mutation.new))
            print(f"{verdict}: {mutation.file}:{mutation.line} {mutation.kind}: ", end="")
            print(f"{old!r} to {new!r}, {tests} tests", flush=True)
    seconds = time.monotonic() - began
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()), end="")
    print(f", in {seconds:.0f} s")
    return 1 if counts["alive"] > max(1, len(chosen) // ONE_OF) else 0


if __name__ == "__main__":
    sys.exit(main())
