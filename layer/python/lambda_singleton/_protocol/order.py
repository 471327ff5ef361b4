"""What a run is the run of: a slot's, or a version's.

An order is a whole number, or a time as text, which is compared byte by byte.
"""

from __future__ import annotations

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
