"""A skip that would be kept as the event's result: Powertools' idempotency around a singleton.

Every retry of the event would get that skip, and its work would never be done.
"""

from __future__ import annotations

from types import FrameType

from .._errors import LeaseConfigError

_POWERTOOLS = "aws_lambda_powertools."
_IDEMPOTENCY = _POWERTOOLS + "utilities.idempotency."


def refuse_kept_skip(caller: FrameType | None) -> None:
    """Raise `LeaseConfigError` if idempotency calls the handler, with Powertools' own in between.

    Known by the names of modules: whoever has none of them pays for one comparison.
    """
    while caller is not None:
        module = caller.f_globals.get("__name__") or ""
        if not module.startswith(_POWERTOOLS):
            return
        if module.startswith(_IDEMPOTENCY):
            raise LeaseConfigError(
                'on_held="skip" inside @idempotent: the skip would be kept as the result of the'
                " event, and its work never be done: write @singleton above @idempotent, or use"
                ' on_held="raise"'
            )
        caller = caller.f_back
