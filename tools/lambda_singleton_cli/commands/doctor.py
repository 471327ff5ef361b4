"""`lambda-singleton doctor`: what is there on AWS, and what of it would hurt."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.config import Config

from lambda_singleton import DynamoDBStore, LeaseConfigError, LeaseError, LeaseRecord
from lambda_singleton._stores.table import TABLE

from ..caller_checks import caller_checks
from ..finding import Finding, Verdict
from ..function_checks import function_checks
from ..table_checks import table_checks
from ..terminal_text import terminal_text

#: The exit code if there is a problem.
PROBLEM = 5


def run(options: Namespace, store: DynamoDBStore) -> int:
    """Print what each check has found."""
    table = options.table or os.environ.get(TABLE)
    if not table:
        raise LeaseConfigError(f"no table: set {TABLE}, or give --table")
    findings = list(examine(table, options.function, store))
    if options.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        _print(findings)
    return PROBLEM if any(one.verdict is Verdict.PROBLEM for one in findings) else 0


def examine(table: str, functions: Sequence[str], store: DynamoDBStore) -> Iterator[Finding]:
    """Ask AWS, and judge what it says. Raises `LeaseStoreError` if it does not answer."""
    dynamodb = _client("dynamodb")
    found = list(table_checks(dynamodb, _client("kms"), table))
    yield from found
    is_there = not any(one.check == "table" and one.verdict is Verdict.PROBLEM for one in found)
    if is_there:
        yield from caller_checks(dynamodb, table, store.clock, store.clock_skew)
    if functions:
        records = _records(store) if is_there else None
        for function in functions:
            yield from function_checks(_client("lambda"), function, table, records)


def _client(service: str) -> Any:
    # Somebody waits for it at a terminal.
    patience = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    make: Any = boto3.client
    return make(service, config=patience)


def _records(store: DynamoDBStore) -> list[LeaseRecord] | None:
    try:
        return list(store.records())
    except LeaseError:
        # The check of Scan has said why.
        return None


def _print(findings: Sequence[Finding]) -> None:
    widest = max(len(finding.verdict) for finding in findings)
    for finding in findings:
        said = terminal_text(f"{finding.check}: {finding.says}")
        print(f"{finding.verdict:{widest}}  {said}")
        if finding.mend:
            print(f"{'':{widest}}  -> {terminal_text(finding.mend)}")
    counts = [(one, sum(finding.verdict is one for finding in findings)) for one in Verdict]
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts if count))
