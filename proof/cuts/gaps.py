"""Points where an exception does harm that no Python code can prevent, and what then helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .point import Point
from .worker import Result


class Gap(NamedTuple):
    """Some points, why nothing can be done there, and the net below."""

    name: str
    reason: str
    net: str
    has: Callable[[Result], bool]


def _begins(point: Point | None, *functions: str) -> bool:
    return point is not None and point.first and point.function.endswith(functions)


def _raises_interrupt(point: Point | None) -> bool:
    return point is not None and point.function.endswith("raise_if_due")


GAPS: tuple[Gap, ...] = (
    Gap(
        "the first line of __exit__ or __aexit__",
        "the `with` statement calls it once, and an exception that comes first leaves it undone",
        "what is garbage is given back",
        lambda result: _begins(result.case.point, "__exit__", "__aexit__"),
    ),
    Gap(
        "the first line of Lease.release, and of what it calls",
        "who has taken the lease by hand gives it back by hand, and may try again",
        "nobody renews it: it ends by itself",
        lambda result: _begins(result.case.point, "Lease.release", "release_now"),
    ),
    Gap(
        "want of memory while an interrupt is on its way",
        "it takes the interrupt's place, and may be swallowed as any Exception",
        "whoever goes on is interrupted again a second later",
        lambda result: (
            result.case.kind == "MemoryError"
            and (result.replaced_interrupt or _raises_interrupt(result.case.point))
        ),
    ),
)


def gap_of(result: Result) -> Gap | None:
    """Return the gap that this cut was made in."""
    return next((gap for gap in GAPS if gap.has(result)), None)
