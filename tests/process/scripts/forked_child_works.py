"""A child that a holder has forked takes leases of its own: they are renewed, and watched.

Arguments: the path of the store's notes; whether the parent holds at the fork, or has held.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from lambda_singleton import LeaseHeldError, LeaseInterrupt, LeaseLostError, Lock

from ..stores import NotedStore, no_renewals

PATH, WHEN = sys.argv[1:]
store = NotedStore(PATH)


def in_the_child() -> dict[str, Any]:
    facts: dict[str, Any] = {}
    try:
        Lock("outer", 1, store=store).acquire()
    except Exception as error:
        facts["same name"] = isinstance(error, LeaseHeldError)
    with Lock("inner", 0.9, store=store) as lease:
        time.sleep(0.7)
        facts["renewed"] = store.sent_by(os.getpid()).count("Renew") > 0
        facts["held"] = not lease.lost
    store.before = no_renewals()
    try:
        with Lock("lost", 1.5, store=store):
            try:
                time.sleep(5)
            except LeaseInterrupt:
                facts["in time"] = time.time() <= store.end_of("lost")
                raise
    except LeaseLostError:
        facts["told"] = True
    return facts


def be_the_child() -> None:
    try:
        facts: Any = in_the_child()
    except BaseException as error:
        facts = repr(error)
    print(json.dumps(facts), flush=True)
    os._exit(0)


def main() -> None:
    with Lock("outer", 0.6, store=store) as lease:
        # The parent's thread has begun to work.
        time.sleep(0.4)
        child = 0
        if WHEN == "held":
            child = os.fork()
            if child == 0:
                be_the_child()
            os.waitpid(child, 0)
            lease.check()
    if WHEN == "was held":
        store.sent.clear()
        if os.fork() == 0:
            be_the_child()
        os.wait()


if __name__ == "__main__":
    main()
