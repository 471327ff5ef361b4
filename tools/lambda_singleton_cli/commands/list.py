"""`lambda-singleton list`."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from functools import partial

from lambda_singleton._protocol.store import LeaseStore

from ..renderer import renderer
from ..status import Status


def run(options: Namespace, store: LeaseStore) -> int:
    """Print all leases, sorted by name."""
    records = sorted(store.records(), key=lambda record: record.name)
    statuses = [
        status
        for status in (Status.of(record, store) for record in records)
        if _is_wanted(options, status)
    ]
    if options.json:
        print(json.dumps([status.as_json() for status in statuses], indent=2))
    elif statuses:
        renderer().table(statuses)
    else:
        print("no such leases" if records else "no leases: nobody has taken one yet")
    return 0


def _is_wanted(options: Namespace, status: Status) -> bool:
    name, states = status.record.name, options.state
    is_named = not options.names or any(map(partial(_matches, name), options.names))
    return is_named and (not states or status.state.value in states)


def _matches(name: str, pattern: str) -> bool:
    # Only the star: names may have brackets and question marks of their own.
    parts = map(re.escape, pattern.split("*"))
    return re.fullmatch(".*".join(parts), name, re.DOTALL) is not None
