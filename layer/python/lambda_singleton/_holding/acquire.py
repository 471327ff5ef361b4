"""Taking a lease: one request when it is free, patience when it is not.

The steps are written once, as a generator, and driven by `run` and `run_async`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from .._backoff import Backoff
from .._clock import Clock, Instant, milliseconds, utc
from .._errors import (
    LeaseDeadlineError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
)
from .._events.event import LeaseEvent
from .._events.observers import prepare, tell
from .._logger import logger
from .._protocol.operations import Acquire, TakeTicket
from .._protocol.store import LeaseStore, Reply
from .._protocol.term import Term
from .lease import TRIES, Lease
from .line import Place

if TYPE_CHECKING:
    from .._protocol.record import LeaseRecord

#: With less than this left of the invocation (seconds) no handler is started.
LEAST_TIME = 0.1

#: A wait ends this long before the deadline (seconds), so that its error still gets out.
TIME_TO_REPORT = 1.0


class Pause(float):
    """A step that waits, for so many seconds."""


#: A step is a pause or a call that blocks. A generator of steps returns its result.
Step = Pause | Callable[[], Any]
Steps = Generator[Step, Any, Lease]


def run(steps: Steps, clock: Clock) -> Lease:
    """Drive the steps in this thread."""
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(result) if error is None else steps.throw(error)
        except StopIteration as end:
            lease: Lease = end.value
            return lease
        result, error = None, None
        try:
            if isinstance(step, Pause):
                clock.sleep(step)
            else:
                result = step()
        except Exception as raised:
            error = raised


async def run_async(steps: Steps) -> Lease:
    """Drive the steps without blocking the event loop."""
    import asyncio

    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(result) if error is None else steps.throw(error)
        except StopIteration as end:
            lease: Lease = end.value
            return lease
        result, error = None, None
        if isinstance(step, Pause):
            await asyncio.sleep(step)
            continue
        call = asyncio.ensure_future(asyncio.to_thread(step))
        try:
            result = await asyncio.shield(call)
        except asyncio.CancelledError:
            await _undo(steps, call)
            raise
        except Exception as raised:
            error = raised


async def _undo(steps: Steps, call: Any) -> None:
    # The thread cannot be called back: let it finish, and give back what it may have got.
    import asyncio

    try:
        steps.send(await call)
    except StopIteration as end:
        await asyncio.to_thread(end.value.release)
    except LeaseError:
        pass
    finally:
        steps.close()


class Observation:
    """What a waiter has seen of the holder, timed on its own monotonic clock only.

    A holder that was silent for a whole lease is dead. `margin` seconds more allow for two clocks
    that do not run at exactly the same rate.
    """

    def __init__(self, clock: Clock, margin: float) -> None:
        self._clock = clock
        self._margin = margin
        self._record: LeaseRecord | None = None
        self._since = 0.0

    def note(self, record: LeaseRecord | None) -> None:
        """Remember a row that has just been received."""
        previous = self._record
        if (
            record is None
            or previous is None
            or (record.owner, record.expires_at) != (previous.owner, previous.expires_at)
        ):
            self._since = self._clock.monotonic()
        self._record = record

    @property
    def seconds_to_takeover(self) -> float:
        """When the holder will have been silent for a whole lease."""
        record = self._record
        if (
            record is None
            or record.owner is None
            or record.expires_at is None
            or record.duration is None
        ):
            return float("inf")
        return self._since + record.duration + self._margin - self._clock.monotonic()

    @property
    def silent_holder(self) -> LeaseRecord | None:
        """The holder that nobody has to believe alive any more."""
        return self._record if self.seconds_to_takeover <= 0 else None


def acquisition(
    store: LeaseStore,
    name: str,
    term: Term,
    *,
    wait: float,
    holder: Mapping[str, str],
    min_hold: float = 0.0,
) -> Steps:
    """Take the lease, waiting up to `wait` seconds for it, and tell how it went.

    Raises `LeaseHeldError`, `LeaseDeadlineError`, `LeaseStoreError` or `LeaseConfigError`.
    """
    clock = store.clock
    began = clock.monotonic()
    try:
        lease, waited = yield from _acquisition(
            store, name, term, wait=wait, holder=holder, min_hold=min_hold
        )
    except LeaseHeldError as error:
        took = clock.monotonic() - began
        tell(
            LeaseEvent(
                "skipped",
                name,
                clock.time(),
                took=took,
                holder=error.holder,
                held_until=error.held_until,
            )
        )
        raise
    except LeaseError as error:
        tell(LeaseEvent("failed", name, clock.time(), error=error))
        raise
    took = clock.monotonic() - began
    lease._tell_acquired(took=took, waited=waited)
    return lease


def _acquisition(
    store: LeaseStore,
    name: str,
    term: Term,
    *,
    wait: float,
    holder: Mapping[str, str],
    min_hold: float,
) -> Generator[Step, Any, tuple[Lease, float]]:
    # Returns the lease, and for how many seconds others have had it meanwhile.
    clock = store.clock
    timeout = term.timeout(clock.time())
    _refuse_late_start(term, clock.time())
    yield partial(_prepare, store, timeout)
    # Made here and not at import: SnapStart clones what import made.
    owner = os.urandom(16).hex()
    patience = min(wait, term.time_left(clock.time()) - TIME_TO_REPORT)
    give_up_at = clock.monotonic() + patience
    observation = Observation(clock, store.clock_skew)
    place = Place(clock)

    def bid() -> Acquire:
        now = clock.time()
        expires_at = term.expiry(now)
        return Acquire(
            name=name,
            owner=owner,
            holder={**holder, "acquired_at": utc(now)},
            now=milliseconds(now),
            expires_at=expires_at,
            duration=expires_at - milliseconds(now),
            clock_skew=milliseconds(store.clock_skew),
            seen=observation.silent_holder,
            ticket=place.ticket,
        )

    def note(record: LeaseRecord | None) -> LeaseRecord | None:
        observation.note(record)
        place.note(record)
        return record

    refused_at: float | None = None
    asked_for_a_ticket = False
    while True:
        tried_at = clock.monotonic()
        outcome = yield from _try(store, term, bid, timeout, min_hold)
        if isinstance(outcome, Lease):
            return outcome, 0.0 if refused_at is None else tried_at - refused_at
        refused_at = tried_at if refused_at is None else refused_at
        record = note(outcome)
        while True:
            time_left = give_up_at - clock.monotonic()
            if time_left <= 0:
                raise _held(name, record, store)
            if not asked_for_a_ticket:
                asked_for_a_ticket = True
                _tell_of_waiting(name, record, clock)
                reply = yield from _take_ticket(store, name, timeout)
                record = note(reply.record or record)
                if reply.applied and record is not None:
                    place.ticket = record.tickets
            # Never later than the holder's expiry needs, by either way to judge it.
            free_in = min(_free_in(record, store), observation.seconds_to_takeover)
            is_held = record is None or record.owner is not None
            turn_in = min(place.turn_in, free_in) if is_held else free_in
            has_come = turn_in <= place.longest_pause and place.is_sure
            yield Pause(max(0.001, min(time_left, turn_in, place.longest_pause)))
            if has_come or (record is not None and bid().allows(record)):
                break
            # Looking costs a fifth of trying.
            try:
                record = note((yield partial(store.get, name)))
            except LeaseStoreError as error:
                logger().debug("could not look at lease %r: %s", name, error)
                continue
            if bid().allows(record):
                break


def _prepare(store: LeaseStore, timeout: float) -> None:
    # A lease counts from before its request: what takes long the first time comes before that.
    prepare()
    store.prepare(timeout=timeout)


def _take_ticket(store: LeaseStore, name: str, timeout: float) -> Generator[Step, Any, Reply]:
    ticket = TakeTicket(name, milliseconds(store.clock.time()))
    try:
        reply: Reply = yield partial(store.execute, ticket, timeout=timeout)
    except LeaseStoreError as error:
        # It is only for the pace: one can wait without.
        logger().debug("no ticket for lease %r: %s", name, error)
        return Reply(applied=False)
    return reply


def _try(
    store: LeaseStore, term: Term, bid: Callable[[], Acquire], timeout: float, min_hold: float
) -> Generator[Step, Any, Lease | LeaseRecord | None]:
    # Returns the lease, or the row that refused it. A second request goes out only when no reply
    # came to the first: its condition then also recognises what the first one wrote.
    clock = store.clock
    backoff = Backoff(0.05, 1.0)
    for tries_left in reversed(range(TRIES)):
        sent = Instant.now(clock)
        _refuse_late_start(term, sent.wall)
        operation = bid()
        try:
            reply = yield partial(store.execute, operation, timeout=timeout)
            if not reply.applied and reply.record and reply.record.owner == operation.owner:
                raise LeaseStoreError(
                    f"lease {operation.name!r} was not acquired: the clock ran backwards"
                )
        except LeaseStoreError:
            # The error has to get out before the deadline.
            if not tries_left or term.time_left(clock.time()) < 2 * timeout:
                raise
            yield Pause(backoff.delay())
            continue
        if not reply.applied:
            refused_by: LeaseRecord | None = reply.record
            return refused_by
        lease = Lease(
            store,
            operation.name,
            operation.owner,
            reply.record.token,
            term,
            sent=sent,
            expires_at=operation.expires_at / 1000,
            timeout=timeout,
            min_hold=min_hold,
            taken_from=_dead_holder(reply.record),
        )
        try:
            lease._refuse_wrong_clock(reply, sent)
            _refuse_late_start(term, clock.time())
            lease.check()
        except LeaseError as error:
            yield partial(_give_back, lease)
            if isinstance(error, LeaseLostError):
                raise LeaseStoreError(
                    f"lease {lease.name!r} ended before the store's reply came"
                ) from error
            raise
        return lease
    raise AssertionError("unreachable")


def _dead_holder(record: LeaseRecord) -> str | None:
    # A second try after a lost reply finds what the first one has written.
    return None if record.taken_from == record.owner else record.taken_from


def _tell_of_waiting(name: str, record: LeaseRecord | None, clock: Clock) -> None:
    holder = None if record is None else record.holder
    held_until = None if record is None else record.expires_at
    tell(LeaseEvent("waiting", name, clock.time(), holder=holder, held_until=held_until))


def _give_back(lease: Lease) -> None:
    with suppress(Exception):
        lease._release("not started")


def _refuse_late_start(term: Term, now: float) -> None:
    left = term.time_left(now)
    if left < LEAST_TIME:
        raise LeaseDeadlineError(
            f"only {max(0.0, left):.3f} s of the invocation are left, too little to start the"
            " handler"
        )


def _free_in(record: LeaseRecord | None, store: LeaseStore) -> float:
    if record is None or record.expires_at is None:
        return float("inf")
    skew = 0.0 if record.owner is None else store.clock_skew
    return max(0.0, record.expires_at + skew - store.clock.time())


def _held(name: str, record: LeaseRecord | None, store: LeaseStore) -> LeaseHeldError:
    if record is None:
        return LeaseHeldError(f"lease {name!r} is held", name=name)
    free_in = _free_in(record, store)
    who = ", ".join(f"{key} {value}" for key, value in (record.holder or {}).items())
    until = "" if record.expires_at is None else f" until {utc(record.expires_at)}"
    return LeaseHeldError(
        f"lease {name!r} is held{until}" + (f" by {who}" if who else ""),
        name=name,
        holder=None if record.holder is None else dict(record.holder),
        held_until=record.expires_at,
        retry_after=None if record.expires_at is None else free_in,
    )
