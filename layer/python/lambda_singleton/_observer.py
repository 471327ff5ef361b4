"""What happens to leases, told to whoever wants to know: logs, metrics, traces, and observers."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Literal, NamedTuple

from ._errors import LeaseConfigError

Kind = Literal[
    "acquired",
    "waiting",
    "skipped",
    "failed",
    "renewed",
    "renewal_failed",
    "lost",
    "released",
    "release_failed",
    "forced",
]


class LeaseEvent(NamedTuple):
    """Something that happened to a lease. Times are epoch seconds, lengths are seconds.

    `kind` is one of

    - "acquired": by `owner`, with `token`, until `until`; it `took` that long, of which it
      `waited`. `taken_from` is the owner that died with it, None if the lease was free.
    - "waiting": `holder` has it, at least until `held_until` if they renew no more.
    - "skipped": the handler does not run, since `holder` has the lease until `held_until`.
    - "failed": the handler does not run, because of `error`.
    - "renewed": until `until`.
    - "renewal_failed": because of `error`. It is tried again while the lease lasts.
    - "lost": `reason` is "stolen" or "expired".
    - "released": after it was `held`, with the run's `outcome`; it `took` that long.
    - "release_failed": because of `error`. The lease ends by itself.
    - "forced": somebody has freed it by force, and raised `token`.
    """

    kind: Kind
    #: The lease's full name.
    lease: str
    at: float
    owner: str | None = None
    token: int | None = None
    until: float | None = None
    took: float | None = None
    waited: float | None = None
    taken_from: str | None = None
    held: float | None = None
    outcome: str | None = None
    reason: str | None = None
    holder: Mapping[str, str] | None = None
    held_until: float | None = None
    error: Exception | None = None


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
    from . import _metrics

    # What is wrong with it is told with each event.
    with suppress(LeaseConfigError):
        _metrics.load()


def tell(event: LeaseEvent) -> None:
    """Let everybody know."""
    for observer in (*_built_in(), *_added):
        try:
            observer(event)
        except Exception:
            from ._logs import logger

            logger().exception("lease %r: an observer of %r failed", event.lease, event.kind)


@cache
def _built_in() -> tuple[Observer, ...]:
    # They import this module.
    from . import _logs, _metrics, _traces

    return _logs.log, _metrics.write, _traces.write
