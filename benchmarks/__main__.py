"""`make bench`: this library beside its floor and its peers, in one run on a real engine."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local_lambda import Engine, EngineError

from . import (
    cold_start,
    cost,
    counts,
    cycle,
    hand_off,
    held,
    invocation,
    memory,
    minute,
    overhead,
    take_over,
    telemetry,
    throughput,
)
from .bench import Bench
from .table import Table

PARTS: Mapping[str, Callable[[Bench], list[Table]]] = {
    "roll": lambda bench: [bench.roll],
    "invocation": invocation.measure,
    "counts": counts.measure,
    "cycle": cycle.measure,
    "overhead": overhead.measure,
    "telemetry": telemetry.measure,
    "cold_start": cold_start.measure,
    "held": held.measure,
    "take_over": take_over.measure,
    "hand_off": hand_off.measure,
    "minute": minute.measure,
    "throughput": throughput.measure,
    "memory": memory.measure,
}


def run(bench: Bench, parts: Sequence[str]) -> dict[str, list[Table]]:
    """Measure these parts one after the other, and print the tables as they come."""
    results: dict[str, list[Table]] = {}
    for part in parts:
        started = time.monotonic()
        try:
            results[part] = PARTS[part](bench)
            _print(results[part])
        except Exception as error:
            # The other parts are worth having.
            print(f"{part}: NOT MEASURED: {type(error).__name__}: {error}", file=sys.stderr)
        gc.unfreeze()
        gc.collect()
        print(f"{part}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    results["cost"] = cost.compute(results)
    _print(results["cost"])
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if everything could be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="to see that it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; repeatable")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args(arguments)
    try:
        with Engine() as engine:
            engine.pin()
            bench = Bench(engine, short=options.short)
            parts = options.only or list(PARTS)
            results = run(bench, parts)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        said = {
            "short": options.short,
            "python": platform.python_version(),
            "parts": {part: [table.as_json() for table in results[part]] for part in results},
        }
        options.json.write_text(json.dumps(said, indent=1) + "\n")
    return 0 if results.keys() >= set(parts) else 1


def _print(tables: list[Table]) -> None:
    for table in tables:
        print(table.markdown(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
