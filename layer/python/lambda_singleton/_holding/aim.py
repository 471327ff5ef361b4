"""What a run is for, beyond being the only one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .._errors import LeaseConfigError, RefusalReason
from .._protocol.order import Order, is_comparable, is_lower
from .._protocol.record import LeaseRecord
from .._text import quoted


class Aim(NamedTuple):
    """What its success means to others: that this order is done. Without any, it means nothing."""

    order: Order | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether success is written into the row."""
        return self.order is not None

    def refused_by(self, record: LeaseRecord | None) -> RefusalReason | None:
        """Say why a row refuses this run for good; None: it may be worth waiting.

        Raises `LeaseConfigError` if the row has orders of another type: DynamoDB finds nothing
        greater or less than those, so that the work would seem to be done for ever.
        """
        if self.order is None or record is None:
            return None
        for known in (record.done, record.begun):
            if not is_comparable(known, self.order):
                raise LeaseConfigError(
                    f"the order of lease {quoted(record.name)} was a {_type(known)} before and is a"
                    f" {_type(self.order)} now: keep to one of them, or forget what was done with"
                    " `lambda-singleton redo`"
                )
        if record.done is not None and not is_lower(record.done, self.order):
            return "done"
        is_newer = record.begun is not None and is_lower(self.order, record.begun)
        return "superseded" if is_newer else None

    def is_done_in(self, record: LeaseRecord | None) -> bool:
        """Say whether the row tells of this run's success, or of a later one's."""
        if self.order is None:
            return True
        known = None if record is None else record.done
        return known is not None and not is_lower(known, self.order)


NOTHING_MORE = Aim()


def is_partial(result: object) -> bool:
    """Say whether a handler's result asks for a part of its batch once more."""
    items: Any = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    return bool(items)


def _type(order: Order | None) -> str:
    return "time" if isinstance(order, str) else "number"
