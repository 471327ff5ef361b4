"""One handler at a time: a DynamoDB lease around an AWS Lambda handler.

    from lambda_singleton import singleton

    @singleton("nightly-report", duration=60)
    def handler(event, context):
        ...

What is guaranteed:

1. One at a time. While the clocks of all parties agree within `clock_skew` (1 s), at most one
   handler for each lease name runs. A holder that can no longer prove that it holds the lease is
   interrupted before anybody else may take it.
2. Never stuck. A holder that dies in any way blocks the name for at most `duration + clock_skew`,
   and never beyond its invocation's deadline + `kill_grace` (2 s) + `clock_skew`. The next caller
   takes over with one conditional write.
3. Tokens only rise. `lease.token` is higher with every acquisition of a name: after a release, a
   take-over, a forced release, and after the row was deleted.
4. Never somebody else's. A renewal or a release changes nothing unless this holder still is the
   owner, however late it arrives.
5. The handler's outcome is the handler's. A release that fails never replaces its result or its
   exception.
6. Closed on failure. If the store cannot be reached or is misconfigured, the handler does not run.

What is not:

- Exactly one execution. A handler that was killed half-way has done half of its work.
- Correctness without a check. A paused handler can still send a write when it wakes up, before it
  can be interrupted. Where that matters, let the resource refuse old tokens: see `fenced`.
- Anything across Regions on eventually consistent global tables, where each Region decides alone.
- Stopping code that Python cannot stop: a C extension that never returns to the interpreter, or a
  blocking call outside the main thread.
- Stopping threads that a handler starts: pass them the lease, and let them call `lease.check()`.

A lease belongs to the process and the block that took it. A child of `fork()` holds nothing, and
never uses its parent's connections; an async handler's task is cancelled, and a loop that a sync
handler runs is stopped as a whole; methods work; a generator, or a coroutine that a sync callable
returns, is refused before it has begun. What the interrupt rests on waits for no request, no
credentials, no look-up and nobody's code.

How to choose `duration`: as long as you accept a crashed run to block the next one, and at least
some seconds: the lease is renewed at a third of it, and a store that does not answer for most of it
costs the handler its lease. Without a `duration` the lease lasts as long as the invocation may:
nothing is renewed, and a run that crashes early blocks the name until its deadline.
"""

from ._decorator.options import Coalesced, Skipped
from ._decorator.singleton import singleton
from ._errors import (
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseError,
    LeaseHeldError,
    LeaseInterrupt,
    LeaseLostError,
    LeasesDisabledWarning,
    LeaseStoreError,
    NoLeaseError,
)
from ._events.event import LeaseEvent
from ._events.observers import Observer, observe
from ._fencing.fenced import fenced
from ._holding.hold import current_lease
from ._holding.lease import Lease
from ._lock import Lock
from ._protocol.record import LeaseRecord
from ._protocol.store import LeaseStore
from ._stores.dynamodb import DynamoDBStore
from ._stores.memory import MemoryStore

__version__ = "0.2.0"

__all__ = [
    "Coalesced",
    "DynamoDBStore",
    "Lease",
    "LeaseConfigError",
    "LeaseDeadlineError",
    "LeaseError",
    "LeaseEvent",
    "LeaseHeldError",
    "LeaseInterrupt",
    "LeaseLostError",
    "LeaseRecord",
    "LeaseStore",
    "LeaseStoreError",
    "LeasesDisabledWarning",
    "Lock",
    "MemoryStore",
    "NoLeaseError",
    "Observer",
    "Skipped",
    "current_lease",
    "fenced",
    "observe",
    "singleton",
]
