"""X-Ray subsegments, through Powertools' Tracer where the function uses it."""

from __future__ import annotations

import sys
from typing import Any

from .event import LeaseEvent

_NAMES = {
    "acquired": "acquire",
    "skipped": "acquire",
    "failed": "acquire",
    "released": "release",
}


def write(event: LeaseEvent) -> None:
    """Write a subsegment for the event, where the function has a Tracer."""
    tracing: Any = sys.modules.get("aws_lambda_powertools.tracing")
    # Whoever imports anything of Powertools has that module; only a Tracer loads X-Ray's.
    if event.kind not in _NAMES or tracing is None or "aws_xray_sdk.core" not in sys.modules:
        return
    # It shares its provider with the function's own, which has patched what it wants to.
    provider = tracing.Tracer(auto_patch=False).provider
    name = event.lease.partition("#")[0]
    with provider.in_subsegment(name=f"{_NAMES[event.kind]} lease {name}") as segment:
        if event.took is not None:
            segment.start_time = event.at - event.took
        segment.put_annotation("lease", event.lease)
        segment.put_annotation("decision", event.kind)
        if event.token is not None:
            segment.put_annotation("token", event.token)
