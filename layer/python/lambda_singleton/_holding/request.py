"""One operation, asked until it is answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .._backoff import Backoff
from .._clock import Instant
from .._errors import LeaseStoreError
from .._protocol.operation import Operation
from .._protocol.store import LeaseStore, Reply
from .._protocol.term import Term
from .steps import Pause, Steps

#: Tries of one operation, the first included, while the store does not answer.
TRIES = 3


class Answer(NamedTuple):
    """A reply, and the request that it answers."""

    operation: Operation
    reply: Reply
    #: Both clocks before the request: nobody knows when on its way it was applied.
    sent: Instant


def request(
    store: LeaseStore,
    operation_at: Callable[[Instant], Operation],
    *,
    term: Term,
    timeout: float,
    spare: float = 0.0,
    tries: int = TRIES,
    refuse: Callable[[Answer], None] = lambda answer: None,
    unanswered: Callable[[LeaseStoreError], None] = lambda error: None,
    send: Callable[..., Reply] | None = None,
) -> Steps[Answer]:
    """Send the operation, made anew for each try, until there is an answer.

    `refuse` raises `LeaseStoreError` for a reply that makes no sense: that is no answer.
    `unanswered` hears of each such error, and the last one is raised if no try was answered, or
    another would end less than `spare` seconds before the invocation does. `send` is used in place
    of the store's `execute`.
    """
    clock = store.clock
    backoff: Backoff | None = None
    for number in range(1, tries + 1):
        sent = Instant.now(clock)
        operation = operation_at(sent)
        try:
            reply = yield partial(send or store.execute, operation, timeout=timeout)
            answer = Answer(operation, reply, sent)
            refuse(answer)
        except LeaseStoreError as error:
            unanswered(error)
            if number == tries or term.time_left(clock.time()) < timeout + spare:
                raise
            backoff = backoff or Backoff(0.05, 1.0)
            yield Pause(backoff.delay())
        else:
            return answer
    raise AssertionError("unreachable")
