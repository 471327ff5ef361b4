"""Time and numbers: medians and ratios, never single times."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from .contenders import Contender

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Usage(NamedTuple):
    """Seconds of CPU, in all threads of this process, and of time."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of the values; None if there are none."""
        ordered = sorted(values)
        if len(ordered) < 2:
            return cls(*ordered * 3) if ordered else None
        low, median, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(median, low, high)


def ratio(
    usages: Sequence[Usage], floors: Sequence[Usage], what: Literal["cpu", "wall"]
) -> Spread | None:
    """Return the spread of the ratios to a floor, each within its own round."""
    pairs = zip(usages, floors, strict=True)
    return Spread.of(getattr(one, what) / getattr(floor, what) for one, floor in pairs)


def in_turns(rounds: int, turns: Mapping[K, Callable[[], V]]) -> dict[K, list[V]]:
    """Let all take a turn in each round, in changing orders; return what each of them gave.

    What disturbs a round disturbs all. A round before the first is not counted.
    """
    results: dict[K, list[V]] = {key: [] for key in turns}
    for number in range(-1, rounds):
        for key in random.sample(list(turns), len(turns)):
            result = turns[key]()
            if number >= 0:
                results[key].append(result)
        # Nobody pays for looking through what all the others have made.
        gc.collect()
        gc.freeze()
    return results


def cycles(contender: Contender, names: Sequence[str]) -> Usage:
    """Guard nothing under each of the names, and return what one of them took."""
    if contender.elsewhere:
        cpu, wall = contender.cycles(names)
        return Usage(cpu / len(names), wall / len(names))
    return repeated(len(names), lambda number: contender.guard(names[number], _nothing))


def repeated(times: int, call: Callable[[int], object]) -> Usage:
    """Call it so often, and return what one of the calls took."""
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(times):
        call(number)
    return Usage((time.process_time() - cpu) / times, (time.perf_counter() - wall) / times)


def _nothing() -> None: ...
