"""A holder forks inside its block; the child tells what it sees, and leaves.

Arguments: how it holds, how the child leaves, the path of the store's notes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from lambda_singleton import Lease, Lock, current_lease, singleton

from ..stores import NotedStore

HOW, WAY, PATH = sys.argv[1:]
DURATION = 1.0
store = NotedStore(PATH)
facts: dict[str, Any] = {}


class Disaster(BaseException):
    """The child's own."""


def outcome(call: Callable[[], object]) -> str:
    try:
        return repr(call())
    except Exception as error:
        return type(error).__name__


def look(lease: Lease) -> dict[str, Any]:
    return {
        "check": outcome(lease.check),
        "lost": outcome(lambda: lease.lost),
        "remaining": outcome(lease.remaining),
        "current": outcome(current_lease),
        "renew": outcome(lease.renew),
        "release": outcome(lease.release),
    }


def leave() -> None:
    if WAY == "exit":
        sys.exit(7)
    if WAY == "error":
        raise ValueError("the child's own")
    if WAY == "disaster":
        raise Disaster


def end_child(seen: dict[str, Any], left: str) -> None:
    # Whatever would still give a lease back, does so now.
    gc.collect()
    time.sleep(0.1)
    print(json.dumps({**seen, "left": left, "sent": store.sent_by(os.getpid())}), flush=True)
    os._exit(0)


def fork(lease: Lease) -> bool:
    """Return whether this is the child; the parent waits for it, and looks."""
    pid = os.fork()
    if pid == 0:
        facts["child"] = look(lease)
        return True
    os.waitpid(pid, 0)
    before = store.sent_by(os.getpid()).count("Renew")
    time.sleep(0.8 * DURATION)
    facts["parent"] = {
        "lost": lease.lost,
        "owns": store.owner("x") == lease.owner,
        "current": outcome(lambda: current_lease() is lease),
        "renewed": store.sent_by(os.getpid()).count("Renew") > before,
    }
    return False


def by_with() -> None:
    with Lock("x", DURATION, store=store) as lease:
        if fork(lease):
            leave()


@singleton("x", DURATION, store=store)
def by_decorator(lease: Lease) -> None:
    if fork(lease):
        leave()


def by_hand() -> None:
    lease = Lock("x", 20, store=store).acquire()
    pid = os.fork()
    if pid == 0:
        facts["child"] = look(lease)
        leave()
        return
    os.waitpid(pid, 0)
    facts["parent"] = {"lost": lease.lost, "owns": store.owner("x") == lease.owner}
    lease.release()


async def by_async_with() -> None:
    # The event loop is the parent's: the child is over before it would go on.
    me = os.getpid()
    left = "normally"
    try:
        async with Lock("x", DURATION, store=store) as lease:
            if fork(lease):
                leave()
    except BaseException as error:
        left = type(error).__name__
    if os.getpid() != me:
        end_child(facts["child"], left)


def main() -> None:
    me = os.getpid()
    left = "normally"
    try:
        if HOW == "async with":
            asyncio.run(by_async_with())
        else:
            {"with": by_with, "decorator": by_decorator, "hand": by_hand}[HOW]()
    except BaseException as error:
        if os.getpid() == me:
            raise
        left = type(error).__name__
    if os.getpid() != me:
        end_child(facts["child"], left)
    facts["parent"]["free"] = store.owner("x") is None
    print(json.dumps(facts["parent"]), flush=True)


if __name__ == "__main__":
    main()
