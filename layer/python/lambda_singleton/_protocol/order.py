"""What a run is the run of: a slot's, or a version's.

An order is a whole number, or a time as text, which is compared byte by byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import LeaseRecord

Order = int | str

#: The order of a slot, which is done or not.
ONCE = 1

#: DynamoDB's numbers have 38 digits.
HIGHEST_ORDER = 10**38 - 1


def is_lower(known: Order, order: Order) -> bool:
    """Say whether `known` comes before; False, as in DynamoDB, for a number and a text."""
    if isinstance(known, str):
        return isinstance(order, str) and known < order
    return isinstance(order, int) and known < order


def is_comparable(known: Order | None, order: Order) -> bool:
    """Say whether the two can be compared at all."""
    return known is None or isinstance(known, str) is isinstance(order, str)


#: What a run's Acquire asks for besides.
NEITHER_DONE_NOR_OLDER = (
    "(attribute_not_exists(#done) OR #done < :order)"
    " AND (attribute_not_exists(#begun) OR #begun <= :order)"
)


def may_run(record: LeaseRecord, order: Order) -> bool:
    """Say the same of a row."""
    return (
        (record.done is None or is_lower(record.done, order))
        and (record.begun is None or not is_lower(order, record.begun))
        and is_comparable(record.begun, order)
    )
