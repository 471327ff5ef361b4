"""Those who are compared: one small adapter each, all with the same one method.

This module imports nothing heavy: a cold start is measured through it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence


class HeldError(Exception):
    """Somebody else holds the lock."""


class Contender:
    """Guards work by a lock in a table of its own; the lock lasts `lease` seconds at a time."""

    #: The table's key: its attributes and their types.
    key: tuple[str, ...] = ("id:S",)
    #: The package that it comes from.
    package = ""
    #: What it can do: wait for a lock, fail at once, renew by itself, give a fencing token.
    waits = False
    fails_fast = True
    renews = False
    token = False
    #: Whether it waits without any pause, which would disturb whatever runs beside it.
    greedy = False
    #: Whether it runs in a process of its own, and measures itself there.
    elsewhere = False
    #: The requests that it has counted itself, where no botocore sends them.
    requests = 0

    def __init__(self, table: str, lease: float) -> None:
        self.table = table
        self.lease = lease

    def initialise(self) -> None:
        """Do what a function of it does while it initialises, besides making this."""

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        """Do the work under the lock called `name`; raise `HeldError` if it stays held."""
        raise NotImplementedError

    def cycles(self, names: Sequence[str]) -> tuple[float, float]:
        """Guard nothing under each of the names, `elsewhere`; return its CPU and wall seconds."""
        raise NotImplementedError


#: The floor, to which all are compared; and what of a cycle is not the library's own.
FLOOR = "F: two boto3 calls"
REPLAY = "our two calls alone"

OURS = {
    "Lock, by hand": "ours.ByHand",
    "with Lock": "ours.Block",
    "@singleton": "ours.Singleton",
    "@singleton, renewed": "ours.RenewedSingleton",
    "@singleton, direct": "ours.DirectSingleton",
}

FLOORS = {
    FLOOR: "floor.Floor",
    REPLAY: "replay.Replay",
    "raw socket": "raw_socket.RawSocket",
}

PEERS = {
    "python-dynamodb-lock": "python_dynamodb_lock.PythonDynamoDBLock",
    "dynamodblock": "dynamodblock.Dynamodblock",
    "dynamo-dlm": "dynamo_dlm.DynamoDlm",
    "dyndbmutex": "dyndbmutex.Dyndbmutex",
    "dynalock": "dynalock.Dynalock",
    "lynk": "lynk.Lynk",
    "Powertools idempotency": "powertools.Idempotency",
    "dynamodb-lock-client (Node.js)": "node.DynamodbLockClient",
    "@deliveryhero/dynamodb-lock (Node.js)": "node.DeliveryHero",
}

#: Not compared, but used on the way.
OTHERS = {
    "F, polling every 25 ms": "floor.Floor25",
    "F, polling every 50 ms": "floor.Floor50",
    "F, polling every 200 ms": "floor.Floor200",
    "F, polling every 400 ms": "floor.Floor400",
    "MemoryStore": "ours.InMemory",
}


def load(title: str) -> type[Contender]:
    """Import the contender with this title, and what it needs."""
    module, _, name = {**OURS, **FLOORS, **PEERS, **OTHERS}[title].partition(".")
    contender: type[Contender] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return contender
