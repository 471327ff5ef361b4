"""One attempt of a durable execution, as the holder of a lease.

Loaded by those who use it only.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from .._clock import Instant, milliseconds
from .._errors import LeaseLostError
from .._events.event import Kind
from .._protocol.operations import Release, Renew
from .._protocol.parking import Claim, Park, attempt_of, is_parked
from .._protocol.record import LeaseRecord
from .._protocol.store import LeaseStore
from .._protocol.term import Term
from .._text import quoted
from .request import Answer
from .tenure import Tenure


class Attempt(Tenure):
    """Holds the lease for its execution: others find it held for `park` seconds more.

    It believes in it without these seconds. Unless its execution `is_over`, it parks the lease at
    its end, from where the next attempt goes on. So whatever cuts it off, nobody gets in between.
    """

    def __init__(
        self,
        store: LeaseStore,
        name: str,
        term: Term,
        holder: Mapping[str, str],
        *,
        execution: str,
        is_replay: bool,
        park: float,
    ) -> None:
        super().__init__(store, name, term, holder)
        self.execution = sha256(execution.encode()).hexdigest()[:32] + "/"
        self.owner = attempt_of(self.execution, milliseconds(store.clock.time()), self.owner)
        self.is_replay = is_replay
        self.park = park
        #: Whether the execution has come to its end: then it is given back.
        self.is_over = False
        #: When the execution has said that it goes on, in epoch seconds.
        self.resumes_at = 0.0
        #: Whom the store has named in place of this attempt.
        self.rival: str | None = None

    @property
    def is_lost_to_sibling(self) -> bool:
        """Whether another attempt of the same execution has it."""
        return self._is_sibling(self.rival)

    @property
    def may_go_on(self) -> bool:
        """Whether another attempt may find it as this one has left it."""
        return self.loss != "stolen" or self.is_lost_to_sibling

    @property
    def is_settled(self) -> bool:
        """Whether the store has confirmed that the row does not name this attempt any more."""
        return not self.may_be_in_row

    def acquire_at(  # type: ignore[override]
        self, sent: Instant, seen: LeaseRecord | None = None, ticket: int | None = None
    ) -> Claim:
        acquire = super().acquire_at(sent, seen, ticket)
        return Claim(
            name=acquire.name,
            owner=acquire.owner,
            holder=acquire.holder,
            now=acquire.now,
            expires_at=acquire.expires_at + milliseconds(self.park),
            duration=acquire.duration + milliseconds(self.park),
            clock_skew=acquire.clock_skew,
            execution=self.execution,
            is_replay=self.is_replay,
            seen=seen,
            ticket=ticket,
        )

    def renew_at(self, sent: Instant) -> Renew:
        renew = super().renew_at(sent)
        return renew._replace(expires_at=renew.expires_at + milliseconds(self.park))

    def release_at(  # type: ignore[override]
        self, sent: Instant, outcome: str
    ) -> Release | Park:
        if not self._ends_with(outcome):
            until = max(self.resumes_at, sent.wall) + self.park
            return Park(self.name, self.owner, milliseconds(sent.wall), milliseconds(until))
        release = super().release_at(sent, outcome)
        # If its answer is lost, the next attempt finds by whom it was given back.
        return release._replace(last_run={**release.last_run, "attempt": self.owner})

    def taken(self, answer: Answer, record: LeaseRecord) -> None:
        super().taken(answer, record)
        if is_parked(self.taken_from) and self._is_sibling(self.taken_from):
            # It was suspended: nobody has died.
            self.taken_from = None

    def refuse_own(self, answer: Answer) -> None:
        """Remember who has it instead; raise `LeaseLostError` for a replay that finds a stranger.

        Waiting would not help: somebody may have been at work between the execution's two halves.
        """
        super().refuse_own(answer)
        if answer.reply.applied:
            return
        record = answer.reply.record
        self.rival = None if record is None else record.owner
        if self.is_replay and isinstance(answer.operation, Claim) and not self.is_lost_to_sibling:
            self.may_be_in_row = False
            raise LeaseLostError(
                f"lease {quoted(self.name)} was not kept for this durable execution: it ended"
                " before the execution went on (give a longer park), somebody has freed it, or the"
                " execution had begun without it",
                name=self.name,
                reason="stolen",
            )

    def tell(self, kind: Kind, **facts: Any) -> None:
        if kind == "released" and not self._ends_with(facts["outcome"]):
            facts["outcome"] = "parked"
        super().tell(kind, **facts)

    def _ends_with(self, outcome: str) -> bool:
        # What was given back by hand is free; and of what has not begun nothing is to be kept.
        has_not_begun = outcome == "not started" and not self.is_replay
        return self.is_over or has_not_begun or outcome == "released"

    def _is_sibling(self, owner: str | None) -> bool:
        return owner is not None and owner.startswith(self.execution)
