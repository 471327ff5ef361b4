"""Metrics in CloudWatch's embedded format, through Powertools where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from .._errors import LeaseDeadlineError, LeaseLostError
from .._switch import is_on
from .event import LeaseEvent

NAMESPACE = "SINGLETON_METRICS_NAMESPACE"
DISABLED = "SINGLETON_METRICS_DISABLED"

_COUNTED = {
    "acquired": "Acquired",
    "skipped": "Skipped",
    "coalesced": "Coalesced",
    "lost": "Lost",
    "renewal_failed": "RenewalFailures",
    "release_failed": "ReleaseFailures",
    "unrecorded": "Unrecorded",
    "failed": "StoreErrors",
}


def load() -> None:
    """Load what metrics need, where there are to be some."""
    if _namespace() is not None and _ephemeral_metrics() is not None:
        # The codec is a module as well.
        _dimension("")


def write(event: LeaseEvent) -> None:
    """Write what can be measured of the event to stdout, where that is on."""
    namespace = _namespace()
    if namespace is None or _ephemeral_metrics() is None:
        return
    measured = list(_measured(event))
    if not measured:
        return
    metrics = _ephemeral_metrics()(namespace=namespace)
    # Not the key: a metric for each tenant would cost more than the leases.
    metrics.add_dimension("lease", _dimension(event.lease.partition("#")[0]))
    for name, unit, value in measured:
        metrics.add_metric(name, unit, value)
    metrics.flush_metrics()


def _namespace() -> str | None:
    # On in Lambda, and wherever a namespace is given.
    namespace = os.environ.get(NAMESPACE)
    if not namespace and "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return None
    return None if is_on(DISABLED) else namespace or "LambdaSingleton"


@cache
def _ephemeral_metrics() -> Any:
    try:
        from aws_lambda_powertools.metrics import EphemeralMetrics
    except ImportError:
        return None
    return EphemeralMetrics


def _measured(event: LeaseEvent) -> Iterator[tuple[str, str, float]]:
    if event.kind == "failed" and isinstance(event.error, LeaseLostError):
        # Its execution has lost it, and the store has answered.
        yield _COUNTED["lost"], "Count", 1
    elif event.kind in _COUNTED and not isinstance(event.error, LeaseDeadlineError):
        yield _COUNTED[event.kind], "Count", 1
    # Zeros as well: of a period with skips only, the maximum of `Acquired` is 0.
    if event.kind in ("skipped", "coalesced"):
        yield "Acquired", "Count", 0
    # What is parked has neither succeeded nor failed yet.
    if event.kind == "released" and event.outcome != "parked":
        yield "Succeeded", "Count", float(event.outcome == "succeeded")
    if event.taken_from:
        yield "TakeOvers", "Count", 1
    if event.waited is not None:
        yield "WaitTime", "Milliseconds", event.waited * 1000
    if event.kind == "acquired" and event.took is not None:
        yield "AcquireLatency", "Milliseconds", (event.took - (event.waited or 0)) * 1000
    if event.held is not None:
        yield "HeldTime", "Milliseconds", event.held * 1000


def _dimension(name: str) -> str:
    # CloudWatch takes printable ASCII only.
    return name.encode("unicode_escape").decode()
