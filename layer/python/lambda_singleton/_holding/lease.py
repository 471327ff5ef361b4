"""A lease as its user sees it."""

from __future__ import annotations

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

    def release(self) -> None:
        """Give the lease back. Calling it again is harmless.

        A lease that was lost meanwhile is left to its new owner, and `lost` tells. Raises
        `LeaseStoreError` if the store did not answer: the lease then ends by itself.
        """
        release_now(self._tenure, "released")
