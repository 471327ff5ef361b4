"""What a decorator was told, and what it means for one call of its handler."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypedDict

from ._clock import LONGEST
from ._environment import disabled_store, is_disabled
from ._errors import LeaseConfigError, LeaseHeldError
from ._holder import describe_holder
from ._holding.acquire import Steps, acquisition
from ._holding.hold import OnLost
from ._protocol.store import LeaseStore
from ._protocol.term import Term, deadline_of


class SkippedLease(TypedDict):
    """Who held the lease of a skipped run, and until when (epoch seconds)."""

    name: str
    holder: dict[str, str] | None
    held_until: float | None


class Skipped(TypedDict):
    """The result of a handler that did not run: `{"status": "skipped", "lease": {...}}`."""

    status: Literal["skipped"]
    lease: SkippedLease


class Call(NamedTuple):
    """One invocation of a decorated handler, before it has its lease."""

    event: Any
    context: Any
    store: LeaseStore
    steps: Steps


class Rules(NamedTuple):
    """What the decorator was told, checked."""

    name: str
    full_name: Callable[[Any, Any], str]
    duration: float | None
    wait: float
    on_held: Any
    on_lost: OnLost
    min_hold: float
    store: Callable[[], LeaseStore]

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Prepare to take the lease for this call."""
        event = args[0] if args else kwargs.get("event")
        context = args[1] if len(args) > 1 else kwargs.get("context")
        if is_disabled():
            store = disabled_store()
            name, term = self.name, Term(LONGEST)
        else:
            store = self.store()
            name, term = self.full_name(event, context), self._term(context, store)
        steps = acquisition(
            store,
            name,
            term,
            wait=self.wait,
            min_hold=self.min_hold,
            holder=describe_holder(context),
        )
        return Call(event, context, store, steps)

    def held(self, call: Call, error: LeaseHeldError) -> Any:
        """Do what `on_held` says."""
        if self.on_held == "raise":
            raise error
        if self.on_held == "skip":
            lease: SkippedLease = {
                "name": error.name,
                "holder": None if error.holder is None else dict(error.holder),
                "held_until": error.held_until,
            }
            return Skipped(status="skipped", lease=lease)
        return self.on_held(call.event, call.context, error)

    def _term(self, context: Any, store: LeaseStore) -> Term:
        deadline = deadline_of(context, store.clock)
        if deadline is None and self.duration is None:
            raise LeaseConfigError(
                "the context does not tell how long the invocation lasts: give a duration to"
                " @singleton"
            )
        return Term(self.duration, deadline, store.kill_grace)
