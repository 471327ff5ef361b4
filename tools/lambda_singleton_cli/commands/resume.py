"""`lambda-singleton resume`: end a maintenance window before its time."""

from __future__ import annotations

import json
from argparse import Namespace

from lambda_singleton._clock import milliseconds
from lambda_singleton._protocol.operations import Release
from lambda_singleton._protocol.store import LeaseStore
from lambda_singleton._protocol.term import REQUEST_TIMEOUT

from ..status import State, Status
from ..terminal_text import quoted
from .missing import missing


def run(options: Namespace, store: LeaseStore) -> int:
    """Free the lease from an operator's pause, and from nobody else."""
    record = store.get(options.name)
    if record is None:
        return missing(options.name, store)
    status, resumed = Status.of(record, store), False
    if status.state is State.PAUSED and record.owner is not None:
        now = milliseconds(store.clock.time())
        # How the last run went is not forgotten over it.
        release = Release(record.name, record.owner, now, None, record.last_run or {})
        reply = store.execute(release, timeout=REQUEST_TIMEOUT)
        resumed = reply.applied
        status = Status.of(store.get(options.name) or record, store)
    if options.json:
        print(json.dumps({"resumed": resumed, "lease": status.as_json()}, indent=2))
    elif resumed:
        print(f"{quoted(options.name)} is resumed: the next caller gets it")
    else:
        print(f"{quoted(options.name)} is not paused: it is {status.state}")
    return 0
