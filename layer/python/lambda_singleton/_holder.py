"""Who holds a lease: for people, never for decisions."""

from __future__ import annotations

import os
import socket
from typing import Any


def describe_holder(context: Any) -> dict[str, str]:
    """Describe the running invocation or, outside of Lambda, the process."""
    environment = os.environ
    invocation = getattr(context, "lambda_context", None) or context
    facts = {
        "function": environment.get("AWS_LAMBDA_FUNCTION_NAME"),
        "version": environment.get("AWS_LAMBDA_FUNCTION_VERSION"),
        "request_id": getattr(invocation, "aws_request_id", None),
        "log_group": environment.get("AWS_LAMBDA_LOG_GROUP_NAME"),
        "log_stream": environment.get("AWS_LAMBDA_LOG_STREAM_NAME"),
        "region": environment.get("AWS_REGION"),
    }
    if facts["function"] is None:
        facts |= {"host": socket.gethostname(), "process": str(os.getpid())}
    return {key: value for key, value in facts.items() if isinstance(value, str) and value}
