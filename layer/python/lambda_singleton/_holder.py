"""Who holds a lease: for people, never for decisions."""

from __future__ import annotations

import os
from typing import Any

from ._invocation import lambda_context

#: What all facts may take of a row, in bytes with their names. With 1 KB a row costs one unit, and
#: a name of 261 bytes leaves this much.
MOST_BYTES = 420


def describe_holder(context: Any) -> dict[str, str]:
    """Describe the running invocation or, outside of Lambda, the process."""
    environment = os.environ
    facts = {
        "function": environment.get("AWS_LAMBDA_FUNCTION_NAME"),
        "version": environment.get("AWS_LAMBDA_FUNCTION_VERSION"),
        "request_id": getattr(lambda_context(context), "aws_request_id", None),
        "log_group": environment.get("AWS_LAMBDA_LOG_GROUP_NAME"),
        "log_stream": environment.get("AWS_LAMBDA_LOG_STREAM_NAME"),
        "region": environment.get("AWS_REGION"),
    }
    if not facts["function"]:
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
