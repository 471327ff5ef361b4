"""Taking a lease: one request when it is free, patience when it is not."""

from __future__ import annotations

from functools import partial

from .._clock import Instant, milliseconds
from .._errors import (
    LeaseDeadlineError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
)
from .._events.event import LeaseEvent
from .._events.logger import logger
from .._events.observers import prepare, tell
from .._protocol.operations import Acquire, TakeTicket
from .._protocol.store import LeaseStore
from .._protocol.term import REQUEST_TIMEOUT, Term
from .._protocol.waiting import Waiting
from .._text import quoted
from .refusal import held, tell_of_refusal, tell_of_waiting
from .release import give_back, release
from .request import Answer, request
from .steps import Pause, Steps, run, run_async
from .tenure import Tenure

#: With less than this left of the invocation (seconds) no handler is started.
LEAST_TIME = 0.1

#: A wait ends this long before the deadline (seconds), so that its error still gets out.
TIME_TO_REPORT = 1.0


def take(tenure: Tenure, *, wait: float) -> None:
    """Take the lease, waiting up to `wait` seconds for it.

    Raises `LeaseHeldError`, `LeaseDeadlineError`, `LeaseStoreError` or `LeaseConfigError`. If
    anything else cuts it off, its caller abandons what may have been taken.
    """
    run(acquire(tenure, wait=wait), tenure.store.clock)


async def take_async(tenure: Tenure, *, wait: float) -> None:
    """Take the lease like `take`, without blocking the event loop."""
    # The request has come to its end by then: there is no need to try for long.
    clean_up = partial(give_back, tenure, "not started", pauses=(0.0,))
    await run_async(acquire(tenure, wait=wait), tenure.name, clean_up)


def acquire(tenure: Tenure, *, wait: float) -> Steps[None]:
    """Take the lease, and tell how it went."""
    clock, name = tenure.store.clock, tenure.name
    began = clock.monotonic()
    try:
        steps = _acquire(tenure, wait) if tenure.borrow is None else tenure.borrow(wait)
        waited = yield from steps
    except LeaseHeldError as error:
        tell_of_refusal(error, clock.time(), took=clock.monotonic() - began)
        raise
    except LeaseError as error:
        tell(LeaseEvent("failed", name, clock.time(), error=error))
        raise
    tenure.tell_acquired(took=clock.monotonic() - began, waited=waited)


def _acquire(tenure: Tenure, wait: float) -> Steps[float]:
    # Returns for how many seconds others have had it meanwhile.
    store, clock, term = tenure.store, tenure.store.clock, tenure.term
    refuse_late_start(term, clock.time())
    yield partial(prepare_store, store, tenure.timeout)
    patience = min(wait, term.time_left(clock.time()) - TIME_TO_REPORT)
    waiting = Waiting(clock, patience=patience, clock_skew=store.clock_skew)
    refused_at: float | None = None
    action = "try"
    while True:
        now = clock.monotonic()
        if action == "try":
            answer = yield from _try(tenure, waiting)
            if answer.reply.applied:
                yield from start(tenure, answer)
                return 0.0 if refused_at is None else now - refused_at
            refused_at = now if refused_at is None else refused_at
            tenure.may_be_in_row = False
            waiting.note(answer.reply.record)
        elif action == "take a ticket":
            tell_of_waiting(tenure.name, waiting.record, clock.time())
            yield from _take_ticket(tenure, waiting)
        elif action == "look":
            yield from _look(tenure, waiting)
        else:
            raise held(tenure.name, waiting.record, store)
        tenure.aim.refuse(tenure.name, waiting.record, waiting.first)
        action, pause = waiting.next()
        if pause:
            yield Pause(pause)


def prepare_store(store: LeaseStore, timeout: float) -> None:
    """Do what takes long the first time: a lease counts from before its request."""
    prepare()
    store.prepare(timeout=timeout)


def _try(tenure: Tenure, waiting: Waiting) -> Steps[Answer]:
    def bid(sent: Instant) -> Acquire:
        refuse_late_start(tenure.term, sent.wall)
        asked = tenure.acquire_at(sent, waiting.silent_holder, waiting.ticket)
        return tenure.aim.unless_done(asked, waiting.first)

    # A handler that starts in the last moment would not get far.
    return request(
        tenure.store,
        bid,
        term=tenure.term,
        timeout=tenure.timeout,
        spare=tenure.timeout,
        refuse=tenure.refuse_own,
    )


def start(tenure: Tenure, answer: Answer) -> Steps[None]:
    """Hold what was taken; give it back at once if it must not be used."""
    assert answer.reply.record is not None
    tenure.taken(answer, answer.reply.record)
    try:
        tenure.refuse_wrong_clock(answer.reply, answer.sent)
        refuse_late_start(tenure.term, tenure.store.clock.time())
        tenure.check()
    except LeaseError as error:
        try:
            yield from release(tenure, "not started")
        except LeaseError:
            logger().debug("lease %r was not given back", tenure.name)
        if isinstance(error, LeaseLostError):
            raise LeaseStoreError(
                f"lease {quoted(tenure.name)} ended before the store's reply came"
            ) from error
        raise


def _take_ticket(tenure: Tenure, waiting: Waiting) -> Steps[None]:
    if tenure.aim.work is not None:
        # They all wait for the same run.
        return
    ticket = TakeTicket(tenure.name, milliseconds(tenure.store.clock.time()))
    try:
        reply = yield partial(tenure.store.execute, ticket, timeout=tenure.timeout)
    except LeaseStoreError as error:
        # It is only for the pace: one can wait without.
        logger().debug("no ticket for lease %r: %s", tenure.name, error)
    else:
        waiting.note_ticket(reply.record, is_given=reply.applied)


def _look(tenure: Tenure, waiting: Waiting) -> Steps[None]:
    # One that hangs must not outlast the invocation.
    if tenure.term.time_left(tenure.store.clock.time()) < REQUEST_TIMEOUT:
        return
    try:
        record = yield partial(tenure.store.get, tenure.name)
    except LeaseStoreError as error:
        logger().debug("could not look at lease %r: %s", tenure.name, error)
    else:
        waiting.note(record, is_gone=record is None)


def refuse_late_start(term: Term, now: float) -> None:
    """Raise `LeaseDeadlineError` if a handler that starts now would not get far."""
    left = term.time_left(now)
    if left < LEAST_TIME:
        raise LeaseDeadlineError(
            f"only {max(0.0, left):.3f} s of the invocation are left, too little to start the"
            " handler"
        )
