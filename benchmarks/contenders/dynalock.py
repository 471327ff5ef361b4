"""dynalock: one put, one unconditional delete."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from dynalock import DynaLock, LockAlreadyAcquiredError

from . import Contender, HeldError


class Dynalock(Contender):
    """One object for each name."""

    key = ("LockId:S",)
    package = "dynalock"

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        region = os.environ["AWS_DEFAULT_REGION"]
        self.lock = lru_cache(1)(
            lambda name: DynaLock(name, region_name=region, table_name=table, ttl=round(lease))
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:  # noqa: ARG002
        try:
            with self.lock(name).lock():
                work()
        except LockAlreadyAcquiredError as error:
            raise HeldError from error
