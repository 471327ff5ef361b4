"""How long it takes to learn that somebody else holds the lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial

from .bench import LEASE, Bench
from .contenders import FLOOR, REPLAY, Contender, HeldError, load
from .measure import Usage, in_turns, ratio, repeated
from .table import Cell, Table


def measure(bench: Bench) -> list[Table]:
    """Let all be refused in turns."""
    times = bench.pick(full=20, short=4)
    titles = bench.having("fails_fast")
    with contextlib.ExitStack() as held:
        turns = {
            title: partial(_refusals, _challenger(bench, title, held), times) for title in titles
        }
        used = in_turns(bench.pick(full=25, short=4), turns)
    table = Table(
        "Held: a failed acquire",
        "In units of F's failed call in the same round, and of the very same call without the"
        " library: the same condition, and the same row returned.",
    )
    for title in titles:
        row: dict[str, Cell] = {"contender": title}
        for floor, label in ((FLOOR, "F"), (REPLAY, "the call")):
            # This process's CPU says nothing of a peer in another one.
            if not load(title).elsewhere:
                row[f"CPU / {label}"] = ratio(used[title], used[floor], "cpu")
            row[f"time / {label}"] = ratio(used[title], used[floor], "wall")
        table.rows.append(row)
    return [table]


def _challenger(bench: Bench, title: str, held: contextlib.ExitStack) -> Contender:
    table = bench.table(title)
    # Whoever sends this library's requests again is refused by a row of this library.
    holder = load("Lock, by hand" if title == REPLAY else title)(table, LEASE)
    held.enter_context(_holding(holder))
    return load(title)(table, LEASE)


@contextlib.contextmanager
def _holding(holder: Contender) -> Iterator[None]:
    granted, over = threading.Event(), threading.Event()

    def work() -> None:
        granted.set()
        over.wait()

    thread = threading.Thread(target=holder.guard, args=("held", work))
    thread.start()
    assert granted.wait(10)
    yield
    over.set()
    thread.join()


def _refusals(challenger: Contender, times: int) -> Usage:
    def be_refused(_: int) -> None:
        try:
            challenger.guard("held", lambda: None)
        except HeldError:
            return
        raise AssertionError("two held one lock")

    # The processor's caches are full of what the one before has left.
    repeated(2, be_refused)
    return repeated(times, be_refused)
