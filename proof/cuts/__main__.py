"""`python -m proof.cuts`: cut each scenario at each point, and say what was left behind.

Each line that a scenario comes to is cut once, by exceptions that take turns: the next scenario has
another one there. `--all` cuts with each of them, and several times where a line comes again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .play import play, points
from .point import Point, Role
from .report import Report
from .run import KINDS, Run, applies
from .scenario import SCENARIOS, Scenario
from .shaker import start_shaker
from .worker import Case, Result, Worker, results_of

#: How often one line is cut, of the times that a loop comes to it.
ROUNDS: dict[Role, int] = {"holder": 3, "other": 2}
#: Cases that one process runs.
BATCH = 250


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return 1 if anything was left behind."""
    options = _parser().parse_args(arguments)
    # The package's warnings are meant for users.
    logging.lastResort = None
    start_shaker()
    if options.worker:
        return _work()
    if options.list:
        return _list(options.list, fine=options.fine)
    began = time.monotonic()
    scenarios = [options.scenario] if options.scenario else list(SCENARIOS)
    kinds = [kind for kind in KINDS if options.exception in (None, kind)]
    with ThreadPoolExecutor(options.jobs) as pool:
        listed = pool.map(lambda name: Worker.points(name, fine=options.fine), scenarios)
        found = dict(zip(scenarios, listed if kinds else [[]] * len(scenarios), strict=True))
        cases = [
            case
            for name in scenarios
            for kind in kinds
            for case in _cases(name, kind, found[name], options)
        ]
        cases += [Case(name, "", None) for name in scenarios]
        batches = [cases[start : start + BATCH] for start in range(0, len(cases), BATCH)]
        report = Report()
        for batch in pool.map(results_of, batches):
            for result in batch:
                report.add(result)
    print(report.text(scenarios, kinds, time.monotonic() - began))
    return 1 if report.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m proof.cuts", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS)
    parser.add_argument("--exception", choices=(*KINDS, "none"))
    parser.add_argument("--point", help="its number, or as a violation names it")
    parser.add_argument(
        "--all", action="store_true", help="every exception at every point: an hour"
    )
    parser.add_argument("--sample", type=int, help="so many points of each scenario and exception")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--fine", action="store_true", help="at each instruction, not each line")
    parser.add_argument("--jobs", type=int, default=4 * (os.cpu_count() or 1))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--list", help="print the points of this scenario", choices=SCENARIOS)
    return parser


def _cases(name: str, kind: str, found: Sequence[Point], options: argparse.Namespace) -> list[Case]:
    scenario = SCENARIOS[name]
    if options.point and not options.point.isdigit():
        return [Case(name, kind, Point.parse(options.point))]
    if options.point:
        return [Case(name, kind, found[int(options.point)])]
    chosen = [
        point
        for point in found
        if applies(kind, scenario, point) and point.nth <= ROUNDS[point.role]
    ]
    if options.sample:
        dice = random.Random(f"{options.seed} {name} {kind}")  # noqa: S311
        chosen = dice.sample(chosen, min(options.sample, len(chosen)))
    elif not options.all and not options.exception and kind != "hang":
        chosen = [point for point in chosen if point.nth == 1 and _has_turn(kind, scenario, point)]
    return [Case(name, kind, point) for point in chosen]


def _has_turn(kind: str, scenario: Scenario, point: Point) -> bool:
    # The scenarios share most lines: where one has this exception, the next has another.
    kinds = [each for each in KINDS if each != "hang" and applies(each, scenario, point)]
    turn = point.line + list(SCENARIOS).index(scenario.name)
    return kinds[turn % len(kinds)] == kind


def _list(name: str, *, fine: bool) -> int:
    for point in points(SCENARIOS[name], fine=fine):
        print(json.dumps(point))
    return 0


def _work() -> int:
    warm: set[str] = set()
    for line in sys.stdin:
        case = Case.parse(line)
        if case.scenario not in warm:
            warm.add(case.scenario)
            play(Run(SCENARIOS[case.scenario]))
        run = Run(SCENARIOS[case.scenario], case.kind, case.point)
        verdict = play(run)
        result = Result(
            case,
            verdict.happened,
            verdict.outcome,
            verdict.violations,
            verdict.net,
            run.cut.replaced_interrupt,
        )
        sys.stdout.write(result.line())
        sys.stdout.flush()
        if verdict.violations:
            # What was left behind would be found again in the next run.
            break
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
