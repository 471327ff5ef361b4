"""What really happened, and whether it was allowed.

Every participant writes down what it does and what it is told, on one clock that they all share.
The judge knows nothing but these events.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Literal

Kind = Literal[
    # Of a try to take the lease.
    "attempted",
    "refused",
    # Of the handler under it.
    "started",
    "held",
    "wrote",
    "fenced",
    "told",
    "stopped",
    "released",
    "ended",
    # Of its job: the handler has done it, the store has recorded that, its event is over.
    "succeeded",
    "recorded",
    "settled",
    # It was told of somebody else's success; it began although it could have been.
    "shared",
    "repeated",
    # In the store: which order has begun, how far a run has come, and what a step has done.
    "begun",
    "advanced",
    "effected",
    # Of its process.
    "forked",
    "inherited",
    "hung",
    "cancelled",
    "frozen",
    "thawed",
    "killed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a participant did or was told.

    `run` is one try to take a lease and all that follows from it. "held": a sign of life of the
    handler. "told": it learnt that its lease is lost. "wrote" and "fenced": a write to a guarded
    resource was accepted, or refused for its old token. "stopped": the handler has returned.
    "released": the store has confirmed it. "ended": nothing more is sent, whatever the outcome was;
    what was cut off may still send in the background, and then ends anew. "inherited": a child of
    fork() has looked at its parent's lease. "hung": an observer hangs. "cancelled": somebody
    has cancelled its task.
    """

    at: float
    kind: Kind
    run: str = ""
    lease: str = ""
    #: Of "started", "wrote" and "fenced".
    token: int | None = None
    #: Of "attempted": where it is held, such as in a thread.
    place: str = ""
    #: Of "started" and "held": the end of the lease, as far as its holder knows.
    #: Of "inherited": the same, if the child believes to hold it.
    until: float | None = None
    #: Of "refused", "wrote" and "fenced": when the request was sent that got this answer.
    since: float | None = None
    #: Of "refused": the run that holds the lease.
    holder: str | None = None
    #: Of "attempted": the length of one lease, in seconds.
    duration: float = inf
    #: Of "attempted": when the invocation ends.
    deadline: float = inf
    #: Of "wrote" and "fenced": what was written to.
    resource: str = ""
    #: Of "started", "wrote", "recorded" and "settled": which slot's or version's run it is.
    order: int | None = None
    #: Of "settled": why nothing more is done for the event.
    outcome: str = ""
    #: Of "started", "succeeded" and "shared": what is done for others as well.
    work: str = ""

    def to_json(self) -> str:
        """Write it as one line, without what it has not."""
        facts = asdict(self)
        return json.dumps({k: v for k, v in facts.items() if v not in (None, inf, "")})

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read such a line."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds."""

    start: float
    end: float

    def overlaps(self, other: Span) -> bool:
        """Whether the two have more than a moment in common."""
        return max(self.start, other.start) < min(self.end, other.end)


@dataclass(frozen=True)
class Promise:
    """What the judge holds the library to; lengths in seconds.

    `difference` is how much the participants' clocks really differ. A handler that wakes up after
    its lease's end is told `told_within` that time: until then only its token protects what it
    writes to.
    """

    clock_skew: float = 1.0
    kill_grace: float = 2.0
    difference: float = 0.0
    told_within: float = 0.0


class Run:
    """One try to take a lease, and what followed."""

    def __init__(self, events: list[Event], end: float = inf) -> None:
        self._end = end
        self._events = sorted(events, key=lambda event: event.at)
        self.id = events[0].run
        self.lease = next((event.lease for event in self._events if event.lease), "")
        self.place = next((event.place for event in self._events if event.place), "")

    def when(self, *kinds: Kind) -> float | None:
        """Return when the first event of these kinds was."""
        return next((event.at for event in self._events if event.kind in kinds), None)

    @cached_property
    def token(self) -> int:
        """The fencing token; 0 if the lease was not got."""
        return next((event.token for event in self._events if event.token is not None), 0)

    @cached_property
    def pauses(self) -> tuple[Span, ...]:
        """When its process was stopped and did nothing."""
        pauses: list[Span] = []
        for event in self._events:
            if event.kind == "frozen":
                pauses.append(Span(event.at, inf))
            elif event.kind == "thawed" and pauses:
                pauses[-1] = Span(pauses[-1].start, event.at)
        return tuple(pauses)

    @cached_property
    def ran(self) -> bool:
        """Whether it got the lease and its handler started."""
        return self.when("started") is not None

    @cached_property
    def span(self) -> Span:
        """When its handler was there, up to the end of the history; empty if it never ran."""
        start, end = self.when("started"), self.when("stopped", "killed")
        return Span(inf if start is None else start, self._end if end is None else end)

    @property
    def active(self) -> Iterator[Span]:
        """When its handler could act."""
        start = self.span.start
        for pause in self.pauses:
            if start <= pause.start < self.span.end:
                yield Span(start, pause.start)
                start = min(pause.end, self.span.end)
        yield Span(start, self.span.end)

    def believed_end(self, at: float) -> float:
        """Return until when it believed at that time to have the lease."""
        ends = [e.until for e in self._events if e.at <= at and e.until is not None]
        return ends[-1] if ends else -inf

    def last_sign(self, at: float) -> float:
        """Return when it could last have sent a request, of the time up to `at`."""
        ends = [event.at for event in self._events if event.kind in ("ended", "killed")]
        sign = min([at, *ends[-1:]])
        return next((p.start for p in self.pauses if p.start <= sign < p.end), sign)

    def blocks_until(self, at: float, promise: Promise) -> float:
        """Return until when others may be refused because of what it sent up to `at`.

        Also after its release: requests of before that come late can take the lease for nobody.
        """
        attempt = self._events[0]
        end = min(self.last_sign(at) + attempt.duration, attempt.deadline + promise.kill_grace)
        return end + promise.clock_skew + promise.difference


class History:
    """Everything that was seen."""

    def __init__(self, events: Iterable[Event] = (), promise: Promise | None = None) -> None:
        self.events = list(events)
        self.promise = promise or Promise()

    @cached_property
    def runs(self) -> list[Run]:
        """All runs, in the order in which they began."""
        end = max((event.at for event in self.events), default=inf)
        events: defaultdict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            events[event.run].append(event)
        return [Run(of_one, end) for of_one in events.values()]

    def violations(self) -> list[str]:
        """Return what must never happen and yet did, in words."""
        return [
            *self.overlaps(),
            *self.token_falls(),
            *self.untold(),
            *self.stuck(),
            *self.stale_writes(),
            *self.believed(),
            *self.endless(),
            *self.jobs(),
        ]

    def jobs(self) -> list[str]:
        """Return what must never happen to a job that has to happen, in words."""
        return [
            *self.done_twice(),
            *self.order_falls(),
            *self.settled_in_vain(),
            *self.progress_falls(),
            *self.done_again(),
            *self.misled(),
            *self.in_vain(),
        ]

    def overlaps(self) -> Iterator[str]:
        """Yield where two handlers of one lease were at work at the same time."""
        for lease, runs in self._handlers():
            open_runs: list[Run] = []
            for run in runs:
                open_runs = [other for other in open_runs if other.span.end > run.span.start]
                for other in open_runs:
                    if any(a.overlaps(b) for a in self.trusted(other) for b in self.trusted(run)):
                        yield (
                            f"two handlers of {lease} at the same time:"
                            f" tokens {other.token} and {run.token}"
                        )
                open_runs.append(run)

    def token_falls(self) -> Iterator[str]:
        """Yield where a later handler's token was not higher."""
        for lease, runs in self._handlers():
            for before, after in pairwise(runs):
                if after.token <= before.token:
                    yield f"the token of {lease} fell from {before.token} to {after.token}"

    def untold(self) -> Iterator[str]:
        """Yield where a handler was at work after its lease's end, and did not know."""
        for lease, runs in self._handlers():
            for run in runs:
                told = run.when("told")
                for span in run.active:
                    end = run.believed_end(span.end)
                    latest = max(end, span.start) + self.promise.told_within
                    if end > -inf and latest < min(span.end, inf if told is None else told):
                        yield f"a handler of {lease}, token {run.token}, was not told of its loss"
                        break

    def stuck(self) -> Iterator[str]:
        """Yield where somebody was refused because of a holder that was dead for too long."""
        for event, sent, holder in self._refusals():
            if holder is None:
                yield f"{event.lease} is held by {event.holder}, who never asked for it"
            elif sent > holder.blocks_until(event.at, self.promise):
                yield f"{event.lease} was still blocked by {event.holder}, who is dead"

    def longest_block(self) -> float:
        """Return for how many seconds at most a holder blocked others after its last sign."""
        blocks = [sent - holder.last_sign(e.at) for e, sent, holder in self._refusals() if holder]
        return max(blocks, default=0.0)

    def _refusals(self) -> Iterator[tuple[Event, float, Run | None]]:
        runs = {run.id: run for run in self.runs}
        for event in self.events:
            if event.kind == "refused" and event.holder is not None:
                sent = event.at if event.since is None else event.since
                yield event, sent, runs.get(event.holder)

    def stale_writes(self) -> Iterator[str]:
        """Yield where a guarded resource took a token after it had seen a higher one."""
        # For each resource the times of the writes so far, and the highest token up to each.
        times: defaultdict[str, list[float]] = defaultdict(list)
        highest: defaultdict[str, list[int]] = defaultdict(list)
        for write in sorted(self.events, key=lambda event: event.at):
            if write.kind != "wrote" or write.token is None:
                continue
            before, tokens = times[write.resource], highest[write.resource]
            # A reply may be slow: the order is certain only if one ended before the other began.
            ended = bisect_right(before, write.at if write.since is None else write.since)
            if ended and tokens[ended - 1] > write.token:
                yield f"{write.resource} accepted a write with the old token {write.token}"
            before.append(write.at)
            tokens.append(max(write.token, tokens[-1] if tokens else 0))

    def believed(self) -> Iterator[str]:
        """Yield where a child of fork() believed to hold its parent's lease."""
        for event in self.events:
            if event.kind == "inherited" and event.until is not None:
                yield f"a child of fork() believed to hold {event.lease}"

    def endless(self) -> Iterator[str]:
        """Yield where a child of fork() hung: nobody kills those."""
        for run in self.runs:
            if run.place == "child" and run.when("ended") is None:
                yield f"a child of fork() that wanted {run.lease} never came to an end"

    def done_twice(self) -> Iterator[str]:
        """Yield where the success of one slot, or version, was recorded twice."""
        recorded = Counter((e.lease, e.order) for e in self.events if e.kind == "recorded")
        yield from (
            f"run {order} of {lease} has succeeded {times} times"
            for (lease, order), times in recorded.items()
            if times > 1
        )

    def order_falls(self) -> Iterator[str]:
        """Yield where an older version was written after a newer one had begun."""
        newest: defaultdict[str, int] = defaultdict(int)
        for event in sorted(self.events, key=lambda event: event.at):
            if event.order is None or event.kind not in ("started", "begun", "wrote"):
                continue
            if event.order < newest[event.lease]:
                yield f"version {event.order} of {event.lease} was at work after a newer one"
            newest[event.lease] = max(newest[event.lease], event.order)

    def progress_falls(self) -> Iterator[str]:
        """Yield where progress went back before the job had succeeded."""
        far: dict[str, int] = {}
        for event in sorted(self.events, key=lambda event: event.at):
            if event.kind == "recorded":
                far.pop(event.lease, None)
            if event.kind == "advanced" and event.order is not None:
                if event.order < far.get(event.lease, 0):
                    yield f"the progress of {event.lease} went back to {event.order}"
                far[event.lease] = event.order

    def done_again(self) -> Iterator[str]:
        """Yield where the effect of a step was not applied once, after the one before."""
        far: defaultdict[str, int] = defaultdict(int)
        for event in sorted(self.events, key=lambda event: event.at):
            if event.kind == "effected" and event.order is not None:
                if event.order != far[event.lease] + 1:
                    yield f"step {event.order} of {event.lease} came after {far[event.lease]}"
                far[event.lease] = max(far[event.lease], event.order)

    def misled(self) -> Iterator[str]:
        """Yield where a caller was told of a success, and no run after it came has had one."""
        came: dict[str, float] = {}
        began: dict[str, float] = {}
        # Of those that have succeeded: when the latest one began.
        latest: dict[tuple[str, str], float] = {}
        for event in sorted(self.events, key=lambda event: event.at):
            what = (event.lease, event.work)
            if event.kind == "attempted":
                came[event.run] = event.at
            elif event.kind == "started":
                began[event.run] = event.at
            elif event.kind == "succeeded" and event.work:
                latest[what] = max(latest.get(what, -inf), began[event.run])
            elif event.kind == "shared" and latest.get(what, -inf) < came[event.run]:
                yield f"a caller of {event.lease} was told of a later run, and there was none"

    def in_vain(self) -> Iterator[str]:
        """Yield where a caller that could share a run began one of its own."""
        yield from (
            f"a run of {event.lease} began in vain"
            for event in self.events
            if event.kind == "repeated"
        )

    def settled_in_vain(self) -> Iterator[str]:
        """Yield where an event was taken for done, and nobody had done it before."""
        latest: defaultdict[str, int] = defaultdict(int)
        for event in sorted(self.events, key=lambda event: event.at):
            if event.kind == "succeeded" and event.order is not None:
                latest[event.lease] = max(latest[event.lease], event.order)
            is_done = event.kind == "settled" and event.outcome == "done"
            if is_done and (event.order or 0) > latest[event.lease]:
                yield f"run {event.order} of {event.lease} was taken for done, and is not"

    def take_overs(self) -> Iterator[tuple[Run, Run]]:
        """Yield each holder that died without a release, with the one that came after it."""
        for _, runs in self._handlers():
            for before, after in pairwise(runs):
                released = before.when("released")
                if released is None or released > after.span.start:
                    yield before, after

    def _handlers(self) -> Iterator[tuple[str, list[Run]]]:
        by_lease: defaultdict[str, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: run.span.start):
            if run.ran:
                by_lease[run.lease].append(run)
        yield from sorted(by_lease.items())

    def trusted(self, run: Run) -> Iterator[Span]:
        """Yield when it was at work, but for the moment in which it wakes up too late."""
        for span in run.active:
            woke_up = any(pause.end == span.start for pause in run.pauses)
            if woke_up and run.believed_end(span.start) <= span.start:
                yield Span(span.start + self.promise.told_within, span.end)
            else:
                yield span
