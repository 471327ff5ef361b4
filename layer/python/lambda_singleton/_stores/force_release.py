"""Freeing a lease whoever holds it."""

from .._clock import milliseconds
from .._errors import LeaseConfigError
from .._events.event import LeaseEvent
from .._events.observers import tell
from .._protocol.operations import ForceRelease
from .._protocol.record import LeaseRecord
from .._protocol.store import LeaseStore
from .._protocol.term import REQUEST_TIMEOUT
from .._text import quoted


def force_release(store: LeaseStore, name: str) -> LeaseRecord:
    """Free a lease in any store, and raise its token so that the former holder is fenced.

    The former holder notices with its next renewal. Raises `LeaseConfigError` if there is no lease
    of that name, and `LeaseStoreError` if the store does not answer.
    """
    operation = ForceRelease(name=name, now=milliseconds(store.clock.time()))
    reply = store.execute(operation, timeout=REQUEST_TIMEOUT)
    if not reply.applied or reply.record is None:
        raise LeaseConfigError(f"there is no lease {quoted(name)} in {store!r}")
    tell(LeaseEvent("forced", name, store.clock.time(), token=reply.record.token))
    return reply.record
