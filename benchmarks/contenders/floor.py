"""F, the floor with boto3: one conditional update each way, by one client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from . import Contender, HeldError

random = SystemRandom()


class TwoCalls(Contender):
    """The least that a lock with an expiry, an owner and a token can do. It waits by polling."""

    token = True
    interval = 0.1

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        owner = os.urandom(16).hex()
        give_up_at = time.monotonic() + wait
        while not self._acquire(name, owner):
            if time.monotonic() >= give_up_at:
                raise HeldError
            # Polls in step would never meet: waiters would take turns without any effort.
            time.sleep(self.interval * random.uniform(0.75, 1.25))
        work()
        self._update(
            name,
            "#owner = :owner",
            "REMOVE #owner, #expires_at",
            {"#owner": "owner", "#expires_at": "expires_at"},
            {":owner": {"S": owner}},
        )

    def _acquire(self, name: str, owner: str) -> bool:
        now = round(time.time() * 1000)
        return self._update(
            name,
            "attribute_not_exists(#owner) OR #expires_at < :now",
            "SET #token = if_not_exists(#token, :now) + :one, #owner = :owner,"
            " #expires_at = :expires_at",
            {"#token": "token", "#owner": "owner", "#expires_at": "expires_at"},
            {
                ":now": {"N": str(now)},
                ":one": {"N": "1"},
                ":owner": {"S": owner},
                ":expires_at": {"N": str(now + round(self.lease * 1000))},
            },
        )

    def _update(self, name: str, condition: str, update: str, names: Any, values: Any) -> bool:
        request = {
            "TableName": self.table,
            "Key": {"id": {"S": name}},
            "ConditionExpression": condition,
            "UpdateExpression": update,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return self._send(request)

    def _send(self, request: dict[str, Any]) -> bool:
        """Return whether the condition held."""
        raise NotImplementedError


class Floor(TwoCalls):
    """With boto3, and a client like this library's."""

    package = "boto3"
    waits = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        import boto3
        from botocore.config import Config

        self.client: Any = boto3.client(
            "dynamodb",
            config=Config(
                connect_timeout=1.0,
                read_timeout=1.5,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )

    def _send(self, request: dict[str, Any]) -> bool:
        try:
            self.client.update_item(**request)
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


class Floor25(Floor):
    """The same, polling every 25 ms."""

    interval = 0.025


class Floor50(Floor):
    """The same, polling every 50 ms."""

    interval = 0.05


class Floor200(Floor):
    """The same, polling every 200 ms."""

    interval = 0.2


class Floor400(Floor):
    """The same, polling every 400 ms."""

    interval = 0.4
