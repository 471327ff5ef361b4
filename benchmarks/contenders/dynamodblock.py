"""dynamodblock: made for Lambda."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from dynamodblock import DynamoDBLock, DynamoDBLockTimeoutError

from . import Contender, HeldError


class Dynamodblock(Contender):
    """A lock object for each use: one that was used once never releases again."""

    key = ("lock_id:S",)
    package = "dynamodblock"
    waits = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.resource: Any = boto3.resource("dynamodb").Table(table)

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        lock = DynamoDBLock(name, self.resource, lock_ttl=self.lease)
        interval = 0.1 if wait else 0.0
        try:
            lock.acquire(retry_timeout=wait, retry_interval=interval)
        except DynamoDBLockTimeoutError as error:
            raise HeldError from error
        work()
        lock.release(raise_on_exception=True)
