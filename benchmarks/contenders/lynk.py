"""lynk: waits by sleeping for the holder's whole lease."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import lynk
from lynk.exceptions import LockNotGrantedError

from . import Contender, HeldError


class Lynk(Contender):
    """One object for each name, and a thread that renews while it is held."""

    key = ("lockKey:S",)
    package = "lynk"
    waits = True
    renews = True

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        session = lynk.get_session(table)
        self.lock = lru_cache(1)(session.create_lock)

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:
        lock = self.lock(name)
        try:
            lock.acquire(lease_duration=round(self.lease), max_wait_seconds=wait)
        except LockNotGrantedError as error:
            raise HeldError from error
        work()
        lock.release()
