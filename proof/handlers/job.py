"""The soak's handler: takes a lease, notes all that it sees, and writes to a guarded resource."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseEvent,
    LeaseHeldError,
    LeaseInterrupt,
    fenced,
    observe,
    singleton,
)
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Release, Renew
from lambda_singleton._protocol.store import Reply

DURATION = float(os.environ["DURATION"])
MANAGED = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "lambda-managed-instances"
RESOURCES = os.environ["RESOURCES_TABLE"]

#: No child lives longer, whatever hangs in it (seconds).
LIFE = 30


@cache
def resources(pid: int) -> Any:  # noqa: ARG001
    """Return this process's own client, which waits for no refresh of credentials.

    A worker thread cannot be interrupted while it waits: it must not wait beyond the skew.
    """
    return Session(aws_access_key_id="test", aws_secret_access_key="test").client(  # noqa: S106
        "dynamodb",
        config=Config(connect_timeout=0.2, read_timeout=0.3, retries={"total_max_attempts": 1}),
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
    #: For how long the observer will hang, once (seconds).
    hang = 0.0

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def write(self, kind: str, **facts: Any) -> None:
        event = {"at": time.time(), "kind": kind, "run": self.run, "lease": self.lease, **facts}
        # In one piece, and on a line of its own: others write to the same pipe.
        os.write(1, b"\n" + json.dumps(event).encode() + b"\n")


class ObservedStore(DynamoDBStore):
    """Notes what was confirmed, and when the latest request with an answer was sent."""

    answered = 0.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._runs: dict[str, tuple[str, str]] = {}

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        # What hung, or was cut off, goes on in the background while others run.
        owner = getattr(operation, "owner", notes.run)
        run, lease = self._runs.setdefault(owner, (notes.run, notes.lease))
        sent = time.time()
        try:
            reply = super().execute(operation, timeout=timeout)
        finally:
            if run in notes.ended:
                notes.write("ended", run=run, lease=lease)
        if not isinstance(operation, Release | Renew):
            self.answered = sent
        if isinstance(operation, Release) and reply.applied:
            notes.write("released", run=run, lease=lease)
        return reply


class OwnContext:
    """A child's context: it is nobody's invocation."""

    def __init__(self, run: str) -> None:
        self.aws_request_id = run
        self._ends_at = time.time() + LIFE

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends_at - time.time()) * 1000)


notes = Notes()
store = ObservedStore(clock=WrongClock())


resources(os.getpid())


def handler(event: dict[str, Any], context: Any) -> None:
    """Try to take the lease, and work under it, in the event's place."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    with noted(event, context):
        once = singleton("soak", DURATION, key="lease", wait=event["wait"], store=store)
        if event["place"] == "task":
            asyncio.run(cancelled(once(work_in_task), event, context))
            return
        guarded: Callable[[Any, Any], None] = once(work)
        if event["place"] == "thread":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(in_own_process, guarded, event, context).result()
        else:
            in_own_process(guarded, event, context)


@contextmanager
def noted(event: dict[str, Any], context: Any) -> Iterator[None]:
    """Note how a try begins and ends."""
    notes.run, notes.lease = context.aws_request_id, f"soak#{event['lease']}"
    notes.hang = event["hang"]
    deadline = time.time() + context.get_remaining_time_in_millis() / 1000
    notes.write("attempted", duration=DURATION, deadline=deadline, place=event["place"])
    try:
        yield
    except LeaseHeldError as error:
        holder = (error.holder or {}).get("request_id")
        notes.write("refused", holder=holder, since=store.answered)
        raise
    finally:
        notes.ended.add(notes.run)
        notes.write("ended")


def in_own_process(guarded: Callable[[Any, Any], None], event: Any, context: Any) -> None:
    """Call it; a child that comes out of its parent's block ends here."""
    me = os.getpid()
    try:
        guarded(event, context)
    finally:
        if os.getpid() != me:
            os._exit(0)


async def cancelled(guarded: Callable[[Any, Any], Any], event: Any, context: Any) -> None:
    """Await it in a task, which is cancelled again and again if the event says so."""
    task = asyncio.ensure_future(guarded(event, context))
    while not (await asyncio.wait({task}, timeout=event["cancel"]))[0]:
        notes.write("cancelled")
        task.cancel()
    if not task.cancelled():
        task.result()


def sign(kind: str, context: Any, lease: Lease) -> None:
    """Give a sign of life."""
    left = lease.remaining()
    if MANAGED:
        left = min(left, context.get_remaining_time_in_millis() / 1000)
    notes.write(kind, token=lease.token, until=time.time() + left)


def work(event: dict[str, Any], context: Any, lease: Lease) -> None:
    """Give a sign of life all the time, write to the guarded resource now and then, and fork."""
    me, began = os.getpid(), time.time()
    children = sorted(event["children"], key=lambda child: child["after"])
    sign("started", context, lease)
    try:
        while time.time() < began + event["seconds"]:
            write(lease)
            time.sleep(0.05)
            sign("held", context, lease)
            is_due = children and time.time() > began + children[0]["after"]
            if is_due and fork(children.pop(0), lease):
                return
    except LeaseInterrupt:
        notes.write("told")
        raise
    finally:
        if os.getpid() == me:
            notes.write("stopped")


async def work_in_task(event: dict[str, Any], context: Any, lease: Lease) -> None:
    """Do the same in an event loop."""
    ends_at = time.time() + event["seconds"]
    sign("started", context, lease)
    try:
        while time.time() < ends_at:
            await asyncio.to_thread(write, lease)
            await asyncio.sleep(0.05)
            sign("held", context, lease)
    except (LeaseInterrupt, asyncio.CancelledError):
        if lease.lost:
            notes.write("told")
        raise
    finally:
        notes.write("stopped")


class ChildLeavesError(Exception):
    """How a child leaves its parent's block."""


def fork(child: dict[str, Any], lease: Lease) -> bool:
    """Fork; the child looks at its parent's lease, tries to take it, and leaves its parent's block.

    True if it is to return from there.
    """
    notes.write("forked")
    if os.fork():
        return False
    signal.alarm(LIFE)
    notes.run = f"{notes.run}-{os.getpid()}"
    until = None if lease.lost else time.time() + lease.remaining()
    notes.write("inherited", until=until)
    resources(os.getpid())
    with suppress(Exception):
        event = {**child, "place": "child", "children": [], "hang": 0}
        handler(event, OwnContext(notes.run))
    if child["way"] == "exit":
        sys.exit(1)
    if child["way"] == "error":
        raise ChildLeavesError
    return True


def hang(event: LeaseEvent) -> None:
    """Hang in the thread that renews."""
    if event.kind == "renewed" and notes.hang:
        seconds, notes.hang = notes.hang, 0
        notes.write("hung")
        time.sleep(seconds)


observe(hang)


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
        resources(os.getpid()).update_item(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            notes.write("fenced", token=lease.token, since=sent, resource=lease.name)
    except BotoCoreError:
        pass
    else:
        notes.write("wrote", token=lease.token, since=sent, resource=lease.name)
