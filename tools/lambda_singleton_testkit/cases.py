"""The protocol case by case: a row, an operation, and the row after it or a refusal.

Every expected row is written down by hand, never computed by the operation under test.
"""

from __future__ import annotations

from typing import NamedTuple

from lambda_singleton.stores import (
    Acquire,
    Advance,
    Borrow,
    Checkpoint,
    CheckpointLoan,
    Claim,
    ForceRelease,
    GiveBack,
    Keep,
    LaterSuccess,
    LeaseRecord,
    Loan,
    Park,
    Progress,
    Redo,
    Release,
    Renew,
    RenewLoan,
    Return,
    Success,
    TakeTicket,
)

AnyOperation = (
    Acquire
    | Renew
    | Release
    | TakeTicket
    | ForceRelease
    | Redo
    | Checkpoint
    | Advance
    | Claim
    | Park
    | Borrow
    | RenewLoan
    | CheckpointLoan
    | GiveBack
    | Keep
    | Return
)

NAME = "job"
#: When the stories begin, in epoch seconds.
START = 1_800_000_000


class Situation(NamedTuple):
    """A row, and the operations that lead to it where there was none before."""

    operations: tuple[AnyOperation, ...]
    row: LeaseRecord | None

    def then(self, operation: AnyOperation, **changes: object) -> Situation:
        """Return the situation after one more operation, which changes the row that much."""
        assert self.row is not None
        return Situation((*self.operations, operation), self.row._replace(**changes))  # type: ignore[arg-type]


class Case(NamedTuple):
    """What one operation does in a situation: `after` is None where it is refused."""

    says: str
    given: Situation
    operation: AnyOperation
    after: LeaseRecord | None


def ms(seconds: float) -> int:
    """Return the epoch milliseconds of a moment `seconds` after the start."""
    return round((START + seconds) * 1000)


def acquire(
    owner: str,
    at: float = 0,
    *,
    lasts: float = 30,
    seen: LeaseRecord | None = None,
    ticket: int | None = None,
    order: int | str | None = None,
    unless: LaterSuccess | None = None,
) -> Acquire:
    """Return an acquire by `owner`, whose clock shows `at` seconds after the start."""
    return Acquire(
        name=NAME,
        owner=owner,
        holder={"request_id": f"request-{owner}"},
        now=ms(at),
        expires_at=ms(at + lasts),
        duration=round(lasts * 1000),
        clock_skew=1000,
        seen=seen,
        ticket=ticket,
        order=order,
        unless=unless,
    )


def renew(owner: str, until: float) -> Renew:
    """Return a renewal up to `until` seconds after the start."""
    return Renew(NAME, owner, ms(until))


def release(
    owner: str,
    at: float,
    free_at: float | None = None,
    done: int | str | None = None,
    *,
    clears: bool = False,
    success: Success | None = None,
) -> Release:
    """Return a release, which leaves a minimum hold up to `free_at`, and what has been done."""
    return Release(
        NAME,
        owner,
        now=ms(at),
        free_at=None if free_at is None else ms(free_at),
        last_run={"outcome": "succeeded"},
        done=done,
        clears=clears,
        success=success,
    )


def ticket(at: float) -> TakeTicket:
    """Return a request for a ticket."""
    return TakeTicket(NAME, now=ms(at))


def force(at: float, *, seen: LeaseRecord | None = None) -> ForceRelease:
    """Return a forced release, by somebody who was shown `seen` if that is given."""
    return ForceRelease(NAME, now=ms(at), seen=seen)


def redo(at: float) -> Redo:
    """Return what forgets that something was done."""
    return Redo(NAME, now=ms(at))


def checkpoint(owner: str, until: float, token: int, seq: int) -> Checkpoint:
    """Return a checkpoint that extends the lease up to `until`."""
    return Checkpoint(NAME, owner, ms(until), Progress(f'"page {seq}"', token, seq))


def advance(owner: str, token: int, seq: int) -> Advance:
    """Return a checkpoint as a part of a transaction."""
    return Advance(NAME, owner, ms(9), Progress(f'"page {seq}"', token, seq))


#: The beginning of the ids that the attempts of one durable execution have, and three of these.
EXECUTION, OTHER = f"{'e' * 32}/", f"{'f' * 32}/"
ONE, TWO, THREE = (f"{EXECUTION}{START * 1000 + at:013d}/{at}" for at in (100, 5000, 9000))


def claim(
    owner: str, at: float, *, is_replay: bool = False, seen: LeaseRecord | None = None
) -> Claim:
    """Return a claim by an attempt: its lease lasts for 30 s, of which 20 s are for the silent."""
    return Claim(
        NAME,
        owner,
        holder={"request_id": f"request-{owner}"},
        now=ms(at),
        expires_at=ms(at + 30),
        duration=30_000,
        clock_skew=1000,
        execution=owner[:33],
        is_replay=is_replay,
        seen=seen,
    )


def park(owner: str, at: float, until: float) -> Park:
    """Return what keeps the lease of an attempt that is suspended."""
    return Park(NAME, owner, now=ms(at), expires_at=ms(until))


def ended(attempt: str, at: float) -> Release:
    """Return the release of an attempt whose execution has ended."""
    return release(attempt, at)._replace(last_run={**SUCCEEDED, "attempt": attempt})


#: The execution that takes the lease, and lends it to its tasks.
EXECUTION = "execution"


def borrow(
    owner: str,
    at: float,
    *,
    until: float | None = None,
    length: float = 120,
    execution: str = EXECUTION,
) -> Borrow:
    """Return what borrows the lease for 30 s, with a park of 120 s, or what its execution has."""
    return Borrow(
        NAME,
        owner,
        execution,
        {"request_id": f"request-{owner}"},
        now=ms(at),
        attempt_until=ms(at + 30),
        expires_at=ms(at + 120 if until is None else until),
        duration=round(length * 1000),
        clock_skew=1000,
    )


def renew_loan(owner: str, attempt_until: float, until: float) -> RenewLoan:
    """Return a renewal of both ends."""
    return RenewLoan(NAME, owner, ms(attempt_until), ms(until))


def checkpoint_loan(owner: str, attempt_until: float, until: float, seq: int) -> CheckpointLoan:
    """Return a checkpoint of the first loan, which moves both ends on."""
    progress = Progress(f'"page {seq}"', FIRST + 1, seq)
    return CheckpointLoan(NAME, owner, ms(attempt_until), ms(until), progress)


def give_back(owner: str, at: float, *, clears: bool = False) -> GiveBack:
    """Return what gives the lease back to its execution, with a park of 120 s."""
    parked = {"execution": EXECUTION}
    return GiveBack(NAME, owner, EXECUTION, parked, ms(at + 120), 120_000, clears)


def keep(at: float, *, until: float, execution: str = EXECUTION) -> Keep:
    """Return what extends the execution's lease, which it has itself or gets back."""
    facts = {"execution": execution}
    return Keep(NAME, execution, facts, ms(at), ms(until), clock_skew=1000)


def return_(at: float, execution: str = EXECUTION) -> Return:
    """Return what frees the lease at the end of the execution."""
    return Return(NAME, execution, ms(at), clock_skew=1000, last_run=SUCCEEDED)


def held_by(owner: str, token: int, *, until: float, **facts: object) -> LeaseRecord:
    """Return the row of a lease of 30 s that `owner` holds."""
    row = LeaseRecord(
        NAME,
        token,
        owner=owner,
        expires_at=START + until,
        holder={"request_id": f"request-{owner}"},
        duration=30,
        taken_from=owner,
    )
    return row._replace(**facts)  # type: ignore[arg-type]


# A row's first token is the acquirer's clock in milliseconds, and one.
FIRST = START * 1000 + 1
AHEAD = (START + 3600) * 1000 + 1
SUCCEEDED = {"outcome": "succeeded"}

NO_ROW = Situation((), None)
HELD = Situation((acquire("a"),), held_by("a", FIRST, until=30))
RENEWED = HELD.then(renew("a", 40), expires_at=START + 40)
FREE = HELD.then(release("a", 5), owner=None, expires_at=None, last_run=SUCCEEDED)
RESTING = HELD.then(
    release("a", 5, free_at=20), owner=None, expires_at=START + 20, last_run=SUCCEEDED
)
FORCED = HELD.then(force(5), owner=None, expires_at=None, token=FIRST + 1)
# Somebody else had it after it was given back.
TAKEN_SINCE = FREE.then(
    acquire("b", 6),
    token=FIRST + 1,
    owner="b",
    expires_at=START + 36,
    holder={"request_id": "request-b"},
    taken_from="b",
)
RESTING_SINCE = TAKEN_SINCE.then(release("b", 7, free_at=20), owner=None, expires_at=START + 20)
QUEUED = HELD.then(ticket(1), tickets=1).then(ticket(2), tickets=2)
QUEUED_FREE = QUEUED.then(release("a", 5), owner=None, expires_at=None, last_run=SUCCEEDED)
# The holder's clock is an hour ahead of everybody else's.
HELD_AHEAD = Situation((acquire("a", 3600),), held_by("a", AHEAD, until=3630))
RENEWED_AHEAD = HELD_AHEAD.then(renew("a", 3640), expires_at=START + 3640)
FREED_AHEAD = HELD_AHEAD.then(force(10), owner=None, expires_at=None, token=AHEAD + 1)
# The order 5: while it runs, after its failure, and after its success.
BEGUN = Situation((acquire("a", order=5),), held_by("a", FIRST, until=30, begun=5))
FAILED = BEGUN.then(release("a", 5), owner=None, expires_at=None, last_run=SUCCEEDED)
DONE = BEGUN.then(release("a", 5, done=5), owner=None, expires_at=None, last_run=SUCCEEDED, done=5)
OLD, NEW = "2030-01-31T12:00:00.000000000Z", "2030-01-31T12:00:00.123000000Z"
DONE_AT = Situation((acquire("a", order=OLD),), held_by("a", FIRST, until=30, begun=OLD)).then(
    release("a", 5, done=OLD), owner=None, expires_at=None, last_run=SUCCEEDED, done=OLD
)
# A run that has come to page 2, and what it leaves when it dies, fails or succeeds.
PAGE_2 = Progress('"page 2"', FIRST, 2)
SAVED = HELD.then(checkpoint("a", 40, FIRST, 2), expires_at=START + 40, progress=PAGE_2)
LEFT = SAVED.then(release("a", 5), owner=None, expires_at=None, last_run=SUCCEEDED)
CONTINUED = LEFT.then(
    acquire("b", 6),
    **held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED, progress=PAGE_2)._asdict(),
)

# A rebuild, which has succeeded, has failed, and is running.
REBUILT = Success(FIRST, "/rebuild")
SHARED = HELD.then(
    release("a", 5, success=REBUILT),
    owner=None,
    expires_at=None,
    last_run=SUCCEEDED,
    success=REBUILT,
)
REBUILDING_AGAIN = SHARED.then(
    acquire("b", 6),
    **held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED, success=REBUILT)._asdict(),
)


def later(since: int, work: str = "/rebuild") -> LaterSuccess:
    """Return what a waiter may share that has seen a row with that token."""
    return LaterSuccess(since, work)


# An execution's lease, which its attempt "a" has borrowed, and what comes of that.
TAKEN = Situation((acquire(EXECUTION),), held_by(EXECUTION, FIRST, until=30))
LENT = TAKEN.then(
    borrow("a", 1),
    **held_by("a", FIRST + 1, until=121, duration=120, taken_from=EXECUTION)._asdict()
    | {"loan": Loan(EXECUTION, FIRST + 1, START + 31)},
)
GIVEN_BACK = LENT.then(
    give_back("a", 10),
    owner=EXECUTION,
    expires_at=START + 130,
    holder={"execution": EXECUTION},
    loan=Loan(EXECUTION, FIRST + 1),
)
RETURNED = GIVEN_BACK.then(return_(20), owner=None, expires_at=None, last_run=SUCCEEDED)
#: A stranger has it once the park is over, and its loan is what the execution has left there.
INTRUDED = LENT.then(
    acquire("s", 122),
    token=FIRST + 2,
    owner="s",
    expires_at=START + 152,
    duration=30,
    holder={"request_id": "request-s"},
    taken_from="a",
)
#: The attempt has freed it itself, as nobody of this version does, and left a minimum hold.
RESTING_LOAN = LENT.then(
    release("a", 5, free_at=20), owner=None, expires_at=START + 20, last_run=SUCCEEDED
)
#: The execution takes it for longer than a park lasts.
TAKEN_LONG = Situation(
    (acquire(EXECUTION, lasts=900),), held_by(EXECUTION, FIRST, until=900, duration=900)
)
LENT_LONG = TAKEN_LONG.then(
    borrow("a", 1, until=900, length=900),
    **held_by("a", FIRST + 1, until=900, duration=900, taken_from=EXECUTION)._asdict()
    | {"loan": Loan(EXECUTION, FIRST + 1, START + 31)},
)
LENT_LONG_RENEWED = LENT_LONG.then(
    renew_loan("a", 41, 900), loan=Loan(EXECUTION, FIRST + 1, START + 41)
)
#: The execution has taken it back from its dead attempt.
TAKEN_BACK = LENT.then(
    keep(40, until=160),
    owner=EXECUTION,
    expires_at=START + 160,
    holder={"execution": EXECUTION},
    loan=Loan(EXECUTION, FIRST + 1),
)


def lent(
    owner: str, token: int, *, at: float, until: float | None = None, **facts: object
) -> LeaseRecord:
    """Return the row of a lease that `owner` has borrowed for 30 s, with a park of 120 s."""
    end, length = (at + 120, 120) if until is None else (until, until)
    row = held_by(owner, token, until=end, duration=length, taken_from=EXECUTION, **facts)
    return row._replace(loan=Loan(EXECUTION, token, START + at + 30))


def saved(owner: str, until: float, token: int, seq: int, **facts: object) -> LeaseRecord:
    """Return the row of a run that has come to a page."""
    progress = Progress(f'"page {seq}"', token, seq)
    return held_by(owner, token, until=until, progress=progress, **facts)


def after(done: Situation, token: int, until: float, **facts: object) -> LeaseRecord:
    """Return the row after `b` has taken a lease that was free."""
    row = held_by("b", token, until=until, last_run=SUCCEEDED)
    assert done.row is not None
    return row._replace(**{"done": done.row.done, "begun": done.row.begun, **facts})  # type: ignore[arg-type]


# The order 6, after 5 is done.
DONE_AND_BEGUN = DONE.then(
    acquire("b", 6, order=6), **after(DONE, FIRST + 1, 36, begun=6)._asdict()
)


def taken_again_ahead(owner: str, at: float) -> Situation:
    """Return the lease of HELD_AHEAD after somebody freed it and `owner` took it."""
    row = held_by(owner, AHEAD + 2, until=at + 30)
    return Situation((*FREED_AHEAD.operations, acquire(owner, at)), row)


# What says when it was acquired: 40 s after the start.
SINCE = {"acquired_at": "2027-01-15T08:00:40.000Z"}
# An attempt of a durable execution: at work, suspended, and ended.
CLAIMED = Situation((claim(ONE, 0.1),), held_by(ONE, FIRST + 100, until=30.1))
PARKED_AT = f"{ONE.rpartition('/')[0]}/parked"
PARKED = CLAIMED.then(
    park(ONE, 2, 62), owner=PARKED_AT, expires_at=START + 62, duration=60, taken_from=ONE
)
ENDED = CLAIMED.then(
    ended(ONE, 2), owner=None, expires_at=None, last_run={**SUCCEEDED, "attempt": ONE}
)
# Its second attempt goes on; somebody else has come once it had given it back.
GONE_ON = PARKED.then(
    claim(TWO, 5, is_replay=True),
    **held_by(TWO, FIRST + 101, until=35, taken_from=PARKED_AT)._asdict(),
)
STRANGER = ENDED.then(
    acquire("b", 3),
    **held_by("b", FIRST + 101, until=33, last_run={**SUCCEEDED, "attempt": ONE})._asdict(),
)

CASES = (
    # Acquire.
    Case("an unknown lease is taken", NO_ROW, acquire("a"), held_by("a", FIRST, until=30)),
    Case("a held lease is refused", HELD, acquire("b", 1), None),
    Case("a held lease is refused at its end", HELD, acquire("b", 30), None),
    Case("a held lease is refused within the clock skew", HELD, acquire("b", 30.999), None),
    Case(
        "a dead holder's lease is taken over after its end and the clock skew",
        HELD,
        acquire("b", 31),
        held_by("b", FIRST + 1, until=61, taken_from="a"),
    ),
    Case(
        "a dead holder's lease is taken over much later",
        HELD,
        acquire("b", 99),
        held_by("b", FIRST + 1, until=129, taken_from="a"),
    ),
    Case(
        "a renewed lease is taken over after its new end and the clock skew",
        RENEWED,
        acquire("b", 41),
        held_by("b", FIRST + 1, until=71, taken_from="a"),
    ),
    Case("a renewed lease is refused after its former end", RENEWED, acquire("b", 32), None),
    Case(
        "a released lease is taken at once with a higher token",
        FREE,
        acquire("b", 5),
        held_by("b", FIRST + 1, until=35, last_run=SUCCEEDED),
    ),
    Case(
        "a forcibly released lease is taken at once with a higher token",
        FORCED,
        acquire("b", 5),
        held_by("b", FIRST + 2, until=35),
    ),
    Case("a minimum hold outlasts the release", RESTING, acquire("b", 19.999), None),
    Case("a minimum hold outlasts its own holder's release", RESTING, acquire("a", 19.999), None),
    Case(
        "a lease is free at the end of its minimum hold",
        RESTING,
        acquire("b", 20),
        held_by("b", FIRST + 1, until=50, last_run=SUCCEEDED),
    ),
    Case(
        "an owner that asks again is recognised",
        HELD,
        acquire("a", 1),
        held_by("a", FIRST + 1, until=31),
    ),
    Case(
        "an owner that asks the same again is recognised",
        HELD,
        acquire("a"),
        held_by("a", FIRST + 1, until=30),
    ),
    Case("a late acquire does not shorten its own renewed lease", RENEWED, acquire("a"), None),
    Case("an acquire by a skewed clock is refused", HELD_AHEAD, acquire("b", 60), None),
    Case(
        "a holder that was seen for a whole lease is taken over whatever the clocks say",
        HELD_AHEAD,
        acquire("b", 60, seen=HELD_AHEAD.row),
        held_by("b", AHEAD + 1, until=90, taken_from="a"),
    ),
    Case(
        "a holder that renewed since it was seen is not taken over",
        RENEWED_AHEAD,
        acquire("b", 60, seen=HELD_AHEAD.row),
        None,
    ),
    Case(
        "the same owner with an earlier expiry than was seen is not taken over",
        HELD_AHEAD,
        acquire("b", 60, seen=RENEWED_AHEAD.row),
        None,
    ),
    Case(
        "another owner with the expiry that was seen is not taken over",
        taken_again_ahead("c", 3600),
        acquire("b", 60, seen=HELD_AHEAD.row),
        None,
    ),
    Case(
        "the seen owner with another lease is not taken over",
        taken_again_ahead("a", 3601),
        acquire("b", 60, seen=HELD_AHEAD.row),
        None,
    ),
    Case(
        "a lease that is free since it was seen is taken",
        FREED_AHEAD,
        acquire("b", 60, seen=HELD_AHEAD.row),
        held_by("b", AHEAD + 2, until=90),
    ),
    Case(
        "an acquire with a ticket says that it was served",
        QUEUED_FREE,
        acquire("b", 7, ticket=2),
        held_by("b", FIRST + 1, until=37, last_run=SUCCEEDED, tickets=2, served=2),
    ),
    Case(
        "an acquire without a ticket leaves the line as it is",
        QUEUED_FREE,
        acquire("b", 7),
        held_by("b", FIRST + 1, until=37, last_run=SUCCEEDED, tickets=2),
    ),
    Case("a ticket does not open a held lease", QUEUED, acquire("b", 7, ticket=2), None),
    Case(
        "times are kept to the millisecond",
        NO_ROW,
        acquire("a", 0.001, lasts=30.002),
        held_by("a", FIRST + 1, until=30.003, duration=30.002),
    ),
    # Acquire for an order.
    Case(
        "a run of an order says that it has begun",
        NO_ROW,
        acquire("a", order=5),
        held_by("a", FIRST, until=30, begun=5),
    ),
    Case("an order that is done is refused", DONE, acquire("b", 6, order=5), None),
    Case("an order before one that is done is refused", DONE, acquire("b", 6, order=4), None),
    Case(
        "an order after one that is done is taken",
        DONE,
        acquire("b", 6, order=6),
        after(DONE, FIRST + 1, 36, begun=6),
    ),
    Case("an order before one that has begun is refused", FAILED, acquire("b", 6, order=4), None),
    Case(
        "an order that has begun and failed is taken again",
        FAILED,
        acquire("b", 6, order=5),
        after(FAILED, FIRST + 1, 36),
    ),
    Case("an order does not open a held lease", BEGUN, acquire("b", 6, order=6), None),
    Case("a dead holder's order that is done is refused", DONE, acquire("b", 99, order=5), None),
    Case(
        "a dead holder's order is taken over by the same order",
        BEGUN,
        acquire("b", 31, order=5),
        held_by("b", FIRST + 1, until=61, taken_from="a", begun=5),
    ),
    Case(
        "a dead holder's order is not taken over by an earlier one",
        BEGUN,
        acquire("b", 31, order=4),
        None,
    ),
    Case(
        "an owner that asks again for its order is recognised",
        BEGUN,
        acquire("a", 1, order=5),
        held_by("a", FIRST + 1, until=31, begun=5),
    ),
    Case(
        "a caller without an order takes what is done, and leaves the order as it is",
        DONE,
        acquire("b", 6),
        after(DONE, FIRST + 1, 36),
    ),
    Case(
        "orders may be times",
        DONE_AT,
        acquire("b", 6, order=NEW),
        after(DONE_AT, FIRST + 1, 36, begun=NEW),
    ),
    Case("a time that is done is refused", DONE_AT, acquire("b", 6, order=OLD), None),
    Case("a number is refused where times are done", DONE_AT, acquire("b", 6, order=6), None),
    Case("a time is refused where numbers are done", DONE, acquire("b", 6, order=NEW), None),
    Case("a time is refused where numbers have begun", FAILED, acquire("b", 6, order=NEW), None),
    # Acquire by a waiter that may share a success.
    Case(
        "a waiter is refused once a later run has succeeded",
        SHARED,
        acquire("b", 6, unless=later(FIRST - 1)),
        None,
    ),
    Case(
        "a waiter does not share the run that it has seen",
        SHARED,
        acquire("b", 6, unless=later(FIRST)),
        held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED, success=REBUILT),
    ),
    Case(
        "a waiter does not share a run of other work",
        SHARED,
        acquire("b", 6, unless=later(FIRST - 1, "/other")),
        held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED, success=REBUILT),
    ),
    Case(
        "a waiter does not share a run of a caller that says nothing",
        FREE,
        acquire("b", 6, unless=later(FIRST - 1)),
        held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED),
    ),
    Case(
        "a caller that has not waited runs after any success",
        SHARED,
        acquire("b", 6),
        held_by("b", FIRST + 1, until=36, last_run=SUCCEEDED, success=REBUILT),
    ),
    Case(
        "a waiter for a later success does not open a held lease",
        REBUILDING_AGAIN,
        acquire("c", 7, unless=later(FIRST)),
        None,
    ),
    Case(
        "a dead holder's lease is taken over by a waiter that shares nothing",
        REBUILDING_AGAIN,
        acquire("c", 37, unless=later(FIRST)),
        held_by("c", FIRST + 2, until=67, last_run=SUCCEEDED, taken_from="b", success=REBUILT),
    ),
    # Renew.
    Case(
        "the owner renews",
        HELD,
        renew("a", 40.004),
        held_by("a", FIRST, until=40.004),
    ),
    Case("a repeated renewal is applied", RENEWED, renew("a", 40), RENEWED.row),
    Case("a late renewal does not undo a later one", RENEWED, renew("a", 39.999), None),
    Case("nobody else renews", HELD, renew("b", 99), None),
    Case("an unknown lease is not renewed", NO_ROW, renew("a", 99), None),
    Case("a renewal after the release does not bring it back", FREE, renew("a", 60), None),
    Case("a renewal does not end a minimum hold", RESTING, renew("a", 60), None),
    Case("a renewal after a forced release does not bring it back", FORCED, renew("a", 60), None),
    # Release.
    Case("the owner releases and the token stays", HELD, release("a", 5), FREE.row),
    Case("the owner releases up to a minimum hold", HELD, release("a", 5, free_at=20), RESTING.row),
    Case(
        "the owner releases after its end",
        HELD,
        release("a", 99),
        FREE.row,
    ),
    Case("nobody else releases", HELD, release("b", 1), None),
    Case("nobody else leaves a minimum hold", HELD, release("b", 1, free_at=99), None),
    Case("an unknown lease is not released", NO_ROW, release("a", 1), None),
    Case("a free lease is not released", FREE, release("a", 6), None),
    Case("a success leaves its order", BEGUN, release("a", 5, done=5), DONE.row),
    Case(
        "a success leaves its order up to a minimum hold",
        BEGUN,
        release("a", 5, free_at=20, done=5),
        LeaseRecord(
            NAME,
            FIRST,
            expires_at=START + 20,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
            done=5,
            begun=5,
        ),
    ),
    Case("nobody else leaves its order", BEGUN, release("b", 5, done=7), None),
    Case(
        "a failure leaves what is done as it is",
        DONE_AND_BEGUN,
        release("b", 7),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-b"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="b",
            done=5,
            begun=6,
        ),
    ),
    Case(
        "a success is left with its token and its work",
        HELD,
        release("a", 5, success=REBUILT),
        SHARED.row,
    ),
    Case(
        "a success has its own token where a copy has raised the rows",
        HELD.then(acquire("a", 0.001), token=FIRST + 1, expires_at=START + 30.001),
        release("a", 5, success=REBUILT),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
            success=REBUILT,
        ),
    ),
    Case(
        "a later success replaces an earlier one",
        REBUILDING_AGAIN,
        release("b", 7, success=Success(FIRST + 1, "/other")),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-b"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="b",
            success=Success(FIRST + 1, "/other"),
        ),
    ),
    Case(
        "a release without a success leaves the earlier one",
        REBUILDING_AGAIN,
        release("b", 7),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-b"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="b",
            success=REBUILT,
        ),
    ),
    Case("nobody else leaves a success", HELD, release("b", 5, success=REBUILT), None),
    # Checkpoint.
    Case("a checkpoint renews", HELD, checkpoint("a", 40, FIRST, 2), SAVED.row),
    Case("a repeated checkpoint is applied", SAVED, checkpoint("a", 40, FIRST, 2), SAVED.row),
    Case(
        "a later step replaces an earlier one",
        SAVED,
        checkpoint("a", 50, FIRST, 3),
        saved("a", 50, FIRST, 3),
    ),
    Case(
        "an earlier step does not replace a later one", SAVED, checkpoint("a", 40, FIRST, 1), None
    ),
    Case(
        "a late checkpoint does not shorten the lease", SAVED, checkpoint("a", 39, FIRST, 3), None
    ),
    Case("nobody else writes a checkpoint", SAVED, checkpoint("b", 99, FIRST + 1, 9), None),
    Case("an unknown lease has no checkpoint", NO_ROW, checkpoint("a", 99, FIRST, 1), None),
    Case("a checkpoint after the release is refused", LEFT, checkpoint("a", 99, FIRST, 9), None),
    Case(
        "the next run is given the progress",
        LEFT,
        acquire("b", 6),
        CONTINUED.row,
    ),
    Case(
        "the next run's first step replaces an earlier run's last one",
        CONTINUED,
        checkpoint("b", 50, FIRST + 1, 1),
        saved("b", 50, FIRST + 1, 1, last_run=SUCCEEDED),
    ),
    Case("a failed run leaves its progress", SAVED, release("a", 5), LEFT.row),
    Case("a successful run clears its progress", SAVED, release("a", 5, clears=True), FREE.row),
    Case("nobody else clears progress", SAVED, release("b", 5, clears=True), None),
    # Checkpoint in a transaction.
    Case(
        "a step of a transaction is written",
        SAVED,
        advance("a", FIRST, 3),
        saved("a", 40, FIRST, 3),
    ),
    Case(
        "a first step of a transaction is written",
        HELD,
        advance("a", FIRST, 1),
        saved("a", 30, FIRST, 1),
    ),
    Case("a step of a transaction is written once", SAVED, advance("a", FIRST, 2), None),
    Case("an earlier step of a transaction is refused", SAVED, advance("a", FIRST, 1), None),
    Case(
        "the next run's first step of a transaction is written",
        CONTINUED,
        advance("b", FIRST + 1, 1),
        saved("b", 36, FIRST + 1, 1, last_run=SUCCEEDED),
    ),
    Case("nobody else advances", CONTINUED, advance("a", FIRST, 3), None),
    Case("an unknown lease does not advance", NO_ROW, advance("a", FIRST, 1), None),
    # Claim.
    Case("a first attempt takes a free lease", NO_ROW, claim(ONE, 0.1), CLAIMED.row),
    Case("a first attempt is refused while a stranger holds it", HELD, claim(ONE, 1), None),
    Case(
        "a first attempt takes over a dead stranger's lease",
        HELD,
        claim(TWO, 31),
        held_by(TWO, FIRST + 1, until=61, taken_from="a"),
    ),
    Case(
        "a first attempt takes over from a stranger that was seen for a whole lease",
        HELD_AHEAD,
        claim(TWO, 60, seen=HELD_AHEAD.row),
        held_by(TWO, AHEAD + 1, until=90, taken_from="a"),
    ),
    Case(
        "a replay goes on under a parked lease", PARKED, claim(TWO, 5, is_replay=True), GONE_ON.row
    ),
    Case(
        "a replay goes on under a parked lease after its end",
        PARKED,
        claim(TWO, 999, is_replay=True),
        held_by(TWO, FIRST + 101, until=1029, taken_from=PARKED_AT),
    ),
    Case(
        "a replay goes on after an attempt that has died",
        CLAIMED,
        claim(TWO, 5, is_replay=True),
        held_by(TWO, FIRST + 101, until=35, taken_from=ONE),
    ),
    Case(
        "a first attempt is repeated after one that has died",
        CLAIMED,
        claim(TWO, 5),
        held_by(TWO, FIRST + 101, until=35, taken_from=ONE),
    ),
    Case("a replay does not take what is free", FREE, claim(TWO, 6, is_replay=True), None),
    Case("a replay does not take an unknown lease", NO_ROW, claim(TWO, 6, is_replay=True), None),
    Case(
        "a replay does not take a forcibly released lease",
        FORCED,
        claim(TWO, 6, is_replay=True),
        None,
    ),
    Case(
        "a replay does not take a dead stranger's lease", HELD, claim(TWO, 99, is_replay=True), None
    ),
    Case(
        "a replay does not go on after a stranger that has come in between",
        STRANGER,
        claim(TWO, 99, is_replay=True),
        None,
    ),
    Case(
        "a replay goes on after an attempt whose answer was lost",
        ENDED,
        claim(TWO, 5, is_replay=True),
        held_by(TWO, FIRST + 101, until=35, last_run={**SUCCEEDED, "attempt": ONE}),
    ),
    Case(
        "another execution's replay does not take what was given back",
        ENDED,
        claim(f"{OTHER}{TWO[33:]}", 5, is_replay=True),
        None,
    ),
    Case("a stranger is refused while it is parked", PARKED, acquire("b", 61), None),
    Case(
        "a stranger takes a parked lease over after its end",
        PARKED,
        acquire("b", 63),
        held_by("b", FIRST + 101, until=93, taken_from=PARKED_AT),
    ),
    Case(
        "another execution is refused while it is parked",
        PARKED,
        claim(f"{OTHER}{TWO[33:]}", 5),
        None,
    ),
    Case("a late claim does not take it from a later attempt", GONE_ON, claim(ONE, 0.1), None),
    Case(
        "a late claim of a replay does not take it from a later attempt",
        GONE_ON,
        claim(ONE, 0.1, is_replay=True),
        None,
    ),
    Case("a late claim does not end its own parking", PARKED, claim(ONE, 0.1), None),
    Case(
        "a later claim of the same attempt does not end its parking", PARKED, claim(ONE, 50), None
    ),
    Case("a late claim does not bring back what has ended", ENDED, claim(ONE, 0.1), None),
    Case(
        "a late claim of a replay does not bring back what has ended",
        ENDED,
        claim(ONE, 0.1, is_replay=True),
        None,
    ),
    Case(
        "an attempt that asks the same again is recognised",
        CLAIMED,
        claim(ONE, 0.1),
        held_by(ONE, FIRST + 101, until=30.1),
    ),
    Case(
        "a late claim does not shorten its own renewed lease",
        CLAIMED.then(renew(ONE, 40), expires_at=START + 40),
        claim(ONE, 0.1),
        None,
    ),
    Case(
        "a late claim does not take it after somebody who has come since",
        HELD.then(
            acquire("b", 40)._replace(holder=SINCE),
            **held_by("b", FIRST + 1, until=70, holder=SINCE, taken_from="a")._asdict(),
        ).then(release("b", 41), owner=None, expires_at=None, last_run=SUCCEEDED),
        claim(ONE, 38.9),
        None,
    ),
    Case(
        "a claim takes it after somebody whose clock was ahead by the clock skew",
        HELD.then(
            acquire("b", 40)._replace(holder=SINCE),
            **held_by("b", FIRST + 1, until=70, holder=SINCE, taken_from="a")._asdict(),
        ).then(release("b", 41), owner=None, expires_at=None, last_run=SUCCEEDED),
        claim(ONE, 39),
        held_by(ONE, FIRST + 2, until=69, last_run=SUCCEEDED),
    ),
    # Park.
    Case("an attempt parks its lease", CLAIMED, park(ONE, 2, 62), PARKED.row),
    Case(
        "parking may bring the end down",
        CLAIMED,
        park(ONE, 2, 12),
        CLAIMED.row and CLAIMED.row._replace(owner=PARKED_AT, expires_at=START + 12, duration=10),
    ),
    Case("a repeated parking is refused", PARKED, park(ONE, 2, 62), None),
    Case("nobody else parks it", CLAIMED, park(TWO, 2, 62), None),
    Case("an earlier attempt does not park it", GONE_ON, park(ONE, 2, 62), None),
    Case("a lease that has ended is not parked", ENDED, park(ONE, 2, 62), None),
    Case("a late renewal does not change a parked lease", PARKED, renew(ONE, 99), None),
    Case("a late release does not free a parked lease", PARKED, ended(ONE, 3), None),
    # Borrow.
    Case(
        "a task borrows the lease of its execution",
        TAKEN,
        borrow("a", 1),
        lent("a", FIRST + 1, at=1),
    ),
    Case(
        "the next task borrows what was given back",
        GIVEN_BACK,
        borrow("b", 20),
        lent("b", FIRST + 2, at=20),
    ),
    Case(
        "a task borrows what its execution has taken back",
        TAKEN_BACK,
        borrow("b", 50),
        lent("b", FIRST + 2, at=50),
    ),
    Case("a living attempt is not borrowed from", LENT, borrow("b", 20), None),
    Case("an attempt is not borrowed from within the clock skew", LENT, borrow("b", 31.999), None),
    Case(
        "a dead attempt is borrowed from after its end and the clock skew",
        LENT,
        borrow("b", 32),
        lent("b", FIRST + 2, at=32)._replace(taken_from="a"),
    ),
    Case(
        "an attempt that repeats its request borrows again",
        LENT,
        borrow("a", 2),
        lent("a", FIRST + 2, at=2)._replace(taken_from="a"),
    ),
    Case("a late request does not cut the park", GIVEN_BACK, borrow("a", 9), None),
    Case(
        "a late request does not bring an attempt's end down",
        LENT_LONG_RENEWED,
        borrow("a", 2, until=900, length=900),
        None,
    ),
    Case("a park does not cut what its execution has", TAKEN_LONG, borrow("a", 1), None),
    Case(
        "a task keeps the end that its execution has",
        TAKEN_LONG,
        borrow("a", 1, until=900, length=900),
        lent("a", FIRST + 1, at=1, until=900),
    ),
    Case("nothing is borrowed from a stranger", HELD, borrow("b", 100), None),
    Case(
        "nothing is borrowed from another execution",
        TAKEN,
        borrow("b", 1, execution="another"),
        None,
    ),
    Case(
        "nothing is borrowed from a dead attempt of another execution",
        LENT,
        borrow("b", 32, execution="another"),
        None,
    ),
    Case(
        "nothing is borrowed from a stranger who came after a dead attempt",
        INTRUDED,
        borrow("b", 123),
        None,
    ),
    Case("nothing is borrowed once it was returned", RETURNED, borrow("b", 40), None),
    Case("nothing is borrowed while nobody has it", RESTING_LOAN, borrow("b", 40), None),
    Case("nothing is borrowed of an unknown lease", NO_ROW, borrow("a", 1), None),
    # RenewLoan.
    Case(
        "a loan is renewed with both ends",
        LENT,
        renew_loan("a", 41, 131),
        lent("a", FIRST + 1, at=1)._replace(
            expires_at=START + 131, loan=Loan(EXECUTION, FIRST + 1, START + 41)
        ),
    ),
    Case(
        "a late renewal does not bring the attempt's end down",
        LENT_LONG_RENEWED,
        renew_loan("a", 40, 900),
        None,
    ),
    Case("a late renewal does not cut the park", LENT, renew_loan("a", 41, 120), None),
    Case("nobody else renews a loan", LENT, renew_loan("b", 41, 131), None),
    Case(
        "an attempt renews nothing that it has given back",
        GIVEN_BACK,
        renew_loan("a", 41, 131),
        None,
    ),
    # CheckpointLoan.
    Case(
        "a checkpoint of a loan moves both ends on",
        LENT,
        checkpoint_loan("a", 41, 131, 1),
        lent("a", FIRST + 1, at=1)._replace(
            expires_at=START + 131,
            loan=Loan(EXECUTION, FIRST + 1, START + 41),
            progress=Progress('"page 1"', FIRST + 1, 1),
        ),
    ),
    Case(
        "a late checkpoint does not bring the attempt's end down",
        LENT_LONG_RENEWED,
        checkpoint_loan("a", 40, 900, 1),
        None,
    ),
    Case("nobody else writes a checkpoint of a loan", LENT, checkpoint_loan("b", 41, 131, 1), None),
    # GiveBack.
    Case("an attempt gives the lease back", LENT, give_back("a", 10), GIVEN_BACK.row),
    Case(
        "an attempt that has succeeded leaves no progress",
        LENT.then(checkpoint_loan("a", 31, 121, 1), progress=Progress('"page 1"', FIRST + 1, 1)),
        give_back("a", 10, clears=True),
        GIVEN_BACK.row,
    ),
    Case("nobody else gives a loan back", LENT, give_back("b", 10), None),
    Case("a loan is given back once", GIVEN_BACK, give_back("a", 11), None),
    Case(
        "nothing is given back to an execution that has lost it",
        INTRUDED,
        give_back("a", 123),
        None,
    ),
    # Keep.
    Case(
        "an execution extends its lease",
        TAKEN,
        keep(10, until=130),
        held_by(EXECUTION, FIRST, until=130, duration=120, holder={"execution": EXECUTION}),
    ),
    Case(
        "an execution takes the lease back from a dead attempt",
        LENT,
        keep(40, until=160),
        TAKEN_BACK.row,
    ),
    Case("a living attempt keeps the lease", LENT, keep(20, until=160), None),
    Case("an attempt keeps the lease within the clock skew", LENT, keep(31.999, until=160), None),
    Case(
        "a late request does not cut the execution's lease", GIVEN_BACK, keep(20, until=129), None
    ),
    Case("an execution does not extend what a stranger has", INTRUDED, keep(123, until=300), None),
    Case("an execution's lease gets a later end", GIVEN_BACK, keep(20, until=130), None),
    Case(
        "an execution does not extend another one's lease",
        LENT,
        keep(40, until=160, execution="another"),
        None,
    ),
    Case("an execution extends nothing that it has returned", RETURNED, keep(40, until=160), None),
    Case("an execution extends nothing that nobody has", RESTING_LOAN, keep(40, until=160), None),
    # Return.
    Case("an execution returns its lease", GIVEN_BACK, return_(20), RETURNED.row),
    Case(
        "an execution returns what a dead attempt has",
        LENT,
        return_(40),
        lent("a", FIRST + 1, at=1)._replace(owner=None, expires_at=None, last_run=SUCCEEDED),
    ),
    Case("an execution returns nothing that a living attempt has", LENT, return_(20), None),
    Case("an execution returns nothing that a stranger has", INTRUDED, return_(123), None),
    Case("another execution returns nothing", LENT, return_(40, "another"), None),
    # TakeTicket.
    Case(
        "a ticket is given while it is held",
        HELD,
        ticket(1),
        held_by("a", FIRST, until=30, tickets=1),
    ),
    Case(
        "every ticket has its own number",
        QUEUED,
        ticket(3),
        held_by("a", FIRST, until=30, tickets=3),
    ),
    Case("no ticket is given for an unknown lease", NO_ROW, ticket(0), None),
    Case("no ticket is given for a free lease", FREE, ticket(6), None),
    Case("no ticket is given during a minimum hold", RESTING, ticket(6), None),
    # ForceRelease.
    Case("a forced release frees the lease and raises its token", HELD, force(5), FORCED.row),
    Case(
        "a forced release of a free lease raises its token",
        FREE,
        force(6),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
        ),
    ),
    Case(
        "a forced release ends a minimum hold",
        RESTING,
        force(6),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
        ),
    ),
    Case("an unknown lease is not released by force", NO_ROW, force(5), None),
    Case(
        "a forced release frees the holder that was shown, who has renewed since",
        RENEWED,
        force(6, seen=HELD.row),
        FORCED.row,
    ),
    Case(
        "a forced release frees nobody who came after the holder that was shown",
        TAKEN_SINCE,
        force(7, seen=HELD.row),
        None,
    ),
    Case(
        "a forced release leaves alone what the holder that was shown has given back",
        FREE,
        force(6, seen=HELD.row),
        None,
    ),
    Case(
        "a forced release frees nobody where a free lease was shown",
        TAKEN_SINCE,
        force(7, seen=FREE.row),
        None,
    ),
    Case(
        "a forced release ends no minimum hold after the one that was shown",
        RESTING_SINCE,
        force(8, seen=RESTING.row),
        None,
    ),
    Case(
        "a forced release ends the minimum hold that was shown",
        RESTING,
        force(6, seen=RESTING.row),
        LeaseRecord(
            NAME,
            FIRST + 1,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
        ),
    ),
    # Redo.
    Case(
        "what is done is forgotten",
        DONE,
        redo(9),
        LeaseRecord(
            NAME,
            FIRST,
            holder={"request_id": "request-a"},
            last_run=SUCCEEDED,
            duration=30,
            taken_from="a",
        ),
    ),
    Case("there is nothing to forget of a lease without orders", FREE, redo(9), None),
    Case("an unknown lease has nothing to forget", NO_ROW, redo(9), None),
)
