"""dyndbmutex: a mutex that cannot wait."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache

from dyndbmutex.dyndbmutex import DynamoDbMutex

from . import Contender, HeldError


class Dyndbmutex(Contender):
    """One object for each name."""

    key = ("lockname:S",)
    package = "dyndbmutex"

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        os.environ["DD_MUTEX_TABLE_NAME"] = table
        # A mutex that is held would be a warning.
        logging.getLogger("dyndbmutex").setLevel(logging.ERROR)
        region = os.environ["AWS_DEFAULT_REGION"]
        self.mutex = lru_cache(1)(
            lambda name: DynamoDbMutex(name, timeoutms=round(lease * 1000), region_name=region)
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:  # noqa: ARG002
        mutex = self.mutex(name)
        if not mutex.lock():
            raise HeldError
        work()
        mutex.release()
