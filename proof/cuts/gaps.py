"""Points where an exception does harm that no Python code can prevent, and what then helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .point import Point


class Gap(NamedTuple):
    """Some points, why nothing can be done there, and the net below."""

    name: str
    reason: str
    net: str
    is_at: Callable[[Point], bool]


GAPS: tuple[Gap, ...] = (
    Gap(
        "the first line of __exit__ or __aexit__",
        "the `with` statement calls it once, and an exception that comes first leaves it undone",
        "what is garbage is given back",
        lambda point: point.first and point.function.endswith(("__exit__", "__aexit__")),
    ),
    Gap(
        "the first line of Lease.release, and of what it calls",
        "who has taken the lease by hand gives it back by hand, and may try again",
        "nobody renews it: it ends by itself",
        lambda point: point.first and point.function in ("Lease.release", "release_now"),
    ),
)


def gap_at(point: Point | None) -> Gap | None:
    """Return the gap that this point is in."""
    return next((gap for gap in GAPS if point is not None and gap.is_at(point)), None)
