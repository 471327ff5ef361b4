"""What an Acquire asks for besides a free row, if anything."""

from __future__ import annotations

from .coalesce import NO_LATER_SUCCESS, LaterSuccess
from .order import NEITHER_DONE_NOR_OLDER, Order, may_run
from .record import LeaseRecord


def narrowed(condition: str, order: Order | None, unless: LaterSuccess | None) -> str:
    """Return the condition, which also refuses what is done."""
    if order is None and unless is None:
        return condition
    more = "" if order is None else f" AND {NEITHER_DONE_NOR_OLDER}"
    return f"({condition}){more}" + ("" if unless is None else f" AND {NO_LATER_SUCCESS}")


def is_left_to_do(record: LeaseRecord, order: Order | None, unless: LaterSuccess | None) -> bool:
    """Say the same of a row."""
    return (order is None or may_run(record, order)) and (
        unless is None or not unless.is_in(record.success)
    )
