"""Durable functions: refused without `park=`, since a lease cannot last through their waits.

AWS runs a durable handler from its start again after each wait. Its first run would give the lease
back as it suspends; the next one would find its own minimum hold, be skipped, and end the execution
as if all of the work were done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import LeaseConfigError

_SDK = "aws_durable_execution_sdk_python"

_INSTEAD = (
    "a durable function runs from its start again after each of its waits, and a lease does not"
    " last through them by itself: write @singleton(..., park=3600) below @durable_execution, or"
    " remove @singleton, and take the lease inside a step:"
    ' `with Lock("name", 60):` in the function that you give to context.step()'
)


def refuse_durable(event: Any, context: Any) -> None:
    """Raise `LeaseConfigError` for a call that a durable function gets, or gives on.

    It is known by names, without the SDK: whoever has none pays for two comparisons.
    """
    if is_durable_context(context) or _is_durable_event(event):
        raise LeaseConfigError(_INSTEAD)


def refuse_durable_handler(handler: Callable[..., Any]) -> None:
    """Raise `LeaseConfigError` for a handler that `durable_execution` has made, at any depth."""
    layer: Any = handler
    while layer is not None:
        # functools.wraps gives it the name and the module of the user's function, but not these.
        module = getattr(layer, "__globals__", {}).get("__name__", "")
        if module.startswith(_SDK):
            raise LeaseConfigError(_INSTEAD)
        layer = getattr(layer, "__wrapped__", None)


def is_durable_context(context: Any) -> bool:
    """Say whether that is the SDK's context, or one around it."""
    kind = type(context)
    if kind.__module__.startswith(_SDK):
        return True
    # A class of the user's around it. Mocks have any attribute, but their classes have not.
    return callable(getattr(kind, "step", None)) and hasattr(context, "lambda_context")


def _is_durable_event(event: Any) -> bool:
    # What the service sends to a durable function, in place of the user's event.
    if type(event) is dict:
        return "DurableExecutionArn" in event and "CheckpointToken" in event
    return type(event).__module__.startswith(_SDK)
