"""Prints what a plain handler sends to DynamoDB: run with one or another version of the package.

Nothing in it differs from one run to the next: neither the time nor the owner.
"""

import copy
import json
import os
import sys
from typing import Any

import boto3
from botocore.stub import Stubber

from lambda_singleton import DynamoDBStore, Lease, singleton


class StoppedClock:
    """The time stands still."""

    def time(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 5_000.0

    def sleep(self, seconds: float, /) -> None: ...


class Context:
    """Lambda's, of an invocation that has a minute."""

    aws_request_id = "8f2c6d1e-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def main() -> None:
    os.urandom = lambda length: bytes(range(length))
    owner = bytes(range(16)).hex()
    client = boto3.client("dynamodb")
    sent: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb.UpdateItem",
        lambda params, **facts: sent.append(copy.deepcopy(params)),
    )
    stubber = Stubber(client)
    row: dict[str, Any] = {
        "id": {"S": "job"},
        "token": {"N": "1800000000001"},
        "owner": {"S": owner},
        "expires_at_ms": {"N": "1800000030000"},
    }
    released = {"id": row["id"], "token": row["token"]}
    for attributes in (row, row, released):
        stubber.add_response("update_item", {"Attributes": attributes})

    @singleton("job", 30, store=DynamoDBStore("leases", client=client, clock=StoppedClock()))
    def handler(event: object, context: object, lease: Lease) -> None:
        lease.renew()

    with stubber:
        handler({}, Context())
    sys.stdout.write(f"{json.dumps(sent)}\n")


if __name__ == "__main__":
    main()
