"""What a run is for, beyond being the only one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .._errors import LeaseConfigError, RefusalReason
from .._protocol.coalesce import LaterSuccess, Success
from .._protocol.operations import Acquire
from .._protocol.order import Order, is_comparable, is_lower
from .._protocol.record import LeaseRecord
from .._text import quoted
from .refusal import CoalescedError, done

#: When a waiter saw the first row, and the token in that.
First = tuple[float, int] | None


class Aim(NamedTuple):
    """What its success means to others. Without any of these, it means nothing.

    That this `order` is done; or, to those who wait to do the same `work`, that it is done if the
    run began after they came. Orders are `rising` if the row has runs of more than one.
    """

    order: Order | None = None
    work: str | None = None
    rising: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether success is written into the row."""
        return self.order is not None or self.work is not None

    def refuse(self, name: str, record: LeaseRecord | None, first: First) -> None:
        """Raise `LeaseHeldError` if the row refuses this run for good.

        Raises `LeaseConfigError` if the row has orders of another type.
        """
        later = self._later_success(first)
        if record is None:
            return
        if record.success is not None and later is not None and later.is_in(record.success):
            raise CoalescedError(name, record.success)
        reason = self.refused_by(record)
        if reason is not None:
            raise done(name, record, reason)

    def refused_by(self, record: LeaseRecord | None) -> RefusalReason | None:
        """Say why a row refuses this run for its order; None: it may be worth waiting.

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

    def is_done_in(self, record: LeaseRecord | None, token: int) -> bool:
        """Say whether the row tells of the success of this run, or of a later one."""
        success = None if record is None else record.success
        if self.work is not None and not LaterSuccess(token - 1, self.work).is_in(success):
            return False
        if self.order is None:
            return True
        known = None if record is None else record.done
        return known is not None and not is_lower(known, self.order)

    def unless_done(self, asked: Acquire, first: First) -> Acquire:
        """Return the request, which a success that this run may share refuses."""
        if self.work is None:
            return asked
        return asked._replace(unless=self._later_success(first))

    def _later_success(self, first: First) -> LaterSuccess | None:
        return None if self.work is None or first is None else LaterSuccess(first[1], self.work)

    def success(self, token: int) -> Success | None:
        """Return what the success of the run with that token leaves for others."""
        return None if self.work is None else Success(token, self.work)


NOTHING_MORE = Aim()


def is_partial(result: object) -> bool:
    """Say whether a handler's result asks for a part of its batch once more."""
    items: Any = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    return bool(items)


def _type(order: Order | None) -> str:
    return "time" if isinstance(order, str) else "number"
