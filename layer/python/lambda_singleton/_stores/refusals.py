"""What went wrong with a request, as an error that says what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from .._errors import LeaseConfigError, LeaseError, LeaseStoreError
from .._text import ERROR, quoted, told
from .._text import without_secrets as redacted
from .failures import ExchangeError, RefusalError
from .table import TABLE

# DynamoDB's words for a row that an update cannot be applied to.
_ROW_REJECTED = "operand|overflow|precision|significant digits|Item size"

# KMS's words, in DynamoDB's refusal or in IAM's.
_KMS = "KMS key|AWSKMS|perform: kms:"

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
        "TransactionInProgressException",
    }
)


_CARRIER = f"{__package__}.carrier"


class ConflictError(LeaseStoreError):
    """A transaction on the row was under way: nothing was applied."""


#: Why a transaction was cancelled that may be sent again.
_CANCELLED = {
    "TransactionConflict": ConflictError,
    "ThrottlingError": LeaseStoreError,
    "ProvisionedThroughputExceeded": LeaseStoreError,
}


def is_own(refusal: Any) -> bool:
    """Say whether a transaction was cancelled since the lease's own condition has failed."""
    reasons = refusal.get("CancellationReasons") or [{}]
    return bool(reasons[0].get("Code") == "ConditionalCheckFailed")


def raise_if_transient(error: Any, table: str) -> None:
    """Raise `LeaseStoreError` if a cancelled transaction may work when it is sent again."""
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons") or ()}
    if "ConditionalCheckFailed" in codes:
        return
    for code, kind in _CANCELLED.items():
        if code in codes:
            raise kind(f"DynamoDB could not serve table {quoted(table)}: {told(error)}")


def not_a_lease(table: str, name: str | None, why: Exception) -> LeaseConfigError:
    """Return the error for a row that somebody else wrote."""
    return LeaseConfigError(
        f"row {quoted(name)} of table {quoted(table)} is not a lease's: {told(why)}; remove it, or"
        " use a table of leases only"
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
    from botocore.parsers import ResponseParserError

    if isinstance(error, botocore.ClientError):
        return _refusal(error, table, action, name)
    if _was_being_read(error) or isinstance(error, ResponseParserError):
        return unusable(error, table)
    if _is_unbuilt(error):
        return _unsendable(table)
    if isinstance(error, botocore.ConnectionError | botocore.HTTPClientError):
        return LeaseStoreError(f"DynamoDB was not reached for table {quoted(table)}: {told(error)}")
    if isinstance(error, botocore.ChecksumError | botocore.IncompleteReadError):
        return LeaseStoreError(
            f"DynamoDB's reply for table {quoted(table)} broke off: {told(error)}"
        )
    if isinstance(error, botocore.CredentialRetrievalError | botocore.MetadataRetrievalError):
        return LeaseStoreError(f"no credentials for table {quoted(table)} just now: {told(error)}")
    if isinstance(error, botocore.BotoCoreError):
        return LeaseConfigError(
            f"boto3 could not send {action} to table {quoted(table)}: {told(error)}"
        )
    return unusable(error, table)


@contextmanager
def reading(table: str) -> Iterator[None]:
    """Whatever cannot be read in a reply, whoever sent it, is a `LeaseStoreError`."""
    try:
        yield
    except LeaseError:
        raise
    except Exception as error:
        raise unusable(error, table) from without_secrets(error)


def unusable(error: Exception, table: str) -> LeaseError:
    """Return the error for a reply that breaks off or makes no sense: it may have been applied."""
    said = f"{type(error).__name__}: {told(error)}"
    return LeaseStoreError(f"no usable reply for table {quoted(table)}: {said}")


def _unsendable(table: str) -> LeaseConfigError:
    return LeaseConfigError(
        f"no request could be made to table {quoted(table)}: look for stray characters in"
        " AWS_ENDPOINT_URL, in the Region and in the credentials"
    )


def _unanswered(error: ExchangeError, table: str) -> LeaseError:
    if error.kind == "unsent":
        return _unsendable(table)
    if error.kind in ("unreached", "connect-timeout", "tls"):
        return LeaseStoreError(f"DynamoDB was not reached for table {quoted(table)}: {told(error)}")
    return LeaseStoreError(f"no usable reply for table {quoted(table)}: {told(error)}")


def _refusal(error: Any, table: str, action: str, name: str | None) -> LeaseError:
    code = error_code(error.response)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A code that is a number: the refusal broke off before its reason.
    if code == "TransactionConflictException":
        return ConflictError(f"DynamoDB could not serve table {quoted(table)}: {told(error)}")
    if code in _TRANSIENT_CODES or status >= 500 or status == 429 or code.isdigit():
        return LeaseStoreError(f"DynamoDB could not serve table {quoted(table)}: {told(error)}")
    if code == "ResourceNotFoundException":
        return LeaseConfigError(
            f"table {quoted(table)} does not exist in this account and region: create it, or"
            f" set {TABLE} to the name of the table of leases"
        )
    # DynamoDB asks KMS for whoever calls; what KMS says has DynamoDB's own code.
    if re.search(_KMS, str(error)):
        return LeaseConfigError(
            f"the KMS key of table {quoted(table)} cannot be used: allow kms:Decrypt with that key"
            " in the function's role and in the key's policy, and see that the key is enabled"
            f" ({told(error)})"
        )
    if code in ("AccessDeniedException", "AccessDenied"):
        return LeaseConfigError(
            f"access denied: allow dynamodb:{action} on table {quoted(table)} in the function's"
            f" role ({told(error)})"
        )
    if re.search("Signature (expired|not yet current)", str(error)):
        return LeaseConfigError(
            f"the local clock is minutes off DynamoDB's: synchronise it ({told(error)})"
        )
    if name is not None and code == "ValidationException" and re.search(_ROW_REJECTED, str(error)):
        return not_a_lease(table, name, error)
    return LeaseConfigError(f"DynamoDB refused {action} on table {quoted(table)}: {told(error)}")


def error_code(response: Any) -> str:
    """Return the code of a refusal; empty if the reply is none."""
    error = response.get("Error") if isinstance(response, dict) else None
    return str(error.get("Code", "")) if isinstance(error, dict) else ""


def date_of(response: Any) -> float | None:
    """Return what DynamoDB's clock showed, in whole epoch seconds; None if it did not say."""
    return _epoch(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


@lru_cache(maxsize=2)
def _epoch(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def without_secrets(error: Exception) -> Exception | None:
    """Return the error to be chained, but None if its text may contain a credential, or is endless.

    That is where a header or an address could not be built: the error quotes it.
    """
    said = str(error)
    is_fit = len(said) <= ERROR and redacted(said) == said
    if isinstance(error, ExchangeError):
        is_fit = is_fit and error.kind != "unsent"
    elif "botocore" in sys.modules:
        is_fit = is_fit and (_was_being_read(error) or not _is_unbuilt(error))
    return error if is_fit else None


def _is_unbuilt(error: Exception) -> bool:
    from botocore.exceptions import BotoCoreError, HTTPClientError

    cause = error.kwargs.get("error") if type(error) is HTTPClientError else error
    return isinstance(cause, ValueError | TypeError) and not isinstance(cause, BotoCoreError)


def _was_being_read(error: Exception) -> bool:
    # botocore raises the same for a request that it cannot build and for a reply that it cannot
    # read: only where it was at work tells the two apart.
    if isinstance(error.__cause__, ExchangeError):
        return False
    steps = set()
    frame = error.__traceback__
    while frame is not None:
        # Who sends is botocore itself, or a carrier in its place; both call it `_send`.
        if frame.tb_frame.f_globals.get("__name__") in ("botocore.endpoint", _CARRIER):
            steps.add(frame.tb_frame.f_code.co_name)
        frame = frame.tb_next
    return "_send" not in steps and not steps.isdisjoint(("_do_get_response", "_needs_retry"))
