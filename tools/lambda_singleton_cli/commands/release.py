"""`lambda-singleton release`: by force, and only if somebody says so."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable

from lambda_singleton._protocol.record import LeaseRecord
from lambda_singleton._protocol.store import LeaseStore

from ..notices import warnings_to
from ..status import State, Status
from ..terminal_text import terminal_text
from .missing import missing
from .show import facts

#: Exit codes.
USAGE, REFUSED = 2, 4

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
    State.RESTING: """
A release ends the minimum hold: the next caller may run at once.""",
}


def run(options: Namespace, store: LeaseStore) -> int:
    """Free a lease, after a look at it and a question."""
    if not options.yes and not sys.stdin.isatty():
        _say(["lambda-singleton: nobody is there to ask: give --yes to release without a question"])
        return USAGE
    agreed_to = None
    while (record := store.get(options.name)) is not None:
        status = Status.of(record, store)
        if status.state is State.FREE:
            return _tell(options, status, released=False)
        # The answer is about this holder: while somebody thinks, another may come.
        if not options.yes and agreed_to != _hold(record):
            if agreed_to is not None:
                _say(["Meanwhile it has changed hands."])
            _explain(status)
            if not _ask():
                _say(["Nothing was changed."])
                return REFUSED
            agreed_to = _hold(record)
            continue
        if options.yes and not options.json:
            _explain(status)
        # The package warns of what is told here anyway.
        with warnings_to(lambda warning: None):
            record = store.force_release(record.name)
        return _tell(options, Status.of(record, store), released=True)
    return missing(options.name, store)


def _hold(record: LeaseRecord) -> tuple[int, str | None]:
    return record.token, record.owner


def _explain(status: Status) -> None:
    _say([f"{terminal_text(status.record.name)} is {status.state}."])
    _say(f"  {fact.label}: {fact.text}" for fact in facts(status))
    meaning = State.HELD if status.state is State.ENDING else status.state
    _say([_MEANING[meaning]])


def _ask() -> bool:
    print("Release it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(options: Namespace, status: Status, *, released: bool) -> int:
    name = terminal_text(status.record.name)
    if options.json:
        print(json.dumps({"released": released, "lease": status.as_json()}, indent=2))
    elif released:
        print(f"{name} is released; its token is {status.record.token} now")
    else:
        print(f"{name} is free: there is nothing to release")
    return 0


def _say(lines: Iterable[str]) -> None:
    # What is said to a person does not get into what is meant for a machine.
    print(*lines, sep="\n", file=sys.stderr)
