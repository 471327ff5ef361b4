"""Who holds a lease: for people, never for decisions."""

from __future__ import annotations

import os
from typing import Any

from ._invocation import lambda_context

#: What AWS itself allows for the longest of them, a log group's name.
LONGEST_FACT = 512


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
    return {key: _told(value) for key, value in facts.items() if isinstance(value, str) and value}


def _told(fact: str) -> str:
    if fact.isascii() and len(fact) <= LONGEST_FACT:
        return fact
    # A row has 400 KB, and no place for the surrogates that stand for bytes that are no UTF-8.
    return fact[:LONGEST_FACT].encode(errors="replace").decode()
