"""`lambda-singleton release`: by force, and only if somebody says so."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable

from lambda_singleton._clock import milliseconds
from lambda_singleton._protocol.operations import ForceRelease
from lambda_singleton._protocol.record import LeaseRecord
from lambda_singleton._protocol.store import LeaseStore
from lambda_singleton._protocol.term import REQUEST_TIMEOUT

from ..status import State, Status
from ..terminal_text import quoted
from .missing import missing
from .show import facts

#: Exit codes.
GAVE_UP, USAGE, REFUSED = 1, 2, 4

#: How often it is looked at, if it changes hands each time.
_LOOKS = 20

_MEANING = {
    State.HELD: """
A release by force lets the next caller in while this holder may still be at work.
- The token is raised. Writes that are guarded by it (`fenced`) are refused to this
  holder as soon as a later one has written. Nothing stops its other writes.
- It notices with its next renewal, and is interrupted. If it does not renew, it
  never notices.""",
    State.DEAD: """
Nobody has to release it: the next caller takes it over by itself. A release raises
the token.""",
    State.PAUSED: """
An operator has it, so that nobody runs. `lambda-singleton resume` ends that without
raising the token.""",
    State.RESTING: """
A release ends the minimum hold: the next caller may run at once.""",
}


def run(options: Namespace, store: LeaseStore) -> int:
    """Free a lease, after a look at it and a question."""
    if not options.yes and not sys.stdin.isatty():
        _say(["lambda-singleton: not a terminal: give --yes to release without a question"])
        return USAGE
    agreed_to = None
    for _ in range(_LOOKS):
        if (record := store.get(options.name)) is None:
            return missing(options.name, store)
        status = Status.of(record, store)
        if status.state is State.FREE:
            return _tell(options, status, released=False)
        # The answer is about this holder: while somebody thinks, another may come.
        if not options.yes and agreed_to != _hold(record):
            if agreed_to is not None:
                _say(["Meanwhile it has changed hands."])
            _explain(status)
            if not _ask(record.name):
                _say(["Nothing was changed."])
                return REFUSED
            agreed_to = _hold(record)
            continue
        if options.yes and not options.json:
            _explain(status)
        if (released := _release(record, store)) is not None:
            return _tell(options, Status.of(released, store), released=True)
    _say([f"lambda-singleton: {quoted(options.name)} keeps changing hands: nothing was changed"])
    return GAVE_UP


def _release(record: LeaseRecord, store: LeaseStore) -> LeaseRecord | None:
    """Free it from the holder that was shown; None if there is another one by now."""
    now = milliseconds(store.clock.time())
    reply = store.execute(ForceRelease(record.name, now, record), timeout=REQUEST_TIMEOUT)
    return reply.record if reply.applied else None


def _hold(record: LeaseRecord) -> tuple[int, str | None]:
    return record.token, record.owner


def _explain(status: Status) -> None:
    _say([f"{quoted(status.record.name)} is {status.state}."])
    _say(f"  {fact.label}: {fact.text}" for fact in facts(status))
    meaning = State.HELD if status.state is State.ENDING else status.state
    _say([_MEANING[meaning]])


def _ask(name: str) -> bool:
    print(f"Release {quoted(name)} by force? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(options: Namespace, status: Status, *, released: bool) -> int:
    name = quoted(status.record.name)
    if options.json:
        print(json.dumps({"released": released, "lease": status.as_json()}, indent=2))
    elif released:
        print(f"{name} was released by force; its token is {status.record.token} now")
    else:
        print(f"{name} is free: there is nothing to release")
    return 0


def _say(lines: Iterable[str]) -> None:
    # What is said to a person does not get into what is meant for a machine.
    print(*lines, sep="\n", file=sys.stderr)
