"""A lease as its user sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .release import release_now
from .renewal import renew
from .steps import run
from .tenure import Tenure


class Lease:
    """A lease that this process holds.

    It may be used from every thread of the process that acquired it. In a child of `fork()` it is
    not held: `lost` is True there, and nothing is sent.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure

    def __repr__(self) -> str:
        return f"<Lease {self.name!r} token={self.token} remaining={self.remaining():.3f}s>"

    @property
    def name(self) -> str:
        """The lease's full name."""
        return self._tenure.name

    @property
    def token(self) -> int:
        """The fencing token: it rises with every acquisition of `name`."""
        return self._tenure.token

    @property
    def owner(self) -> str:
        """The random id of this acquisition."""
        return self._tenure.owner

    @property
    def taken_from(self) -> str | None:
        """The owner that died while it held the lease, perhaps half-way; None if it was free."""
        return self._tenure.taken_from

    @property
    def lost(self) -> bool:
        """Whether the lease got out of this holder's hands before it was released."""
        return self._tenure.loss is not None

    def remaining(self) -> float:
        """Return for how many seconds the lease is certainly held if nobody renews it."""
        return self._tenure.remaining

    def check(self) -> None:
        """Raise `LeaseLostError` unless the lease is provably held. Costs no request."""
        self._tenure.check()

    def renew(self) -> None:
        """Extend the lease by its duration from now.

        Raises `LeaseLostError` if it is not held any more, and `LeaseStoreError` if the store did
        not answer: the lease is then held until `remaining()` is 0.
        """
        run(renew(self._tenure), self._tenure.store.clock)

    @property
    def progress(self) -> Any:
        """The value of the latest checkpoint: this run's, or of one that did not succeed; or None.

        A run that failed, died or ran out of time leaves it; success removes it. Raises
        `LeaseConfigError` if somebody else wrote there what is no JSON.
        """
        from .checkpoint import progress_of

        return progress_of(self._tenure.step or self._tenure.progress)

    def time_left(self) -> float:
        """Return how many seconds of the invocation are left; infinite without a deadline."""
        return self._tenure.term.time_left(self._tenure.store.clock.time())

    def checkpoint(
        self, value: Any, *, effects: Iterable[Mapping[str, Any]] = (), margin: float = 10
    ) -> None:
        """Write down how far this run has come, for the next one if this one does not succeed.

        Costs one request, which also renews the lease. With `effects`, elements of
        `transact_write_items` as a low-level client takes them, it is one transaction instead: they
        are applied together with the value or not at all, and once, however often they are sent.
        After a `LeaseStoreError` nobody knows: call it again with the same value. A value that is
        the same as the last one's is the same step.

        `value` is JSON of up to 400 bytes: a cursor, not the data. With less than `margin` seconds
        of the invocation left, `LeaseDeadlineError` is raised after it is written: let it out, and
        a retry goes on from there.

        Raises `LeaseConfigError` in a run with `order`; `LeaseLostError` if the lease is not held
        any more: then nothing was written; and boto3's `TransactionCanceledException` if a
        condition of an effect has failed.
        """
        # Of a generator nothing would be left for a second try.
        from .checkpoint import checkpoint

        steps = checkpoint(self._tenure, value, list(effects), margin)
        run(steps, self._tenure.store.clock)

    def checkpoint_item(self, value: Any) -> dict[str, Any]:
        """Return the element for a `transact_write_items` of your own that writes `value` down.

        Where `checkpoint(value, effects=...)` cannot be used. Send one at a time. After an error,
        `checkpoint_was_applied` says whether it is in the row.
        """
        from .checkpoint import item

        return item(self._tenure, value)

    def checkpoint_was_applied(self) -> bool:
        """Say whether the latest `checkpoint_item` is in the row: with one read.

        For a transaction that was refused or had no answer. True: it has been applied, once. False:
        it was refused for another reason, which its error tells, or it is still on its way: send
        the same element again. Raises `LeaseLostError` if another owner has the lease, and
        `LeaseStoreError` if the store did not answer.
        """
        from .checkpoint import was_applied

        return run(was_applied(self._tenure), self._tenure.store.clock)

    def release(self) -> None:
        """Give the lease back. Calling it again is harmless.

        A lease that was lost meanwhile is left to its new owner, and `lost` tells. Raises
        `LeaseStoreError` if the store did not answer: the lease then ends by itself.
        """
        release_now(self._tenure, "released")
