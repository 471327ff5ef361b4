"""Powertools' idempotency: made to run once for each key, here used as a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
)

from . import Contender, HeldError
from .ours import Context


class _GiveBackError(Exception):
    """Makes it delete its record: after a success, a key never runs again."""


class Idempotency(Contender):
    """One decorated function for all names."""

    package = "aws-lambda-powertools"

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        config = IdempotencyConfig()
        config.register_lambda_context(Context(lease))  # type: ignore[arg-type]

        @idempotent_function(  # type: ignore[untyped-decorator]
            data_keyword_argument="name",
            persistence_store=DynamoDBPersistenceLayer(table_name=table),
            config=config,
        )
        def run(work: Callable[[], object], *, name: str) -> None:  # noqa: ARG001
            work()
            raise _GiveBackError

        self.run: Any = run

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:  # noqa: ARG002
        try:
            self.run(work, name=name)
        except IdempotencyAlreadyInProgressError as error:
            raise HeldError from error
        except _GiveBackError:
            pass
