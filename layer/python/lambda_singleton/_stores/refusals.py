"""What went wrong with a request, as an error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from .._errors import LeaseConfigError, LeaseError, LeaseStoreError
from .failures import ExchangeError, RefusalError
from .table import TABLE

# DynamoDB's words for a row that an update cannot be applied to.
_ROW_REJECTED = "operand|overflow|precision|significant digits|Item size"

# Another try may help; any other refusal needs somebody to change something.
_TRANSIENT_CODES = frozenset(
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


def not_a_lease(table: str, name: str | None, why: Exception) -> LeaseConfigError:
    """Return the error for a row that somebody else wrote."""
    return LeaseConfigError(
        f"row {name!r} of table {table!r} is not a lease's: {why}; remove it, or use a table of"
        " leases only"
    )


def explain(error: Exception, table: str, action: str, name: str | None = None) -> LeaseError:
    """Return what boto3 raised for `action` as an error that says what to do.

    `name` is the lease whose row was to be written, None if it was a read.
    """
    if isinstance(error, RefusalError):
        return _refusal(error, table, action, name)
    if isinstance(error, ExchangeError):
        return _unanswered(error, table)
    from botocore import exceptions as botocore

    if isinstance(error, botocore.ClientError):
        return _refusal(error, table, action, name)
    if without_secrets(error) is None:
        return _unsendable(table)
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


def _unsendable(table: str) -> LeaseConfigError:
    return LeaseConfigError(
        f"no request could be made to table {table!r}: look for stray characters in"
        " AWS_ENDPOINT_URL, in the Region and in the credentials"
    )


def _unanswered(error: ExchangeError, table: str) -> LeaseError:
    if error.kind == "unsent":
        return _unsendable(table)
    if error.kind in ("unreached", "connect-timeout", "tls"):
        return LeaseStoreError(f"DynamoDB was not reached for table {table!r}: {error}")
    return LeaseStoreError(f"no usable reply for table {table!r}: {error}")


def _refusal(error: Any, table: str, action: str, name: str | None) -> LeaseError:
    code = error_code(error.response)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A code that is a number: the refusal broke off before its reason.
    if code in _TRANSIENT_CODES or status >= 500 or status == 429 or code.isdigit():
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
    if name is not None and code == "ValidationException" and re.search(_ROW_REJECTED, str(error)):
        return not_a_lease(table, name, error)
    return LeaseConfigError(f"DynamoDB refused {action} on table {table!r}: {error}")


def error_code(response: Mapping[str, Any]) -> str:
    """Return the code of a refusal; empty if the reply is none."""
    return str(response.get("Error", {}).get("Code", ""))


def date_of(response: Any) -> float | None:
    """Return what DynamoDB's clock showed, in whole epoch seconds; None if it did not say."""
    return _epoch(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


@lru_cache(maxsize=2)
def _epoch(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return None


def without_secrets(error: Exception) -> Exception | None:
    """Return the error, but None if its text may contain a credential.

    That is where a header or an address could not be built: the error quotes it.
    """
    if isinstance(error, ExchangeError):
        return None if error.kind == "unsent" else error
    if isinstance(error, RefusalError):
        return error
    from botocore.exceptions import BotoCoreError, HTTPClientError

    cause = error.kwargs.get("error") if type(error) is HTTPClientError else error
    unbuilt = isinstance(cause, ValueError | TypeError) and not isinstance(cause, BotoCoreError)
    return None if unbuilt else error
