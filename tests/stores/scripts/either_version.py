"""A holder whose package is the one in PYTHONPATH: does what its standard input says.

Each line is a verb; each answer is a line of JSON.
"""

import json
import os
import sys
import time
from typing import Any

import lambda_singleton
from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock, singleton

name = sys.argv[1]
store = DynamoDBStore()
lock = Lock(name, 30, store=store)
held: list[Any] = []


def take() -> dict[str, Any]:
    """Take the lease once."""
    try:
        held.append(lock.acquire())
    except LeaseHeldError as error:
        return {"refused": str(error)}
    return {"token": held[-1].token}


def give() -> dict[str, Any]:
    """Give it back."""
    held.pop().release()
    return {}


def renew() -> dict[str, Any]:
    """Extend it."""
    held[-1].renew()
    return {}


def run() -> dict[str, Any]:
    """Run a plain handler of the same lease."""
    base, _, key = name.partition("#")
    guarded = singleton(base, 5, key=(lambda event, context: key) if key else None, store=store)
    return {"result": guarded(lambda event, context: "done")({}, None)}


def tell() -> dict[str, Any]:
    """Say which package it is."""
    return {"file": lambda_singleton.__file__, "shares": hasattr(lambda_singleton, "Coalesced")}


def compete() -> dict[str, Any]:
    """Take it again and again, and note it."""
    events = []
    for _ in range(15):
        with Lock(name, 5, wait=60, store=store) as lease:
            run = {"run": lease.owner, "lease": name}
            events.append({"at": time.time(), "kind": "started", "token": lease.token, **run})
            time.sleep(0.005)
            events.append({"at": time.time(), "kind": "stopped", **run})
    return {"events": events}


VERBS = {verb.__name__: verb for verb in (take, give, renew, run, tell, compete)}

for line in sys.stdin:
    os.write(1, json.dumps(VERBS[line.strip()]()).encode() + b"\n")
