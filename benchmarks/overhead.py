"""The library's own CPU, with a client that answers at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from typing import Any

from .bench import LEASE, Bench
from .contenders import OURS, load
from .contenders.floor import Floor
from .contenders.replay import recorded
from .cycle import WAYS
from .measure import Spread, cycles, in_turns, repeated
from .table import Cell, Table


def measure(bench: Bench) -> list[Table]:
    """Let the ways to use the library take turns."""
    times = bench.pick(full=500, short=100)
    turns: dict[tuple[str, str], Callable[[], float]] = {}
    for title in OURS:
        own_cpu = _answered_at_once(bench, title)
        turns |= {(title, way): partial(own_cpu, way, times) for way in WAYS}
    used = in_turns(bench.pick(full=40, short=10), turns)
    table = Table(
        "The library's own CPU in a cycle, without client and engine",
        "Microseconds of CPU with a client that returns the same answers at once, less the two"
        " calls themselves: everything that is not boto3's.",
    )
    for title in OURS:
        row: dict[str, Cell] = {"contender": title}
        for way in WAYS:
            row[f"{way} name"] = Spread.of(cpu * 1e6 for cpu in used[title, way])
        table.rows.append(row)
    return [table]


def _answered_at_once(bench: Bench, title: str) -> Callable[[str, int], float]:
    """Return what measures a way to use the library with such a client."""
    ours: Any = load(title)(bench.table(title), LEASE)
    client = Floor(ours.table, LEASE).client
    ours.store = type(ours.store)(ours.table, client=client)
    # What it asks and is answered, once on the engine.
    asked = recorded(client, lambda: ours.guard("recorded", lambda: None))
    answers = [client.update_item(**call) for call in asked]
    in_turn: Iterator[Any] = itertools.cycle(answers)

    def answer(**request: Any) -> object:
        # A reply counts only if its row names the lease and the owner of its request.
        reply = next(in_turn)
        row = reply["Attributes"] | request["Key"]
        if "owner" in row:
            row["owner"] = row["taken_from"] = request["ExpressionAttributeValues"][":owner"]
        return {**reply, "Attributes": row}

    client.update_item = answer

    def two_calls(_: int) -> None:
        for call in asked:
            client.update_item(**call)

    def own_cpu(way: str, times: int) -> float:
        for reply in answers:
            # A clock that differs from the store's would be refused.
            reply["ResponseMetadata"]["HTTPHeaders"]["date"] = formatdate(usegmt=True)
        names = [way if way == "fixed" else f"name-{number}" for number in range(times)]
        calls = repeated(times, two_calls).cpu
        return cycles(ours, names).cpu - calls

    return own_cpu
