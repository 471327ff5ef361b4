"""X-Ray subsegments, through Powertools' Tracer where the function uses it."""

from __future__ import annotations

import sys
from typing import Any

from ._observer import LeaseEvent, Observer

_NAMES = {
    "acquired": "acquire",
    "skipped": "acquire",
    "failed": "acquire",
    "released": "release",
}


def observer() -> Observer | None:
    """Return what writes subsegments, or None where the function has no Tracer."""
    tracing: Any = sys.modules.get("aws_lambda_powertools.tracing")
    # Whoever imports anything of Powertools has that module; only a Tracer loads X-Ray's.
    if tracing is None or "aws_xray_sdk.core" not in sys.modules:
        return None
    # It shares its provider with the function's own, which has patched what it wants to.
    tracer = tracing.Tracer(auto_patch=False)

    def write(event: LeaseEvent) -> None:
        if event.kind not in _NAMES:
            return
        name = event.lease.partition("#")[0]
        with tracer.provider.in_subsegment(name=f"{_NAMES[event.kind]} lease {name}") as segment:
            if event.took is not None:
                segment.start_time = event.at - event.took
            segment.put_annotation("lease", event.lease)
            segment.put_annotation("decision", event.kind)
            if event.token is not None:
                segment.put_annotation("token", event.token)

    return write
