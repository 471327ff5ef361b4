"""Leases in a DynamoDB table: one conditional UpdateItem for each operation."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ._clock import Clock, milliseconds, seconds
from ._errors import LeaseConfigError, LeaseError, LeaseStoreError
from ._logs import logger
from ._name import check_name
from ._observer import LeaseEvent, tell
from ._protocol import ForceRelease, Operation, Value
from ._store import Reply
from ._term import PATIENCE

if TYPE_CHECKING:
    from datetime import timedelta

    from mypy_boto3_dynamodb import DynamoDBClient

    from ._record import LeaseRecord

TABLE = "SINGLETON_TABLE"

# A client's timeouts are fixed when it is made. These are the lengths of one request, in seconds,
# of which the longest that fits is taken: in practice one client, unless leases are very short.
_TIMEOUTS = (PATIENCE, 1.0, 0.5, 0.2)

# What a row may say. A later time than the year 9999's end cannot be shown, nor told to the
# millisecond by a float. DynamoDB's numbers go on after that token, but 64 bits elsewhere do not.
_LAST_MOMENT = 253_402_300_799_999
_LAST_TOKEN = 2**63 - 1

# DynamoDB's words for a row that an update cannot be applied to.
_UNFIT = "operand|overflow|precision|significant digits|Item size"

# Another try may help; any other refusal needs somebody to change something.
_PASSING = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class DynamoDBStore:
    """Leases in the table `table_name`, by default the one that `SINGLETON_TABLE` names.

    The row format is in `docs/protocol.md`. botocore is imported, and a client made, with the first
    request: by boto3's default session where boto3 is in use. Where nobody has loaded botocore
    before, what it reads is kept from the garbage collector (`gc.freeze`): a full collection takes
    longer than making the client. A `client` of your own is used as it is: give it short timeouts
    and `retries={"total_max_attempts": 1}`, since this package retries by itself.

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
        clock: What to read the time from.
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
        clock: Clock = time,
    ) -> None:
        self.clock = clock
        self.clock_skew = seconds(clock_skew, "clock_skew")
        self.kill_grace = seconds(kill_grace, "kill_grace")
        # A row that is past its TTL is deleted, also while somebody holds the lease.
        self._retention = int(seconds(retention, "retention", most=1e10))
        self._table_name = table_name
        self._key_attr = key_attr
        self._ttl_attr = ttl_attr
        self._given_client = client
        self._warned = False
        self._clients: dict[float, DynamoDBClient] = {}
        self._making_a_client = threading.Lock()

    def __repr__(self) -> str:
        return f"DynamoDBStore({self._table_name or os.environ.get(TABLE)!r})"

    def prepare(self, *, timeout: float) -> None:
        """Import boto3 and make the client, the first time."""
        client = self._client(timeout)
        if self._given_client is not None and not self._warned:
            self._warned = True
            _warn_of_patience(client, timeout)

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        """Send one UpdateItem."""
        table = self._table
        client = self._client(timeout)
        values: dict[str, Value] = {
            **operation.values,
            ":expiration": operation.in_use_until // 1000 + self._retention,
        }
        condition, update = operation.condition, operation.update
        names, used = _placeholders(condition, update, self._key_attr, self._ttl_attr)
        try:
            response = client.update_item(
                TableName=table,
                Key={self._key_attr: {"S": operation.name}},
                ConditionExpression=condition,
                UpdateExpression=update,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: _encode(values[name]) for name in used},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Exception as error:
            refusal: Mapping[str, Any] = getattr(error, "response", None) or {}
            if _code(refusal) != "ConditionalCheckFailedException":
                raise self._explain(error, "UpdateItem", operation.name) from _quotable(error)
            return Reply(
                applied=False,
                record=self._decode(refusal.get("Item")),
                store_time=_date(refusal),
            )
        row = response.get("Attributes")
        if not row:
            # boto3 makes nothing of a reply that breaks off, and says nothing.
            raise LeaseStoreError(f"DynamoDB's reply for table {table!r} broke off")
        record = self._decode(row) if operation.wants_row else None
        return Reply(applied=True, record=record, store_time=_date(response))

    def get(self, name: str) -> LeaseRecord | None:
        """Read the lease called `name`, consistently; None if there never was one.

        Raises `LeaseStoreError` or `LeaseConfigError`.
        """
        table, client = self._table, self._client(PATIENCE)
        key = {self._key_attr: {"S": check_name(name)}}
        try:
            response = client.get_item(TableName=table, Key=key, ConsistentRead=True)
        except Exception as error:
            raise self._explain(error, "GetItem") from _quotable(error)
        return self._decode(response.get("Item"))

    def records(self) -> Iterator[LeaseRecord]:
        """Read every lease in the table, passing over rows that are not leases.

        A row that has a token but makes no sense otherwise is named in a logged warning. Raises
        `LeaseStoreError` or `LeaseConfigError`.
        """
        table, client = self._table, self._client(PATIENCE)
        try:
            for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
                for item in page["Items"]:
                    if "token" not in item:
                        continue
                    try:
                        record = self._decode(item)
                    except LeaseConfigError as error:
                        logger().warning("not listed: %s", error)
                        continue
                    if record is not None:
                        yield record
        except LeaseError:
            raise
        except Exception as error:
            raise self._explain(error, "Scan") from _quotable(error)

    def force_release(self, name: str) -> LeaseRecord:
        """Free a lease whoever holds it, and raise its token so that the holder is fenced.

        The former holder notices with its next renewal. Raises `LeaseConfigError` if there is no
        lease of that name, and `LeaseStoreError` if DynamoDB does not answer.
        """
        operation = ForceRelease(name=check_name(name), now=milliseconds(self.clock.time()))
        reply = self.execute(operation, timeout=PATIENCE)
        if not reply.applied or reply.record is None:
            raise LeaseConfigError(f"there is no lease {name!r} in table {self._table!r}")
        tell(LeaseEvent("forced", name, self.clock.time(), token=reply.record.token))
        return reply.record

    def create_table(self) -> None:
        """Create the table, with on-demand billing and TTL, unless it is there already.

        For trials and tests: in production let a template do it. Raises `LeaseConfigError` if a
        table of that name has another key or another TTL attribute.
        """
        table, client = self._table, self._client(PATIENCE)
        try:
            try:
                client.create_table(
                    TableName=table,
                    KeySchema=[{"AttributeName": self._key_attr, "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": self._key_attr, "AttributeType": "S"}],
                    BillingMode="PAY_PER_REQUEST",
                )
            except client.exceptions.ResourceInUseException:
                logger().debug("table %r exists", table)
            waiter = client.get_waiter("table_exists")
            waiter.wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
            self._check_key(client.describe_table(TableName=table)["Table"]["KeySchema"])
            ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
                self._check_ttl(ttl.get("AttributeName"))
            else:
                client.update_time_to_live(
                    TableName=table,
                    TimeToLiveSpecification={"Enabled": True, "AttributeName": self._ttl_attr},
                )
        except LeaseError:
            raise
        except Exception as error:
            raise self._explain(error, "CreateTable") from _quotable(error)

    def _check_key(self, schema: Any) -> None:
        keys = [key["AttributeName"] for key in schema]
        if keys != [self._key_attr]:
            raise LeaseConfigError(
                f"table {self._table!r} has the key {keys}: leases need the single partition key"
                f" {self._key_attr!r} (see key_attr)"
            )

    def _check_ttl(self, attribute: str | None) -> None:
        if attribute != self._ttl_attr:
            raise LeaseConfigError(
                f"table {self._table!r} has its TTL on {attribute!r}, not on {self._ttl_attr!r}"
                " (see ttl_attr)"
            )

    @property
    def _table(self) -> str:
        name = self._table_name or os.environ.get(TABLE)
        if not name:
            raise LeaseConfigError(
                f"no table: set the environment variable {TABLE}, or give DynamoDBStore a name"
            )
        return name

    def _client(self, timeout: float) -> DynamoDBClient:
        # A missing table name is told before anything slow is done.
        _ = self._table
        if self._given_client is not None:
            return self._given_client
        length = next((length for length in _TIMEOUTS if length <= timeout), _TIMEOUTS[-1])
        client = self._clients.get(length)
        if client is None:
            # Clients may be shared by threads, but not made by several at a time.
            with self._making_a_client:
                client = self._clients.get(length) or self._make_client(length)
                self._clients[length] = client
        return client

    def _make_client(self, timeout: float) -> DynamoDBClient:
        with _no_garbage_collection():
            try:
                import botocore
                from botocore.config import Config
            except ImportError as error:
                raise LeaseConfigError(
                    "DynamoDBStore needs boto3, which Lambda's Python runtimes have; elsewhere:"
                    " pip install 'lambda-singleton[boto3]'"
                ) from error
            # boto3's own defaults are 60 s for each, and retries that depend on its version.
            config = Config(
                connect_timeout=timeout * 0.4,
                read_timeout=timeout * 0.6,
                retries={"mode": "standard", "total_max_attempts": 1},
                # What is sent is made in here, and DynamoDB looks at it anyway.
                parameter_validation=False,
                # botocore composes its own from two dozen parts, twice for each request.
                user_agent=f"lambda-singleton Botocore/{botocore.__version__}",
            )
            try:
                client: DynamoDBClient = _client_maker()("dynamodb", config=config)
            except Exception as error:
                raise self._explain(error, "UpdateItem") from _quotable(error)
            return client

    def _decode(self, item: Mapping[str, Any] | None) -> LeaseRecord | None:
        if not item:
            return None
        from ._record import LeaseRecord

        name = item.get(self._key_attr, {}).get("S")
        try:
            if name is None:
                raise ValueError(f"it has no string {self._key_attr} (see key_attr)")
            expires_at = _number(item, "expires_at_ms", _LAST_MOMENT)
            duration = _number(item, "duration_ms", _LAST_MOMENT)
            if "owner" in item and expires_at is None:
                raise ValueError("it has an owner but no expires_at_ms")
            return LeaseRecord(
                name=name,
                token=_number(item, "token", _LAST_TOKEN) or 0,
                owner=_text(item, "owner"),
                expires_at=None if expires_at is None else expires_at / 1000,
                holder=_texts(item, "holder"),
                last_run=_texts(item, "last_run"),
                duration=None if duration is None else duration / 1000,
                tickets=_number(item, "tickets", _LAST_TOKEN) or 0,
                served=_number(item, "served", _LAST_TOKEN) or 0,
                taken_from=_text(item, "taken_from"),
            )
        except ValueError as error:
            raise self._not_a_lease(name, error) from None

    def _not_a_lease(self, name: str | None, why: Exception) -> LeaseConfigError:
        return LeaseConfigError(
            f"row {name!r} of table {self._table!r} is not a lease's: {why}; remove it, or use a"
            " table of leases only"
        )

    def _explain(self, error: Exception, action: str, name: str | None = None) -> LeaseError:
        """Turn whatever boto3 raised into an error that says what to do."""
        from botocore import exceptions as botocore

        table = self._table
        if isinstance(error, botocore.ClientError):
            code = _code(error.response)
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            # A code that is a number: the refusal broke off before its reason.
            if code in _PASSING or status >= 500 or status == 429 or code.isdigit():
                return LeaseStoreError(f"DynamoDB could not serve table {table!r}: {error}")
            if code == "ResourceNotFoundException":
                return LeaseConfigError(
                    f"table {table!r} does not exist in this account and region: create it, or"
                    f" set {TABLE} to the name of the table of leases"
                )
            if code in ("AccessDeniedException", "AccessDenied"):
                return LeaseConfigError(
                    f"access denied: allow dynamodb:{action} on table {table!r} in the function's"
                    f" role ({error})"
                )
            if re.search("Signature (expired|not yet current)", str(error)):
                return LeaseConfigError(
                    f"the local clock is minutes off DynamoDB's: synchronise it ({error})"
                )
            if name is not None and code == "ValidationException" and re.search(_UNFIT, str(error)):
                return self._not_a_lease(name, error)
            return LeaseConfigError(f"DynamoDB refused {action} on table {table!r}: {error}")
        if _quotable(error) is None:
            return LeaseConfigError(
                f"boto3 could not make a request to table {table!r}: look for stray characters in"
                " AWS_ENDPOINT_URL, in the Region and in the credentials"
            )
        if isinstance(error, botocore.ConnectionError | botocore.HTTPClientError):
            return LeaseStoreError(f"DynamoDB was not reached for table {table!r}: {error}")
        if isinstance(error, botocore.ChecksumError | botocore.IncompleteReadError):
            return LeaseStoreError(f"DynamoDB's reply for table {table!r} broke off: {error}")
        if isinstance(error, botocore.CredentialRetrievalError | botocore.MetadataRetrievalError):
            return LeaseStoreError(f"no credentials for table {table!r} just now: {error}")
        if isinstance(error, botocore.BotoCoreError):
            return LeaseConfigError(f"boto3 could not send {action} to table {table!r}: {error}")
        # A reply that breaks off or makes no sense: nobody knows what was applied.
        return LeaseStoreError(f"no usable reply for table {table!r}: {error!r}")


def _client_maker() -> Callable[..., Any]:
    """Return what makes clients: boto3 where it is in use, or else botocore alone."""
    if "boto3" in sys.modules:
        # Another thread may be importing it just now: this waits.
        import boto3

        return boto3.client
    from botocore.loaders import Loader
    from botocore.session import get_session

    class OnlyDynamoDB(Loader):
        """Does not look through the folders of some 400 services: a third of making a client."""

        def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
            return ["dynamodb"]

    session = get_session()
    path = os.path.expanduser(session.get_config_variable("data_path") or "")
    loader = OnlyDynamoDB(extra_search_paths=path.split(os.pathsep) if path else None)
    session.register_component("data_loader", loader)
    return session.create_client


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # A collection meanwhile would look at all that botocore has read: it can take longer than
    # making the client. What botocore reads the first time stays for good, so that no collection
    # ever has to look at it.
    is_first = "botocore" not in sys.modules
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        if was_on:
            gc.enable()


@cache
def _placeholders(
    condition: str, update: str, key_attr: str, ttl_attr: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the attributes' names by placeholder, and the placeholders of values."""
    own = {"#id": key_attr, "#expiration": ttl_attr}
    expressions = f"{condition} {update}"
    names = {name: own.get(name, name[1:]) for name in re.findall(r"#\w+", expressions)}
    return names, tuple(sorted(set(re.findall(r":\w+", expressions))))


def _warn_of_patience(client: DynamoDBClient, timeout: float) -> None:
    config: Any = client.meta.config
    retries = config.retries or {}
    tries = retries.get("total_max_attempts") or retries.get("max_attempts", 4) + 1
    longest = tries * (config.connect_timeout + config.read_timeout)
    if longest > timeout:
        logger().warning(
            "the given client may take %.1f s for one request, more than the %.1f s that this lease"
            " allows for: a renewal that hangs can then outlast the lease. Make the client with"
            " short timeouts and retries={'total_max_attempts': 1}",
            longest,
            timeout,
        )


def _code(response: Mapping[str, Any]) -> str:
    return str(response.get("Error", {}).get("Code", ""))


def _date(response: Any) -> float | None:
    return _epoch(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


@lru_cache(maxsize=2)
def _epoch(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return None


def _encode(value: Value) -> Any:
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    return {"M": {key: {"S": text} for key, text in value.items()}}


def _number(item: Mapping[str, Any], attribute: str, most: int) -> int | None:
    if attribute not in item:
        return None
    # Up to 38 digits, with a fraction, a sign or an exponent: whatever its writer wanted.
    digits = str(item[attribute].get("N"))
    if not digits.isdecimal() or int(digits) > most:
        raise ValueError(f"its {attribute} is not a whole number from 0 to {most}")
    return int(digits)


def _text(item: Mapping[str, Any], attribute: str) -> str | None:
    if attribute not in item:
        return None
    if "S" not in item[attribute]:
        raise ValueError(f"its {attribute} is not a string")
    return str(item[attribute]["S"])


def _texts(item: Mapping[str, Any], attribute: str) -> dict[str, str] | None:
    # Nothing is decided on these: what cannot be read is left out.
    described = item.get(attribute, {}).get("M")
    if described is None:
        return None
    return {key: str(value["S"]) for key, value in described.items() if "S" in value}


def _quotable(error: Exception) -> Exception | None:
    """Return the error, but None if its text may contain a credential.

    That is where a header or an address could not be built: the error quotes it.
    """
    from botocore.exceptions import BotoCoreError, HTTPClientError

    cause = error.kwargs.get("error") if type(error) is HTTPClientError else error
    unbuilt = isinstance(cause, ValueError | TypeError) and not isinstance(cause, BotoCoreError)
    return None if unbuilt else error
