"""Something that happened to a lease."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal[
    "acquired",
    "waiting",
    "skipped",
    "coalesced",
    "failed",
    "renewed",
    "renewal_failed",
    "lost",
    "released",
    "release_failed",
    "unrecorded",
    "forced",
]


class LeaseEvent(NamedTuple):
    """Something that happened to a lease. Times are epoch seconds, lengths are seconds.

    `kind` is one of

    - "acquired": by `owner`, with `token`, until `until`; it `took` that long, of which it
      `waited`. `taken_from` is the owner that died with it, None if the lease was free. It was
      borrowed if there is an `execution`: so was what is renewed, lost and released later.
    - "waiting": `holder` has it, at least until `held_until` if they renew no more; `reason` as of
      "skipped".
    - "skipped": the handler does not run, since `holder` has the lease until `held_until`; with the
      `reason` "resting" since that one's minimum hold lasts until then, "paused" if it is an
      operator, "done" or "superseded" if there is nothing left to do.
    - "coalesced": the handler does not run, since the run with that `token`, which began after this
      caller came, has succeeded; it `took` that long to know.
    - "failed": the handler does not run, because of `error`.
    - "renewed": until `until`.
    - "renewal_failed": because of `error`. It is tried again while the lease lasts.
    - "lost": `reason` is "stolen" or "expired".
    - "released": after it was `held`, with the run's `outcome`; it `took` that long. "parked": a
      durable execution is suspended, or tried again, and keeps it.
    - "release_failed": because of `error`. The lease ends by itself.
    - "unrecorded": the run has succeeded, and the store has not confirmed that this is recorded:
      it will perhaps be done once more.
    - "forced": somebody has freed it by force, and raised `token`.
    """

    kind: Kind
    #: The lease's full name.
    lease: str
    at: float
    owner: str | None = None
    token: int | None = None
    until: float | None = None
    took: float | None = None
    waited: float | None = None
    taken_from: str | None = None
    held: float | None = None
    outcome: str | None = None
    reason: str | None = None
    holder: Mapping[str, str] | None = None
    held_until: float | None = None
    error: Exception | None = None
    execution: str | None = None
