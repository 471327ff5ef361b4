"""What Lambda tells about an invocation: how long it lasts, and whose it is."""

from __future__ import annotations

import os
from typing import Any

from ._clock import LONGEST, Clock
from ._errors import LeaseConfigError
from ._protocol.store import LeaseStore
from ._protocol.term import Term

#: What all facts about a holder may take of a row, in bytes with their names. With 1 KB a row costs
#: one unit, and a name of 261 bytes leaves this much.
MOST_BYTES = 420


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


def describe_holder(context: Any, execution: str | None = None) -> dict[str, str]:
    """Describe the running invocation, perhaps of an execution's task, or the process.

    This is for people: nothing is decided on it.
    """
    environment = os.environ
    function = environment.get("AWS_LAMBDA_FUNCTION_NAME")
    facts = {"function": function}
    if function:
        facts["version"] = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
    facts["execution"] = execution
    facts["request_id"] = getattr(lambda_context(context), "aws_request_id", None)
    if function:
        facts["log_group"] = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        facts["log_stream"] = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
    facts["region"] = environment.get("AWS_REGION")
    if not function:
        import socket

        facts |= {"host": socket.gethostname(), "process": str(os.getpid())}
    return _within({key: fact for key, fact in facts.items() if isinstance(fact, str) and fact})


def _within(facts: dict[str, str]) -> dict[str, str]:
    told = "".join([*facts, *facts.values()])
    if told.isascii() and len(told) <= MOST_BYTES:
        return facts
    # There is no place in a row for the surrogates that stand for bytes that are no UTF-8.
    encoded = {key: fact.encode(errors="replace") for key, fact in facts.items()}
    left = MOST_BYTES - sum(map(len, facts))
    # The longest are cut, of which most is known without their ends.
    for number, key in enumerate(sorted(encoded, key=lambda key: len(encoded[key]))):
        encoded[key] = encoded[key][: left // (len(facts) - number)]
        left -= len(encoded[key])
    return {key: fact.decode(errors="ignore") for key, fact in encoded.items()}
