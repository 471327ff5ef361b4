"""A signal comes while the reply to an acquire is on its way.

Arguments: the lease's name, "sync" or "async", the signal's number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

from lambda_singleton import DynamoDBStore, Lock

NAME, HOW, NUMBER = sys.argv[1:]


def end(number: int, frame: Any) -> None:
    sys.exit(3)


def take(store: DynamoDBStore) -> None:
    with Lock(NAME, 60, store=store):
        print("it goes on", flush=True)


async def take_async(store: DynamoDBStore) -> None:
    async with Lock(NAME, 60, store=store):
        print("it goes on", flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, end)
    store = DynamoDBStore()
    # The client is there before: it is the reply that takes long.
    store.get(NAME)
    threading.Timer(0.3, os.kill, (os.getpid(), int(NUMBER))).start()
    try:
        if HOW == "sync":
            take(store)
        else:
            asyncio.run(take_async(store))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
