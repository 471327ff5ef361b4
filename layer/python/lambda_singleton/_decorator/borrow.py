"""Which execution of a state machine a lease is borrowed from. Loaded by those who borrow only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._clock import seconds
from .._errors import LeaseConfigError
from .._name import searching
from .._protocol.record import LONGEST_OWNER, is_pause
from .._text import quoted

if TYPE_CHECKING:
    from datetime import timedelta


def borrowing(lease: str, borrow: object) -> Callable[[Any, Any], str | None]:
    """Return what gives the execution for an event and a context; None: there is none."""
    if isinstance(borrow, str):
        find = searching(borrow, "borrow")
    elif callable(borrow):
        find = borrow
    else:
        raise LeaseConfigError(
            f"borrow must be a JMESPath expression or a callable, not {borrow!r}"
        )

    def execution_of_event(event: Any, context: Any) -> str | None:
        try:
            value = find(event, context)
        except Exception as error:
            raise LeaseConfigError(
                f"the execution {borrow!r} of lease {quoted(lease)} could not be computed from the"
                f" event: {type(error).__name__}"
            ) from (error if callable(borrow) else None)
        return None if value is None else _execution(value, lease)

    return execution_of_event


def park_of(park: float | timedelta | None, duration: float | timedelta | None) -> float:
    """Return the seconds of a park; raise `LeaseConfigError` if the execution could lose by it."""
    if duration is None:
        raise LeaseConfigError("borrow needs a duration: how long a task that was killed has it")
    if park is None:
        raise LeaseConfigError(
            "borrow needs park: the seconds that a killed task's lease stays with its execution,"
            " such as twice the duration"
        )
    # A task must not believe in a lease for longer than others are kept out.
    return seconds(park, "park", least=seconds(duration, "duration"))


def refuse_combinations(
    *, once: bool, order: object, on_held: object, min_hold: float | timedelta
) -> None:
    """Raise `LeaseConfigError` for what does not go together with borrow."""
    if on_held in ("skip", "coalesce"):
        raise LeaseConfigError(
            f"borrow cannot have on_held={on_held!r}: the state machine would go on as if its task"
            ' had done its work: use "raise", and Retry by the name LeaseHeldError'
        )
    if once or order is not None:
        raise LeaseConfigError("borrow excludes once and order: what is done is the execution's")
    if min_hold:
        raise LeaseConfigError(
            "borrow cannot have a min_hold: the execution goes on with the lease"
        )


def _execution(value: object, lease: str) -> str:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_OWNER and not is_pause(value):
        return value
    raise LeaseConfigError(
        f"the execution that lease {quoted(lease)} is borrowed from must be a text of up to"
        f" {LONGEST_OWNER} characters, such as $states.context.Execution.Id"
    )
