"""The refresh of container credentials hangs while a lease is held. Arguments: the lease's name,
"boto3" to load it first or "alone", and how it is held: "main", "thread" or "task".
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from lambda_singleton import DynamoDBStore, LeaseInterrupt, LeaseLostError, Lock

NAME, LOADED, HOW = sys.argv[1:]
DURATION = 2.0
FOREVER = 6.0
facts: dict[str, Any] = {"interrupted": False}


def make_it_hang() -> None:
    address = urlsplit(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    urllib.request.urlopen(f"http://{address.netloc}/hang", timeout=5).read()


def end_of(lease: Any) -> float:
    return time.time() + float(lease.remaining())


def note(end: float) -> None:
    facts["interrupted"] = True
    facts["in time"] = time.time() <= end


def hold(lock: Lock) -> None:
    try:
        with lock as lease:
            end = end_of(lease)
            make_it_hang()
            try:
                give_up_at = time.monotonic() + FOREVER
                while time.monotonic() < give_up_at:
                    time.sleep(0.005 if HOW == "thread" else FOREVER)
            except LeaseInterrupt:
                note(end)
                raise
    except LeaseLostError:
        facts["told"] = True


async def hold_async(lock: Lock) -> None:
    try:
        async with lock as lease:
            end = end_of(lease)
            await asyncio.to_thread(make_it_hang)
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                note(end)
                raise
    except LeaseLostError:
        facts["told"] = True


def main() -> None:
    if LOADED == "boto3":
        import boto3

        boto3.client("dynamodb")
    lock = Lock(NAME, DURATION, store=DynamoDBStore())
    if HOW == "thread":
        thread = threading.Thread(target=hold, args=(lock,))
        thread.start()
        thread.join()
    elif HOW == "task":
        asyncio.run(hold_async(lock))
    else:
        hold(lock)
    print(json.dumps(facts), flush=True)
    # What hangs, hangs.
    os._exit(0)


if __name__ == "__main__":
    main()
