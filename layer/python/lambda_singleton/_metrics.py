"""Metrics in CloudWatch's embedded format, through Powertools where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ._environment import is_on
from ._errors import LeaseDeadlineError
from ._observer import LeaseEvent, Observer

NAMESPACE = "SINGLETON_METRICS_NAMESPACE"
DISABLED = "SINGLETON_METRICS_DISABLED"

_COUNTED = {
    "acquired": "Acquired",
    "skipped": "Skipped",
    "lost": "Lost",
    "renewal_failed": "RenewalFailures",
    "release_failed": "ReleaseFailures",
    "failed": "StoreErrors",
}


def observer() -> Observer | None:
    """Return what writes metrics to stdout, or None where that is off.

    It is on in Lambda, or where a namespace is given, if Powertools is installed and neither its
    own switch nor ours is on.
    """
    namespace = os.environ.get(NAMESPACE)
    in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
    if is_on(DISABLED) or not (namespace or in_lambda):
        return None
    try:
        from aws_lambda_powertools.metrics import EphemeralMetrics
    except ImportError:
        return None

    def write(event: LeaseEvent) -> None:
        measured = list(_measured(event))
        if not measured:
            return
        metrics = EphemeralMetrics(namespace=namespace or "LambdaSingleton")
        # Not the key: a metric for each tenant would cost more than the leases.
        metrics.add_dimension("lease", _dimension(event.lease.partition("#")[0]))
        for name, unit, value in measured:
            metrics.add_metric(name, unit, value)
        metrics.flush_metrics()

    return write


def _measured(event: LeaseEvent) -> Iterator[tuple[str, str, float]]:
    if event.kind in _COUNTED and not isinstance(event.error, LeaseDeadlineError):
        yield _COUNTED[event.kind], "Count", 1
    # Zeros as well: of a period with skips only, the maximum of `Acquired` is 0.
    if event.kind == "skipped":
        yield "Acquired", "Count", 0
    if event.kind == "released":
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
