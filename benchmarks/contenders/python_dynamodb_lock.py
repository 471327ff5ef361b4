"""python-dynamodb-lock: Amazon's Java client, written again in Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
from python_dynamodb_lock.python_dynamodb_lock import DynamoDBLockClient, DynamoDBLockError

from . import Contender, HeldError


class PythonDynamoDBLock(Contender):
    """One client for all names. It looks every 100 ms; its own default is 5 s."""

    key = ("lock_key:S", "sort_key:S")
    package = "python-dynamodb-lock"
    waits = True
    renews = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        # Heartbeats as in its defaults: six to a lease.
        self.client: Any = DynamoDBLockClient(
            boto3.resource("dynamodb"),
            table_name=table,
            lease_duration=timedelta(seconds=lease),
            heartbeat_period=timedelta(seconds=lease / 6),
            safe_period=timedelta(seconds=lease * 2 / 3),
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        try:
            lock = self.client.acquire_lock(
                name,
                retry_period=timedelta(seconds=0.1),
                # No time at all would be taken for its default of many seconds.
                retry_timeout=timedelta(seconds=max(wait, 0.001)),
            )
        except DynamoDBLockError as error:
            if error.code == DynamoDBLockError.ACQUIRE_TIMEOUT:
                raise HeldError from error
            raise
        work()
        lock.release(best_effort=False)
