"""Leases in a DynamoDB table: one conditional UpdateItem for each operation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .._backoff import uniform
from .._clock import Clock, seconds
from .._errors import LeaseConfigError, LeaseError, LeaseStoreError
from .._events.logger import logger
from .._protocol.name import check_name
from .._protocol.operation import Operation
from .._protocol.record import LeaseRecord
from .._protocol.store import Reply
from .._protocol.term import REQUEST_TIMEOUT
from .._text import quoted
from .chosen import choose
from .client import Clients, GivenClient, OwnClients
from .force_release import force_release
from .refusals import (
    ConflictError,
    date_of,
    error_code,
    explain,
    is_own,
    not_a_lease,
    raise_if_transient,
    reading,
    without_secrets,
)
from .rows import ATTRIBUTES, Rows
from .table import TABLE, create_table

if TYPE_CHECKING:
    from datetime import timedelta

    from mypy_boto3_dynamodb import DynamoDBClient


#: How often a request is sent again that a transaction on its row has kept out.
CONFLICTS = 10


class DynamoDBStore:
    """Leases in the table `table_name`, by default the one that `SINGLETON_TABLE` names.

    The row format is in `docs/protocol.md`. botocore is imported, and a client made, with the first
    request: by boto3's default session where boto3 is in use. Where nobody has loaded botocore
    before, what it reads is kept from the garbage collector (`gc.freeze`): a full collection takes
    longer than making the client. A `client` of your own is used as it is: give it short timeouts
    and `retries={"total_max_attempts": 1}`, since this package retries by itself. A child of
    `fork()` never uses a connection of its parent.

    The requests of an own client go over connections of this package: each has one time limit for
    the whole of it, but for the look-up of the host's name, and the file of authorities is read
    once. With `transport="direct"` the operations of a lease do without boto3: see
    `docs/transports.md` for where they do.

    Args:
        table_name: The table's name. An argument beats the environment.
        client: A low-level boto3 DynamoDB client to use instead of an own one.
        clock_skew: How far, in seconds, the clocks of two parties may differ.
        kill_grace: How late, in seconds, an invocation may be killed after its deadline.
        retention: How long a row is kept after its last use, for DynamoDB's TTL: a timedelta, or
            seconds. With less than a quarter of an hour the tokens might not go on rising after a
            deletion.
        key_attr: The table's partition key.
        ttl_attr: The table's TTL attribute.
        transport: "boto3" or "direct"; by default what `SINGLETON_TRANSPORT` says, or else "boto3".
        clock: What to read the time from.

    Raises:
        LeaseConfigError: For a value that cannot work, such as a resource in place of a client.
    """

    def __init__(
        self,
        table_name: str | None = None,
        *,
        client: DynamoDBClient | None = None,
        clock_skew: float = 1.0,
        kill_grace: float = 2.0,
        retention: float | timedelta = 7 * 86_400,
        key_attr: str = "id",
        ttl_attr: str = "expiration",
        transport: str | None = None,
        clock: Clock = time,
    ) -> None:
        self.clock = clock
        self.clock_skew: float = seconds(clock_skew, "clock_skew")
        self.kill_grace: float = seconds(kill_grace, "kill_grace")
        # A row that is past its TTL is deleted, also while somebody holds the lease.
        self._retention = int(seconds(retention, "retention", most=1e10))
        self._table_name = table_name
        self._rows = Rows(_attribute(key_attr, "key_attr"), _attribute(ttl_attr, "ttl_attr"))
        if key_attr == ttl_attr:
            raise LeaseConfigError(f"key_attr and ttl_attr must differ, but both are {key_attr!r}")
        self._full_clients = OwnClients() if client is None else GivenClient(client)
        self._clients = choose(transport, self._full_clients)

    def __repr__(self) -> str:
        return f"DynamoDBStore({self._table_name or os.environ.get(TABLE)!r})"

    def prepare(self, *, timeout: float) -> None:
        """Import boto3 and make the client, the first time."""
        self._client(timeout)

    def warm(self, *, timeout: float) -> None:
        """Prepare, and do ahead what else can be done without a request: open a connection.

        Nobody is told if that fails: the first request says what is wrong, as it always did.
        """
        try:
            from .rehearsal import rehearsed

            self.prepare(timeout=timeout)
            self._clients.warm(timeout, lambda: self.execute(rehearsed(), timeout=timeout))
        except Exception:
            logger().debug("%r could not be warmed", self, exc_info=True)

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        """Send one UpdateItem, and again while a transaction on the row is in its way."""
        try:
            return self._update(operation, timeout)
        except ConflictError:
            return self._despite_conflicts(partial(self._update, operation), timeout)

    def transact(
        self, operation: Operation, effects: Sequence[Mapping[str, Any]], *, timeout: float
    ) -> Reply:
        """Send one TransactWriteItems: the operation and the effects, or neither.

        Raises boto3's own error if an effect was refused.
        """
        items = [self.transaction_item(operation), *effects]
        send = partial(self._transact, operation.name, items)
        try:
            return send(timeout)
        except ConflictError:
            return self._despite_conflicts(send, timeout)

    def transaction_item(self, operation: Operation) -> dict[str, Any]:
        """Return the operation as an element of TransactItems."""
        # A step keeps the row's expiration.
        request = self._rows.request(operation, 0)
        del request["ReturnValues"]
        return {"Update": {"TableName": self._table, **request}}

    def _transact(self, name: str, items: list[Any], timeout: float) -> Reply:
        client = self._get(self._full_clients, timeout)
        try:
            response = client.transact_write_items(TransactItems=items)
        except Exception as error:
            refusal: Any = getattr(error, "response", None)
            if error_code(refusal) != "TransactionCanceledException":
                explained = explain(error, self._table, "TransactWriteItems", name)
                raise explained from without_secrets(error)
            if not is_own(refusal):
                # What an effect is refused for is the handler's to know.
                raise_if_transient(error, self._table)
                raise
            item = refusal["CancellationReasons"][0].get("Item")
            with reading(self._table):
                return Reply(applied=False, record=self._decode(item) or self.get(name))
        return Reply(applied=True, store_time=date_of(response))

    def _despite_conflicts(self, send: Callable[[float], Reply], timeout: float) -> Reply:
        # A transaction that is under way takes some milliseconds: nothing was applied meanwhile.
        give_up_at = self.clock.monotonic() + timeout
        for _ in range(CONFLICTS):
            self.clock.sleep(uniform(0.005, 0.05))
            left = give_up_at - self.clock.monotonic()
            try:
                return send(max(left, 0.01))
            except ConflictError:
                if left <= 0.05:
                    raise
        return send(max(give_up_at - self.clock.monotonic(), 0.01))

    def _update(self, operation: Operation, timeout: float) -> Reply:
        table, client = self._table, self._client(timeout)
        expiration = operation.in_use_until // 1000 + self._retention
        request = self._rows.request(operation, expiration)
        try:
            response = client.update_item(TableName=table, **request)
        except Exception as error:
            refusal: Any = getattr(error, "response", None)
            if error_code(refusal) != "ConditionalCheckFailedException":
                raise explain(error, table, "UpdateItem", operation.name) from without_secrets(
                    error
                )
            with reading(table):
                return self._refused(operation, refusal)
        with reading(table):
            return self._applied(operation, response)

    def _applied(self, operation: Operation, response: Mapping[str, Any]) -> Reply:
        row = response.get("Attributes")
        if not row or not self._rows.is_result(operation, row):
            # boto3 makes nothing of a reply that breaks off, and says nothing.
            raise self._of_another_request()
        record = self._decode(row) if operation.wants_row else None
        return Reply(applied=True, record=record, store_time=date_of(response))

    def _refused(self, operation: Operation, refusal: Mapping[str, Any]) -> Reply:
        record = self._decode(refusal.get("Item"))
        if record is not None and record.name != operation.name:
            raise self._of_another_request()
        return Reply(applied=False, record=record, store_time=date_of(refusal))

    def _of_another_request(self) -> LeaseStoreError:
        return LeaseStoreError(
            f"DynamoDB's reply for table {quoted(self._table)} is not this request's"
        )

    def get(self, name: str) -> LeaseRecord | None:
        """Read the lease called `name`, consistently; None if there never was one.

        Raises `LeaseStoreError` or `LeaseConfigError`.
        """
        table, client = self._table, self._client(REQUEST_TIMEOUT)
        key = self._rows.key(check_name(name))
        try:
            response = client.get_item(TableName=table, Key=key, ConsistentRead=True)
        except Exception as error:
            raise explain(error, table, "GetItem") from without_secrets(error)
        with reading(table):
            return self._decode(response.get("Item"))

    def records(self) -> Iterator[LeaseRecord]:
        """Read every lease in the table, passing over rows that are not leases.

        A row that has a token but makes no sense otherwise is named in a logged warning. Raises
        `LeaseStoreError` or `LeaseConfigError`.
        """
        table, client = self._table, self._full_client()
        try:
            for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
                with reading(table):
                    records = [self._listed(item) for item in page["Items"] if "token" in item]
                yield from filter(None, records)
        except LeaseError:
            raise
        except Exception as error:
            raise explain(error, table, "Scan") from without_secrets(error)

    def _listed(self, item: Mapping[str, Any]) -> LeaseRecord | None:
        # Whoever writes one row decides nothing about the others.
        try:
            return self._decode(item)
        except LeaseConfigError as error:
            logger().warning("not listed: %s", error)
            return None

    def force_release(self, name: str) -> LeaseRecord:
        """Free a lease whoever holds it, and raise its token so that the holder is fenced.

        The former holder notices with its next renewal. Raises `LeaseConfigError` if there is no
        lease of that name, and `LeaseStoreError` if DynamoDB does not answer.
        """
        return force_release(self, check_name(name))

    def create_table(self) -> None:
        """Create the table, with on-demand billing and TTL, unless it is there already.

        For trials and tests: in production let a template do it. Raises `LeaseConfigError` if a
        table of that name has another key or another TTL attribute.
        """
        table, client = self._table, self._full_client()
        try:
            create_table(client, table, self._rows)
        except LeaseError:
            raise
        except Exception as error:
            raise explain(error, table, "CreateTable") from without_secrets(error)

    @property
    def table_name(self) -> str:
        """The table; raises `LeaseConfigError` if nobody has named one."""
        return self._table

    @property
    def _table(self) -> str:
        name = self._table_name or os.environ.get(TABLE)
        if not name:
            raise LeaseConfigError(
                f"no table: set the environment variable {TABLE}, or give DynamoDBStore a name"
            )
        return name

    def _client(self, timeout: float) -> DynamoDBClient:
        return self._get(self._clients, timeout)

    def _full_client(self) -> DynamoDBClient:
        return self._get(self._full_clients, REQUEST_TIMEOUT)

    def _get(self, clients: Clients, timeout: float) -> DynamoDBClient:
        # A missing table name is told before anything slow is done.
        table = self._table
        try:
            client: DynamoDBClient = clients.get(timeout)
            return client
        except LeaseError:
            raise
        except Exception as error:
            raise explain(error, table, "UpdateItem") from without_secrets(error)

    def _decode(self, item: Mapping[str, Any] | None) -> LeaseRecord | None:
        try:
            return self._rows.decode(item)
        except ValueError as error:
            name = (item or {}).get(self._rows.key_attr, {}).get("S")
            raise not_a_lease(self._table, name, error) from None


def _attribute(name: object, parameter: str) -> str:
    # The limit is DynamoDB's, for the name of a key.
    if not isinstance(name, str) or not 0 < len(name) <= 255:
        raise LeaseConfigError(f"{parameter} must be a str of 1 to 255 characters, not {name!r}")
    if name in ATTRIBUTES:
        raise LeaseConfigError(f"{parameter} must not be {name!r}, an attribute of every row")
    return name
