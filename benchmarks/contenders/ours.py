"""This library, in each of the ways to use it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock, MemoryStore, singleton

from . import Contender, HeldError


class Ours(Contender):
    """What the ways have in common."""

    package = "lambda-singleton"
    waits = True
    token = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.store: Any = DynamoDBStore(table)
        # Whoever guards one name again and again makes the lock once.
        self.lock = lru_cache(1)(lambda name: Lock(name, lease, store=self.store))


class ByHand(Ours):
    """`acquire` and `release`."""

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        try:
            lease = self.lock(name).acquire(wait)
        except LeaseHeldError as error:
            raise HeldError from error
        work()
        lease.release()


class Block(Ours):
    """A `with` block: renewed by a thread."""

    renews = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.lock = lru_cache(1)(
            lambda name, wait=0.0: Lock(name, lease, wait=wait, store=self.store)
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        try:
            with self.lock(name, wait):
                work()
        except LeaseHeldError as error:
            raise HeldError from error


class InMemory(ByHand):
    """`acquire` and `release` without any database."""

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.store = MemoryStore()


class Context:
    """What Lambda gives to a handler, as far as a lease looks at it."""

    aws_request_id = "8f5e2f5c-3b0a-4c5e-9d7e-2f5a7c1b9e11"

    def __init__(self, remaining: float) -> None:
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        """Return what a handler has left at its start."""
        return round(self._remaining * 1000)


class Singleton(Ours):
    """The decorator: one lease for the invocation."""

    duration: float | None = None

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.context = Context(lease)
        self.handler = lru_cache(2)(self._decorate)

    def initialise(self) -> None:
        self.handler(0.0)

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        try:
            self.handler(wait)({"name": name, "work": work}, self.context)
        except LeaseHeldError as error:
            raise HeldError from error

    def _decorate(self, wait: float) -> Callable[[Any, Any], object]:
        @singleton("bench", self.duration, key="name", wait=wait, store=self.store)
        def handler(event: Any, context: Any) -> None:  # noqa: ARG001
            event["work"]()

        return handler


class DirectSingleton(Singleton):
    """The decorator, without boto3."""

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.store = DynamoDBStore(table, transport="direct")


class RenewedSingleton(Singleton):
    """The decorator with a duration: renewed by a thread."""

    renews = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.duration = lease
        self.context = Context(900)
