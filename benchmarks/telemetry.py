"""What it costs to tell of an invocation: log lines and metrics."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from lambda_singleton import Lock, MemoryStore
from lambda_singleton._events import metrics

from .bench import Bench
from .measure import Spread, in_turns, repeated
from .table import Cell, Table

# aws.amazon.com/cloudwatch/pricing, us-east-1, November 2026: Standard logs, the first tier.
DOLLARS_PER_GB = 0.50

_lock = Lock("telemetry", 60.0, store=MemoryStore())


def measure(bench: Bench) -> list[Table]:
    """Let runs without, and with each of them, take turns on a store in memory."""
    times = bench.pick(full=500, short=100)
    ways: dict[str, Callable[[io.StringIO], Any]] = {
        "neither": lambda out: contextlib.nullcontext(),
        "two log lines, as JSON": _logging,
        "two lines of metrics": _metering,
    }
    written: dict[str, float] = {}

    def turn(title: str) -> float:
        out = io.StringIO()
        with ways[title](out):
            cpu = repeated(times, lambda number: _lock.acquire().release()).cpu
        written[title] = len(out.getvalue()) / times
        return cpu

    used = in_turns(bench.pick(full=40, short=10), {way: partial(turn, way) for way in ways})
    table = Table(
        "Telling of an invocation",
        "Microseconds of CPU for an acquire and a release on a store in memory, and over the same"
        f" without; dollars for a million invocations, at {DOLLARS_PER_GB:g} for a GB of logs."
        " CloudWatch's own metrics are paid for by their number, not by invocations.",
    )
    for title in ways:
        over = [(a - b) * 1e6 for a, b in zip(used[title], used["neither"], strict=True)]
        row: dict[str, Cell] = {
            "what is told": title,
            "CPU, us": Spread.of(cpu * 1e6 for cpu in used[title]),
            "over neither, us": None if title == "neither" else Spread.of(over),
            "bytes": written[title],
            "dollars a million": written[title] * DOLLARS_PER_GB / 1e3,
        }
        table.rows.append(row)
    return [table]


@contextlib.contextmanager
def _logging(out: io.StringIO) -> Iterator[None]:
    logger, handler = logging.getLogger("lambda_singleton"), logging.StreamHandler(out)
    handler.setFormatter(LambdaPowertoolsFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@contextlib.contextmanager
def _metering(out: io.StringIO) -> Iterator[None]:
    os.environ[metrics.NAMESPACE] = "Bench"
    try:
        with contextlib.redirect_stdout(out):
            yield
    finally:
        del os.environ[metrics.NAMESPACE]
