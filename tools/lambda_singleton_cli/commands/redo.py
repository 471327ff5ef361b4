"""`lambda-singleton redo`: have a slot, or an order, done once more."""

from __future__ import annotations

import json
from argparse import Namespace

from lambda_singleton._clock import milliseconds
from lambda_singleton._protocol.redo import Redo
from lambda_singleton._protocol.store import LeaseStore
from lambda_singleton._protocol.term import REQUEST_TIMEOUT

from ..status import Status
from ..terminal_text import quoted
from .missing import missing


def run(options: Namespace, store: LeaseStore) -> int:
    """Forget what was done under a lease, so that the next delivery does it again."""
    if (record := store.get(options.name)) is None:
        return missing(options.name, store)
    redo = Redo(record.name, milliseconds(store.clock.time()))
    reply = store.execute(redo, timeout=REQUEST_TIMEOUT)
    left = (reply.record if reply.applied else None) or record
    if options.json:
        lease = Status.of(left, store).as_json()
        print(json.dumps({"forgotten": reply.applied, "lease": lease}, indent=2))
    elif reply.applied:
        print(f"{quoted(record.name)} is forgotten: the next delivery does it again")
    else:
        print(f"{quoted(record.name)} has nothing that was done: there is nothing to forget")
    return 0
