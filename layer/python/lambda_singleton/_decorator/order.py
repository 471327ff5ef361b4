"""An event's order, read from the event and written in the one form that rows have.

Loaded by those who use it only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from .._errors import LeaseConfigError
from .._name import searching
from .._protocol.order import HIGHEST_ORDER, Order
from .._text import quoted

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?:[Zz]|([+-])(\d\d):?(\d\d))",
    re.ASCII,
)

_INSTEAD = (
    "give a whole number, such as a version, or a time with its offset, such as"
    " 2030-01-31T12:00:00Z; a callable can make one from anything that rises"
)


def ordering(lease: str, order: object) -> Callable[[Any, Any], Order]:
    """Return what gives the order for an event and a context."""
    if isinstance(order, str):
        find = searching(order, "order")
    elif callable(order):
        find = order
    else:
        raise LeaseConfigError(f"order must be a JMESPath expression or a callable, not {order!r}")

    def order_of_event(event: Any, context: Any) -> Order:
        try:
            value = find(event, context)
        except Exception as error:
            raise LeaseConfigError(
                f"the order {order!r} of lease {quoted(lease)} could not be computed from the"
                f" event: {type(error).__name__}"
            ) from (error if callable(order) else None)
        return order_of(value, lease)

    return order_of_event


def order_of(value: object, lease: str) -> Order:
    """Return the order in the form of rows; raise `LeaseConfigError` for what is none."""
    # Only what is a number for everybody: JSON's 1.0 may be a version, or a time that was cut off.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HIGHEST_ORDER:
        return value
    text = value.isoformat() if isinstance(value, datetime) and value.tzinfo else value
    time = _TIME.fullmatch(text) if isinstance(text, str) else None
    if time is not None:
        # Some months have no 31st, and the calendar has two ends.
        try:
            return _in_utc(time)
        except (ValueError, OverflowError):
            pass
    raise LeaseConfigError(
        f"the order of lease {quoted(lease)} is {_kind(value)}, which cannot be compared:"
        f" {_INSTEAD}"
    )


def _in_utc(time: re.Match[str]) -> str:
    # "...00Z" sorts after "...00.123Z": every time gets nine digits, and no other offset.
    moment, fraction, sign, hours, minutes = time.groups()
    local = datetime.fromisoformat(moment.upper()).replace(tzinfo=UTC)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    utc = local + offset if sign == "-" else local - offset
    return f"{utc.isoformat()[:19]}.{(fraction or '').ljust(9, '0')}Z"


def _kind(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "a number below 0, or of more than 38 digits"
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(r"\d{4}-\d\d", value)):
        return "no time, or one without its offset"
    if isinstance(value, str):
        return "a text of digits" if value.isdecimal() else "a text that is no time"
    return "missing" if value is None else f"a {type(value).__name__}"
