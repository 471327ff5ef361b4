"""An execution of a state machine, as far as its lease goes: the requests of its native calls."""

from __future__ import annotations

from typing import NamedTuple

from lambda_singleton.stores import Acquire, Keep, LeaseStore, Operation, Return

ARN = "arn:aws:states:us-east-1:123456789012:execution:reindex:8a70d3c7-7f0e-4e9a-9d53-0d3f1b6c2a11"


class Execution(NamedTuple):
    """Takes, keeps and returns a lease, each with one request; says whether it was applied."""

    store: LeaseStore
    lease: str
    id: str = ARN
    #: For how long it takes the lease at a time, in seconds.
    lasts: float = 60

    def take(self) -> bool:
        now = self._now()
        return self._send(
            Acquire(
                self.lease,
                self.id,
                {"execution": self.id},
                now,
                now + self._ms(self.lasts),
                self._ms(self.lasts),
                self._skew,
            )
        )

    def keep(self) -> bool:
        now = self._now()
        facts, end = {"execution": self.id}, now + self._ms(self.lasts)
        return self._send(Keep(self.lease, self.id, facts, now, end, self._skew))

    def give_up(self) -> bool:
        """Return the lease."""
        return self._send(
            Return(self.lease, self.id, self._now(), self._skew, {"outcome": "succeeded"})
        )

    def _send(self, operation: Operation) -> bool:
        return self.store.execute(operation, timeout=2).applied

    def _now(self) -> int:
        return self._ms(self.store.clock.time())

    @property
    def _skew(self) -> int:
        return self._ms(self.store.clock_skew)

    @staticmethod
    def _ms(seconds: float) -> int:
        return round(seconds * 1000)
