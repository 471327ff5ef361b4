"""One run: an engine, a table for each contender, and who can be measured."""

from __future__ import annotations

import itertools
import json
import sys
from importlib import metadata
from typing import Any, TypeVar

import boto3

import lambda_singleton
from local_lambda import Engine

from .contenders import FLOORS, OURS, PEERS, Contender, HeldError, load
from .contenders.node import MODULES
from .table import Table

T = TypeVar("T")

#: The length of a lease where nobody waits for its end, in seconds.
LEASE = 60.0


class Bench:
    """What every part of the run needs."""

    def __init__(self, engine: Engine, *, short: bool) -> None:
        self.endpoint = engine.endpoint
        self.short = short
        self._numbers = itertools.count()
        self._client: Any = boto3.client("dynamodb")
        self.roll = Table(
            "Who is compared",
            "Each took a lock, was refused one that was held, and gave it back.",
        )
        self.contenders = [title for title in (*OURS, *FLOORS, *PEERS) if self._answers(title)]

    def pick(self, full: T, short: T) -> T:
        """Return how much to measure."""
        return short if self.short else full

    def having(self, *abilities: str) -> list[str]:
        """Return the contenders that can do all of that."""
        return [
            title
            for title in self.contenders
            if all(getattr(load(title), ability) for ability in abilities)
        ]

    def table(self, title: str) -> str:
        """Create a table for this contender, and return its name."""
        table = f"bench-{next(self._numbers)}"
        key = [attribute.split(":") for attribute in load(title).key]
        self._client.create_table(
            TableName=table,
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}
                for (name, _), kind in zip(key, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in key
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        return table

    def make(self, title: str, lease: float = LEASE) -> Contender:
        """Return the contender in this process, with a table of its own."""
        return load(title)(self.table(title), lease)

    def _answers(self, title: str) -> bool:
        row: dict[str, Any] = {"contender": title}
        self.roll.rows.append(row)
        try:
            kind = load(title)
            row["version"] = _version(kind.package)
            row["waits"] = _word(kind.waits)
            row["renews"] = _word(kind.renews)
            row["fencing token"] = _word(kind.token)
            self._try_out(title)
        except Exception as error:
            row["works"] = f"NOT MEASURED: {type(error).__name__}: {error}"
            print(f"{title}: {row['works']}", file=sys.stderr)
            return False
        row["works"] = "yes"
        return True

    def _try_out(self, title: str) -> None:
        table = self.table(title)
        holder, other = (load(title)(table, LEASE) for _ in range(2))
        refused: list[bool] = []

        def try_as_well() -> None:
            try:
                other.guard("a", lambda: None)
            except HeldError:
                refused.append(True)

        holder.guard("a", try_as_well if holder.fails_fast else lambda: None)
        assert refused or not holder.fails_fast, "two held one lock"
        holder.guard("a", lambda: None)
        holder.guard("b", lambda: None)


def _word(ability: bool) -> str:
    return "yes" if ability else "no"


def _version(package: str) -> str | None:
    if not package:
        return None
    if package == "lambda-singleton":
        return lambda_singleton.__version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        described = (MODULES / package / "package.json").read_text()
        return str(json.loads(described)["version"])
