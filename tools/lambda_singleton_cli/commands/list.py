"""`lambda-singleton list`."""

from __future__ import annotations

import json
from argparse import Namespace

from lambda_singleton._protocol.store import LeaseStore

from ..renderer import renderer
from ..status import Status


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
