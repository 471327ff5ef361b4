"""For tests of handlers and locks: another store under them, somebody else, a loss, a clock.

    from lambda_singleton.testing import FakeContext, hold, lose, use_store

    def test_a_second_run_is_skipped():
        with use_store(), hold("nightly-report"):
            assert handler({}, FakeContext())["status"] == "skipped"

Nothing in here is imported by the package itself. `lambda_singleton_testkit.fixtures` has pytest
fixtures made of it.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

from ._clock import Clock, milliseconds, seconds, utc
from ._environment import current_stand_in, stand_in
from ._errors import LeaseConfigError
from ._holding.hold import Hold
from ._protocol.name import check_name
from ._protocol.operations import Acquire, ForceRelease, Release
from ._protocol.record import LeaseRecord
from ._protocol.store import LeaseStore
from ._protocol.term import REQUEST_TIMEOUT
from ._stores.memory import MemoryStore

__all__ = ["FakeClock", "FakeContext", "hold", "lose", "use_store"]

#: What `hold` tells about the one who holds the lease.
SOMEBODY_ELSE = {"function": "somebody-else", "request_id": "another-request"}


@contextmanager
def use_store(store: LeaseStore | None = None) -> Iterator[LeaseStore]:
    """Have every handler and lock of this process use `store` meanwhile, and yield it.

    That goes for handlers that are decorated and locks that are made already, and also for those
    that were given a store of their own. Without a store it is a new `MemoryStore()`. Blocks can be
    nested: the innermost counts.
    """
    chosen = MemoryStore() if store is None else store
    with stand_in(chosen):
        yield chosen


class FakeContext:
    """Lambda's context of an invocation that lasts `seconds` from now on."""

    function_name = "function-under-test"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function-under-test"
    memory_limit_in_mb = "128"
    log_group_name = "/aws/lambda/function-under-test"
    log_stream_name = "2027/01/15/[$LATEST]0123456789abcdef0123456789abcdef"

    def __init__(
        self, seconds: float = 60, request_id: str | None = None, *, clock: Clock = time
    ) -> None:
        self.aws_request_id: str = request_id or str(uuid4())
        self._clock = clock
        self._ends = clock.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left, on the clock that was given; 0 at the end."""
        return max(0, milliseconds(self._ends - self._clock.monotonic()))


class FakeClock:
    """A clock that stands until somebody turns it: `use_store(MemoryStore(clock=FakeClock()))`.

    Sleeping turns it too, so that waiting for a lease takes no time. It starts at `now`, in epoch
    seconds.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._turning = threading.Lock()

    def time(self) -> float:
        """Return epoch seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the same: it never steps back."""
        return self._now

    def sleep(self, seconds: float, /) -> None:
        """Turn it on, and return at once."""
        with self._turning:
            self._now += seconds

    def advance(self, seconds: float) -> None:
        """Turn it on by so many seconds.

        A lease whose end has been passed is lost, as that of a process that was stopped: turn it by
        less than `duration` to see it renewed.
        """
        self.sleep(seconds)
        for one in _open_holds():
            if one.tenure.store.clock is self:
                one.look_now()


@contextmanager
def hold(
    name: str,
    duration: float | timedelta = 60,
    *,
    holder: Mapping[str, str] | None = None,
) -> Iterator[LeaseRecord]:
    """Let somebody else hold the lease meanwhile: another process, as far as handlers can tell.

    `name` is the full one, such as `"tenant-sync#a41"`. They do not renew: after `duration` seconds
    of the store's clock they count as dead. `holder` is what they tell about themselves.

    Raises `LeaseConfigError` outside of `use_store`, and if the lease is held already.
    """
    store = _store("hold")
    now, length = milliseconds(store.clock.time()), milliseconds(seconds(duration, "duration"))
    owner = os.urandom(16).hex()
    facts = {**(SOMEBODY_ELSE if holder is None else holder), "acquired_at": utc(now / 1000)}
    skew = milliseconds(store.clock_skew)
    acquire = Acquire(check_name(name), owner, facts, now, now + length, length, skew)
    reply = store.execute(acquire, timeout=REQUEST_TIMEOUT)
    if not reply.applied or reply.record is None:
        raise LeaseConfigError(f"lease {name!r} is held already: nobody else can hold it as well")
    try:
        yield reply.record
    finally:
        ended = milliseconds(store.clock.time())
        # If it was taken from them meanwhile, this changes nothing.
        store.execute(Release(name, owner, ended, None, {}), timeout=REQUEST_TIMEOUT)


def lose(name: str) -> None:
    """Take the lease away from whoever holds it, and let a holder in this process notice at once.

    The holder is interrupted, or told, as `on_lost` says, if its lease is renewed: one without a
    `duration` is not interrupted, here as on AWS, and finds `lease.lost` True. For the next caller
    the lease is free.

    Raises `LeaseConfigError` outside of `use_store`, and if nobody holds the lease.
    """
    store = _store("lose")
    record = store.get(name)
    if record is None or record.owner is None:
        raise LeaseConfigError(f"nobody holds lease {name!r}: it cannot be lost")
    now = milliseconds(store.clock.time())
    store.execute(ForceRelease(name, now), timeout=REQUEST_TIMEOUT)
    for one in _open_holds():
        if one.tenure.owner == record.owner:
            one.tenure.steal()
            one.look_now()


def _store(what: str) -> LeaseStore:
    # Without one this could reach the table of a real application.
    store = current_stand_in()
    if store is None:
        raise LeaseConfigError(f"{what}() works inside `with use_store():` only")
    return store


def _open_holds() -> list[Hold]:
    # No list of them is kept in production for what only tests need.
    return [one for one in gc.get_objects() if type(one) is Hold and one.is_open]
