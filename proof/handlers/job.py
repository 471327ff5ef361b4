"""The soak's handler: takes a lease, notes all that it sees, and writes to a guarded resource."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseHeldError,
    LeaseInterrupt,
    fenced,
    singleton,
)
from lambda_singleton._protocol.operations import Operation, Release
from lambda_singleton._protocol.store import Reply

DURATION = float(os.environ["DURATION"])
MANAGED = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "lambda-managed-instances"
RESOURCES = os.environ["RESOURCES_TABLE"]

resources = boto3.client(
    "dynamodb",
    config=Config(connect_timeout=0.3, read_timeout=0.5, retries={"total_max_attempts": 1}),
)


class WrongClock:
    """The time, as this process sees it."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def time(self) -> float:
        return time.time() + float(os.environ["CLOCK_OFFSET"])


class Notes:
    """What is seen of one run, written down at once: the process may end at any moment."""

    run = ""
    lease = ""

    def write(self, kind: str, **facts: Any) -> None:
        event = {"at": time.time(), "kind": kind, "run": self.run, "lease": self.lease, **facts}
        os.write(1, json.dumps(event).encode() + b"\n")


class ObservedStore(DynamoDBStore):
    """Notes what was confirmed, and when the latest request with an answer was sent."""

    answered = 0.0

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        sent = time.time()
        reply = super().execute(operation, timeout=timeout)
        self.answered = sent
        if isinstance(operation, Release) and reply.applied:
            notes.write("released")
        return reply


notes = Notes()
store = ObservedStore(clock=WrongClock())


def handler(event: dict[str, Any], context: Any) -> None:
    """Try to take the lease, and work under it."""
    notes.run, notes.lease = context.aws_request_id, f"soak#{event['lease']}"
    deadline = time.time() + context.get_remaining_time_in_millis() / 1000
    notes.write("attempted", duration=DURATION, deadline=deadline)
    once = singleton("soak", DURATION, key="lease", wait=event["wait"], store=store)
    guarded: Callable[[Any, Any], None] = once(work)
    try:
        guarded(event, context)
    except LeaseHeldError as error:
        holder = (error.holder or {}).get("request_id")
        notes.write("refused", holder=holder, since=store.answered)
        raise
    finally:
        notes.write("ended")


def work(event: dict[str, Any], context: Any, lease: Lease) -> None:
    """Give a sign of life all the time, and write to the guarded resource now and then."""

    def sign(kind: str) -> None:
        left = lease.remaining()
        if MANAGED:
            left = min(left, context.get_remaining_time_in_millis() / 1000)
        notes.write(kind, token=lease.token, until=time.time() + left)

    ends_at = time.time() + event["seconds"]
    sign("started")
    try:
        while time.time() < ends_at:
            write(lease)
            time.sleep(0.05)
            sign("held")
    except LeaseInterrupt:
        notes.write("told")
        raise
    finally:
        notes.write("stopped")


def write(lease: Lease) -> None:
    """Write to the guarded resource, unless somebody with a higher token has."""
    sent = time.time()
    request = fenced(
        lease,
        TableName=RESOURCES,
        Key={"id": {"S": lease.name}},
        UpdateExpression="SET written_at = :now",
        ExpressionAttributeValues={":now": {"N": str(sent)}},
    )
    try:
        resources.update_item(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            notes.write("fenced", token=lease.token, since=sent, resource=lease.name)
    except BotoCoreError:
        pass
    else:
        notes.write("wrote", token=lease.token, since=sent, resource=lease.name)
