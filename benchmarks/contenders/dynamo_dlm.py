"""dynamo-dlm: fails at once, or waits for ever without any pause."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from dynamo_dlm import DynamoDbLock, LockNotAcquiredError

from . import Contender, HeldError


class DynamoDlm(Contender):
    """One object for each name."""

    key = ("resource_id:S", "concurrency_id:N")
    package = "dynamo-dlm"
    waits = True
    greedy = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        self.lock = lru_cache(1)(
            lambda name, for_ever: DynamoDbLock(
                name, duration=round(lease), table_name=table, wait_forever=for_ever
            )
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        lock = self.lock(name, wait > 0)
        try:
            lock.acquire()
        except LockNotAcquiredError as error:
            # An object that has failed once fails for ever.
            self.lock.cache_clear()
            raise HeldError from error
        work()
        lock.release()
