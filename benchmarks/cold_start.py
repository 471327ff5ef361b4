"""The first guarded call of a fresh process."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import lambda_singleton

from .bench import Bench
from .contenders import FLOOR, OURS, REPLAY, load
from .measure import Spread, Usage, in_turns, ratio
from .table import Table

NEWBORN = Path(__file__).parent / "newborn.py"
#: What a process has done before, and what it does then.
Case = tuple[str, str]
IMPORT: Case = ("nothing", "import")
NOT_COMPILED: Case = ("nothing, not compiled", "import")
PACKAGE = Path(lambda_singleton.__path__[0])
TWO_CALLS: Case = ("has boto3", "two calls")


def measure(bench: Bench) -> list[Table]:
    """Start processes in turns."""
    # As after an installation.
    for folder in (PACKAGE, NEWBORN.parent):
        compileall.compile_dir(folder, quiet=1)
    everybody = [t for t in bench.contenders if t != REPLAY and not load(t).elsewhere]
    titles = bench.pick(full=everybody, short=["Lock, by hand", "@singleton", FLOOR])
    ours = [title for title in OURS if title in titles]
    warm = [TWO_CALLS, *(("has boto3", act) for act in ("given the client", *ours))]
    warm += [("has boto3 and garbage", title) for title in ours[:1]]
    cases = [IMPORT, NOT_COMPILED, *warm, *(("nothing", title) for title in titles)]
    turns = {case: partial(_start, bench, case) for case in cases}
    used = in_turns(bench.pick(full=21, short=2), turns)
    return [_from_nothing(used, titles), _with_boto3(used, warm)]


def _from_nothing(used: dict[Case, list[Usage]], titles: Sequence[str]) -> Table:
    floors = used["nothing", FLOOR]
    table = Table(
        "Cold start: nothing is imported yet",
        "Everything from the import to the end of the first guarded call, in units of F in the same"
        " round.",
    )
    rows = {
        "only `import lambda_singleton`": used[IMPORT],
        "the same, not compiled ahead": used[NOT_COMPILED],
    }
    rows |= {title: used["nothing", title] for title in titles}
    for title, usages in rows.items():
        table.rows.append(
            {
                "contender": title,
                "CPU / F": ratio(usages, floors, "cpu"),
                "time / F": ratio(usages, floors, "wall"),
                "CPU, ms": Spread.of(usage.cpu * 1000 for usage in usages),
            }
        )
    return table


def _with_boto3(used: dict[Case, list[Usage]], warm: Sequence[Case]) -> Table:
    table = Table(
        "Cold start: the process has a DynamoDB client, and has used it",
        "Milliseconds over two bare calls of that client, in the same round. Its garbage is"
        " collected before, or else a full collection of what boto3 has made may fall on whoever"
        " happens to come next.",
    )
    for case in warm:
        pairs = list(zip(used[case], used[TWO_CALLS], strict=True))
        table.rows.append(
            {
                "process": case[0],
                "contender": case[1],
                "CPU over the calls, ms": Spread.of((u.cpu - c.cpu) * 1000 for u, c in pairs),
                "time over the calls, ms": Spread.of((u.wall - c.wall) * 1000 for u, c in pairs),
            }
        )
    return table


def _start(bench: Bench, case: Case) -> Usage:
    state, act = case
    table = bench.table(act if act in bench.contenders else FLOOR)
    with _not_compiled() if case == NOT_COMPILED else nullcontext(os.environ) as environment:
        output = subprocess.check_output(
            [sys.executable, NEWBORN, state, act, table], text=True, env=environment
        )
    return Usage(*map(float, output.split()))


@contextmanager
def _not_compiled() -> Iterator[Mapping[str, str]]:
    # As a layer is that was zipped from its sources: nobody may write there.
    with TemporaryDirectory() as folder:
        package = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        yield {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
