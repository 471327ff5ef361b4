"""OpenTelemetry spans for leases: call `trace_leases()` once, when the function is loaded.

The package's own traces are X-Ray's, through Powertools. This one goes wherever the function's
OpenTelemetry goes, below the span that is current.
"""

from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from lambda_singleton import LeaseEvent, observe

#: What takes time, and the name of its span.
SPANS = {
    "acquired": "acquire lease",
    "skipped": "acquire lease",
    "failed": "acquire lease",
    "released": "release lease",
    "release_failed": "release lease",
}


def trace_leases() -> Callable[[], None]:
    """Write a span for each lease that is taken, refused or given back; return what ends that."""
    tracer = trace.get_tracer("lambda_singleton")

    def write(event: LeaseEvent) -> None:
        if event.kind not in SPANS:
            # A loss or a renewal belongs to what runs just now.
            trace.get_current_span().add_event(
                f"lease {event.kind}", {"lease": event.lease}, timestamp=nanoseconds(event.at)
            )
            return
        span = tracer.start_span(
            # The name without the key: a span's name is a kind of work, not a tenant.
            f"{SPANS[event.kind]} {event.lease.partition('#')[0]}",
            start_time=nanoseconds(event.at - (event.took or 0)),
            attributes={"lease": event.lease, "decision": event.kind},
        )
        if event.token is not None:
            span.set_attribute("token", event.token)
        if event.error is not None:
            span.record_exception(event.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=nanoseconds(event.at))

    return observe(write)


def nanoseconds(seconds: float) -> int:
    """Return an epoch time as OpenTelemetry counts it."""
    return int(seconds * 1_000_000_000)
