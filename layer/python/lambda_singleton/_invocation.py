"""What Lambda tells about an invocation."""

import os
from typing import Any

from ._clock import LONGEST, Clock
from ._errors import LeaseConfigError
from ._protocol.store import LeaseStore
from ._protocol.term import Term


def lambda_context(context: Any) -> Any:
    """Return Lambda's own context: a durable function's context wraps it."""
    return getattr(context, "lambda_context", None) or context


def deadline_of(context: Any, clock: Clock) -> float | None:
    """Return the epoch time at which the invocation ends; None if the context cannot tell.

    A remaining time of 0 means that there is none left, never that there is no deadline. `sam
    local` has returned negative numbers and epoch times.
    """
    read = getattr(lambda_context(context), "get_remaining_time_in_millis", None)
    if not callable(read):
        return None
    try:
        remaining = read()
    except Exception:
        return None
    if isinstance(remaining, bool) or not isinstance(remaining, (int, float)):
        return None
    # Nothing compares with NaN, and some ints are too large for a float.
    if not remaining <= LONGEST * 1000:
        return None
    return clock.time() + max(0, remaining) / 1000


def platform_kills_at_deadline() -> bool:
    """Lambda does; Managed Instances let the handler run on, so the library has to stop it."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "lambda-managed-instances"


def term_of(context: Any, store: LeaseStore, *, duration: float | None, min_hold: float) -> Term:
    """Return how long a lease of this invocation may last.

    Raises `LeaseConfigError` if neither a duration nor the context tells.
    """
    deadline = None if context is None else deadline_of(context, store.clock)
    if deadline is None and duration is None:
        raise LeaseConfigError(
            "the context does not tell how long the invocation lasts: give a duration to @singleton"
        )
    stop = deadline is not None and not platform_kills_at_deadline()
    return Term(duration, deadline, store.kill_grace, min_hold, stop_at_deadline=stop)
