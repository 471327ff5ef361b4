"""Sharing another run's success: what is refused, and the name of a handler's work.

Loaded by those who use it only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .._errors import LeaseConfigError

#: A longer name is written as a digest of that length, in characters: a row stays within 1 KB.
LONGEST_NAME = 24


def refuse_misuse(*, once: bool, order: object, wait: float) -> None:
    """Raise `LeaseConfigError` for what cannot go with it."""
    if once or order is not None:
        raise LeaseConfigError(
            f'{"once" if once else "order"} cannot have on_held="coalesce": a run for another event'
            ' would stand in for one that only this event asks for; use "raise"'
        )
    if not wait:
        raise LeaseConfigError(
            'on_held="coalesce" needs a wait, of twice as long as a run takes, such as wait=120: it'
            " waits for a run that begins after this one came"
        )


def work_of(function: Callable[..., Any]) -> str:
    """Return the name of what the handler does: of its Lambda function, module and definition.

    A long one is written as a digest.

    Raises `LeaseConfigError` for a handler without a name, which another one could have as well.
    """
    name = getattr(function, "__qualname__", "")
    if not name or name.endswith("<lambda>"):
        raise LeaseConfigError(
            'on_held="coalesce" needs a function with a name, made with def: others return when a'
            " run of the same name has succeeded"
        )
    work = f"{os.environ.get('AWS_LAMBDA_FUNCTION_NAME', '')}/{function.__module__}.{name}"
    if len(work) <= LONGEST_NAME:
        return work
    from hashlib import sha256

    return sha256(work.encode(errors="surrogatepass")).hexdigest()[:LONGEST_NAME]
