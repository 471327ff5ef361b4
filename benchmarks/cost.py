"""Dollars, computed from what was counted and the documented prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .table import Cell, Table

# On demand, us-east-1, November 2026: aws.amazon.com/dynamodb/pricing/on-demand, since the price
# cut of November 2024, and aws.amazon.com/lambda/pricing for arm64, first tier.
DOLLARS_PER_WRITE_UNIT = 0.625e-6
DOLLARS_PER_READ_UNIT = 0.125e-6
DOLLARS_PER_GB_SECOND = 0.0000133334
DOLLARS_PER_INVOCATION = 0.20e-6

MILLION = 1e6
#: A short job and a long one (seconds).
SHORT, LONG = 0.2, 600.0
#: With this much memory (MB) a function has a whole CPU, and with less a part of it.
WHOLE_CPU = 1769
MEMORIES = (128, 512, WHOLE_CPU)
#: What one request is taken to spend on its way and in DynamoDB (seconds): not measured here.
ROUND_TRIP = 0.005


def compute(results: Mapping[str, list[Table]]) -> list[Table]:
    """Return what can be computed from these parts of a run."""
    if not {"counts", "minute"} <= results.keys():
        return []
    tables = [_dynamodb(results)]
    if "cycle" in results:
        tables.append(_time(results))
    return tables


def _dynamodb(results: Mapping[str, list[Table]]) -> Table:
    holding, waiting = (_by_contender(table) for table in results["minute"])
    table = Table(
        "Dollars of DynamoDB for a million",
        f"On demand: {DOLLARS_PER_WRITE_UNIT * MILLION:g} a million write units,"
        f" {DOLLARS_PER_READ_UNIT * MILLION:g} a million read units. A long job takes"
        f" {LONG / 60:g} minutes and is renewed; a wait comes on top of a job.",
    )
    for title, counted in _by_contender(results["counts"][0]).items():
        cycle = _dollars(counted["write units a cycle"], counted["read units a cycle"])
        row: dict[str, Cell] = {"contender": title, "short jobs": cycle}
        if title in holding:
            minute = _dollars(holding[title]["writes"], holding[title]["reads"])
            row["long jobs"] = cycle + minute * LONG / 60
        if title in waiting:
            row["waits of a minute"] = _dollars(
                waiting[title]["write units"], waiting[title]["read units"]
            )
        table.rows.append(row)
    return table


def _time(results: Mapping[str, list[Table]]) -> Table:
    table = Table(
        "Dollars of Lambda for a million leases",
        "On arm64. The time that a short job spends on its lease: its CPU as in this run, slower by"
        f" as much as the function has less than a whole CPU ({WHOLE_CPU} MB), and"
        f" {ROUND_TRIP * 1000:g} ms assumed for each request. A job of {SHORT:g} s itself costs"
        + ",".join(f" {_lambda(SHORT, memory):.2f} with {memory} MB" for memory in MEMORIES)
        + f", and each million invocations {DOLLARS_PER_INVOCATION * MILLION:.2f}.",
    )
    requests = _by_contender(results["counts"][0])
    for title, cycle in _by_contender(results["cycle"][0]).items():
        row: dict[str, Cell] = {"contender": title}
        count = requests[title]["acquire"] + requests[title]["release"]
        for memory in MEMORIES:
            cpu = cycle["CPU, ms"] / 1000 * max(1.0, WHOLE_CPU / memory)
            seconds = cpu + count * ROUND_TRIP
            row[f"{memory} MB"] = _lambda(seconds, memory)
            row[f"CPU's share, {memory} MB, %"] = round(100 * cpu / seconds)
        table.rows.append(row)
    return table


def _dollars(writes: float, reads: float) -> float:
    return MILLION * (writes * DOLLARS_PER_WRITE_UNIT + reads * DOLLARS_PER_READ_UNIT)


def _lambda(seconds: float, memory: int) -> float:
    return MILLION * seconds * memory / 1024 * DOLLARS_PER_GB_SECOND


def _by_contender(table: Table) -> dict[str, dict[str, Any]]:
    return {str(row["contender"]): row for row in table.rows}
