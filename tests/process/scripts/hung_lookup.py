"""A name look-up hangs while a lease is held. Argument: the lease's name."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from typing import Any

from lambda_singleton import DynamoDBStore, LeaseInterrupt, LeaseLostError, Lock

DURATION = 2.0
FOREVER = 6.0
hangs = threading.Event()
look_up = socket.getaddrinfo


def slow(*args: Any, **kwargs: Any) -> Any:
    if hangs.is_set():
        time.sleep(FOREVER)
    return look_up(*args, **kwargs)


def main() -> None:
    facts: dict[str, Any] = {"interrupted": False}
    socket.getaddrinfo = slow
    try:
        with Lock(sys.argv[1], DURATION, store=DynamoDBStore()) as lease:
            end = time.time() + lease.remaining()
            hangs.set()
            try:
                time.sleep(FOREVER)
            except LeaseInterrupt:
                facts["interrupted"] = True
                facts["in time"] = time.time() <= end
                raise
    except LeaseLostError:
        facts["told"] = True
    print(json.dumps(facts), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
