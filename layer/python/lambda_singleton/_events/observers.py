"""Who is told what happens to leases: logs, metrics, traces, and observers of one's own."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache

from .._errors import LeaseConfigError
from .event import LeaseEvent
from .logger import logger

#: Is called with every event, in the thread where it happens: also in the one that renews.
Observer = Callable[[LeaseEvent], object]

_added: list[Observer] = []


def observe(observer: Observer) -> Callable[[], None]:
    """Tell `observer` every event of this process from now on; return what ends that.

    What it raises is logged and goes nowhere. The handler waits for it, so it should be quick.
    """
    _added.append(observer)

    def end() -> None:
        if observer in _added:
            _added.remove(observer)

    return end


@cache
def prepare() -> None:
    """Load, once, what telling needs, so that the first event is as fast as any."""
    from . import metrics

    _built_in()
    # What is wrong with it is told with each event.
    with suppress(LeaseConfigError):
        metrics.load()


def tell(event: LeaseEvent) -> None:
    """Let everybody know."""
    for observer in (*_built_in(), *_added):
        try:
            observer(event)
        except Exception:
            logger().exception("lease %r: an observer of %r failed", event.lease, event.kind)


@cache
def _built_in() -> tuple[Observer, ...]:
    # Nothing is told before the first lease: importing the package need not load them.
    from . import logs, metrics, traces

    return logs.log, metrics.write, traces.write
