"""`lambda-singleton pause`: a maintenance window, in which nobody runs."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from argparse import Namespace

from lambda_singleton._clock import milliseconds, utc
from lambda_singleton._protocol.name import check_name
from lambda_singleton._protocol.operations import Acquire, Renew
from lambda_singleton._protocol.record import PAUSE, LeaseRecord
from lambda_singleton._protocol.store import LeaseStore, Reply
from lambda_singleton._protocol.term import REQUEST_TIMEOUT

from ..columns import who
from ..status import State, Status
from ..terminal_text import quoted, terminal_text
from ..times import at

#: Exit code: somebody runs. That of sysexits.h for "try again later", as `run` has it.
HELD = 75

#: How long to wait from one look to the next, in seconds.
_LOOK = 1.0


def run(options: Namespace, store: LeaseStore) -> int:
    """Take the lease for an operator, once nobody has it, or extend a pause."""
    give_up_at = store.clock.monotonic() + options.wait
    while True:
        reply = _try(options, store)
        # A store leaves out the row of a renewal.
        if reply.applied and (record := reply.record or store.get(options.name)) is not None:
            return _tell(options, Status.of(record, store))
        if reply.record is not None and _status(reply.record, store).state is State.PAUSED:
            return _refuse(f"{_window(reply.record)} already: resume it first to shorten that")
        if store.clock.monotonic() >= give_up_at:
            held = f"{quoted(options.name)} is held by {_who(reply.record, store)}"
            return _refuse(f"{held}: nothing was changed; --wait waits for its end")
        store.clock.sleep(_LOOK)


def _try(options: Namespace, store: LeaseStore) -> Reply:
    now, name = milliseconds(store.clock.time()), check_name(options.name)
    until = now + milliseconds(options.length)
    record = store.get(name)
    if record is not None and _status(record, store).state is State.PAUSED and record.owner:
        return store.execute(Renew(name, record.owner, until), timeout=REQUEST_TIMEOUT)
    operation = Acquire(
        name,
        owner=f"{PAUSE}{os.urandom(16).hex()}",
        holder={"paused_by": options.by or _operator(), "acquired_at": utc(now / 1000)},
        now=now,
        expires_at=until,
        duration=until - now,
        clock_skew=milliseconds(store.clock_skew),
    )
    return store.execute(operation, timeout=REQUEST_TIMEOUT)


def _operator() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _status(record: LeaseRecord, store: LeaseStore) -> Status:
    return Status.of(record, store)


def _who(record: LeaseRecord | None, store: LeaseStore) -> str:
    return "somebody" if record is None else terminal_text(who(_status(record, store)))


def _window(record: LeaseRecord) -> str:
    assert record.expires_at is not None
    by = (record.holder or {}).get("paused_by", "somebody")
    return f"{quoted(record.name)} is paused until {at(record.expires_at)} by {terminal_text(by)}"


def _tell(options: Namespace, status: Status) -> int:
    if options.json:
        print(json.dumps({"paused": True, "lease": status.as_json()}, indent=2))
    else:
        print(_window(status.record))
    return 0


def _refuse(text: str) -> int:
    print(f"lambda-singleton: {text}", file=sys.stderr)
    return HELD
