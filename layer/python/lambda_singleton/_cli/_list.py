"""`lambda-singleton list`."""

from __future__ import annotations

import json
from argparse import Namespace

from .._store import LeaseStore
from ._screen import renderer
from ._status import Status


def run(options: Namespace, store: LeaseStore) -> int:
    """Print all leases, sorted by name."""
    records = sorted(store.records(), key=lambda record: record.name)
    statuses = [Status.of(record, store) for record in records]
    if options.json:
        print(json.dumps([status.as_json() for status in statuses], indent=2))
    elif statuses:
        renderer().table(statuses)
    else:
        print("no leases: nobody has taken one yet")
    return 0
