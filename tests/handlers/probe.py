"""Handlers that the tests run under the real runtime client."""

import os
import socket
import sys
import threading
import time
from typing import Any

from lambda_singleton import Lease, singleton

duration = float(os.environ["DURATION"]) if "DURATION" in os.environ else None
guarded = singleton(os.environ.get("LEASE", "unused"), duration)


@guarded
def answers(event: Any, context: Any, lease: Lease) -> dict[str, Any]:
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "token": lease.token,
        "pid": os.getpid(),
        "threads": threading.active_count(),
        "main_thread": threading.current_thread() is threading.main_thread(),
        "variables": {key: os.environ[key] for key in os.environ if "LAMBDA" in key},
    }


@guarded
def exits(event: Any, context: Any) -> None:
    sys.exit(event)


def raises(event: Any, context: Any) -> None:
    raise LookupError("a bare class name")


def crashes(event: Any, context: Any) -> None:
    os._exit(7)


@guarded
def sleeps(event: Any, context: Any) -> None:
    print("at work", flush=True)
    time.sleep(60)


@guarded
def waits_on_a_socket(event: Any, context: Any) -> None:
    print("at work", flush=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


@guarded
def loops(event: Any, context: Any) -> None:
    print("at work", flush=True)
    while True:
        pass


@guarded
def catches_and_goes_on(event: Any, context: Any) -> None:
    print("at work", flush=True)
    while True:
        try:
            time.sleep(0.01)
            raise ValueError("a bad record")
        except Exception:
            pass


def ticks(event: Any, context: Any) -> None:
    while True:
        print("tick", flush=True)
        time.sleep(0.05)
