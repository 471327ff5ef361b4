------------------------------- MODULE Lease -------------------------------
(***************************************************************************)
(* The protocol of docs/protocol.md, so that TLC can try every order of    *)
(* events in a small world. check.py runs it: whole, and with each of its  *)
(* rules taken away.                                                       *)
(*                                                                         *)
(* A world has one row, a few callers and a bad network. Each caller takes *)
(* the lease once: a client that comes back is another caller, with an     *)
(* owner id of its own. Clocks differ by up to Skew. A request may be      *)
(* lost, come up to Late ticks late and be applied any number of times;    *)
(* its reply may be lost.                                                  *)
(*                                                                         *)
(* Three things keep the world small, and nothing is lost by them:         *)
(*  - Every caller sends all that it may, in every tick. As each request   *)
(*    may be lost, this includes the callers that send less, start later,  *)
(*    crash while they ask, or crash while they hold.                      *)
(*  - A reply comes at once or never. A late one would only shorten the    *)
(*    time that its caller holds, as that is counted from the sending.     *)
(*  - A refusal says nothing: a caller may always go on asking, and a      *)
(*    holder goes by its clock.                                            *)
(*                                                                         *)
(* Left out: the minimum hold and the deadline's cap on an expiry (every   *)
(* lease lasts Duration), forced release (it breaks MutualExclusion on     *)
(* purpose), clocks that jump or drift. The tests have these. Liveness is  *)
(* left out, too, as time is bounded: NeverStuck gives a bound instead.    *)
(*                                                                         *)
(* Lease.cfg is a world for every day. Larger ones take TLC minutes, for   *)
(* example check.py Late=2 Retention=7 MaxTime=7.                          *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC

CONSTANTS
    Callers,
    Duration,   \* of a lease, in ticks
    Skew,       \* by how much two clocks may differ
    Late,       \* for how long a request may be on its way
    Retention,  \* for how long a row is kept after its last use
    Pace,       \* a tick in the token's unit: fewer acquisitions than this happen in one
    MaxTime

\* The rules. All are TRUE in the protocol.
CONSTANTS
    KeepsSkewMargin, TakesOverTheDead, RecognisesItself, AcquireNeverLowers, WatchesWholeLease,
    RenewChecksOwner, RenewNeverLowers, ReleaseChecksOwner, StopsBeforeRelease, OwnerIsFresh,
    CountsFromBeforeSending, KeepsToken, SeedsTokenFromClock, RetainsRow

ASSUME Pace > Cardinality(Callers)

VARIABLES
    now,     \* true time
    offset,  \* of each caller's clock from true time
    row,
    sent,    \* the requests that are on their way
    until,   \* what each caller believes: it holds until its own clock shows this
    newest   \* the token of the latest holder

vars == <<now, offset, row, sent, until, newest>>

\* `asked` is when the request that wrote the expiry was sent. No request reads it.
Nobody == "nobody"
NoRow == [owner |-> Nobody, expires |-> 0, token |-> 0, asked |-> 0]

\* Values of `until` at which nothing is held: not yet, never again.
Asking == 0
Gone == -1

Clock(c) == now + offset[c]
Holds(c) == Clock(c) < until[c]
Owner(c) == IF OwnerIsFresh THEN c ELSE "the same"

-----------------------------------------------------------------------------
\* Requests

Request(kind, c) == [kind |-> kind, by |-> c, at |-> now]
Me(r) == Owner(r.by)
Now(r) == r.at + offset[r.by]  \* read on its sender's clock before it was sent
Expiry(r) == Now(r) + Duration

Requests(c) ==
    IF until[c] = Asking THEN {Request("acquire", c)}
    ELSE IF Holds(c) THEN {Request("renew", c)}
    ELSE {}

\* Whoever comes by may take the lease, without having seen anything before.
MayTake(r) ==
    \/ row.owner = Nobody
    \/ TakesOverTheDead /\ row.expires + (IF KeepsSkewMargin THEN Skew ELSE 0) <= Now(r)
    \/ /\ RecognisesItself /\ row.owner = Me(r)
       /\ AcquireNeverLowers => row.expires <= Expiry(r)

\* Who has seen the same owner and expiry for a whole Duration may take it, too. These were asked
\* for at least as long ago. Here that is enough for everybody, which allows more than a watch.
MayTakeFromSilent(r) ==
    row.asked + (IF WatchesWholeLease THEN Duration ELSE Duration - 1) <= r.at

Allows(r) ==
    CASE r.kind = "acquire" -> MayTake(r) \/ MayTakeFromSilent(r)
      [] r.kind = "renew" -> /\ RenewChecksOwner => row.owner = Me(r)
                             /\ RenewNeverLowers => row.expires <= Expiry(r)
      [] r.kind = "release" -> ReleaseChecksOwner => row.owner = Me(r)

-----------------------------------------------------------------------------
\* Steps

\* The token after an acquisition. Those that nobody hears of raise it as well: here they do so
\* at the worst moment, just before one that is heard of, and as far as Pace lets them.
FirstToken(r) == (IF SeedsTokenFromClock THEN Pace * Now(r) ELSE 0) + 1
Highest == IF row.token > Pace * (now + Skew) THEN row.token ELSE Pace * (now + Skew)
Token(r, heard) ==
    IF row = NoRow \/ ~KeepsToken THEN FirstToken(r)
    ELSE IF heard THEN Highest + 1
    ELSE row.token

\* The sender of r hears that r was applied.
Hear(r) ==
    /\ until' = [until EXCEPT ![r.by] =
           IF CountsFromBeforeSending THEN Expiry(r) ELSE Clock(r.by) + Duration]
    /\ sent' = sent \union Requests(r.by)'

Acquire ==
    /\ UNCHANGED <<now, offset>>
    /\ \E r \in sent :
        /\ r.kind = "acquire" /\ Allows(r)
        /\ \E heard \in IF until[r.by] = Asking THEN BOOLEAN ELSE {FALSE} :
            /\ row' = [owner |-> Me(r), expires |-> Expiry(r), asked |-> r.at,
                       token |-> Token(r, heard)]
            /\ IF heard THEN Hear(r) /\ newest' = row'.token
                        ELSE UNCHANGED <<sent, until, newest>>

Renew ==
    /\ UNCHANGED <<now, offset, newest>>
    /\ \E r \in sent :
        /\ r.kind = "renew" /\ Allows(r)
        /\ row' = [row EXCEPT !.expires = Expiry(r), !.asked = r.at]
        /\ \/ until[r.by] # Gone /\ Hear(r)
           \/ UNCHANGED <<sent, until>>

\* Of a free row, `expires` is the end of its last use: nothing but its retention counts from it.
Release ==
    /\ UNCHANGED <<now, offset, sent, until, newest>>
    /\ \E r \in sent :
        /\ r.kind = "release" /\ Allows(r)
        /\ row' = [row EXCEPT !.owner = Nobody, !.expires = Now(r), !.asked = 0]

\* A holder comes to its end. A crash is the same, only that the release is lost.
Stop(c) ==
    /\ until[c] > 0
    /\ until' = IF StopsBeforeRelease THEN [until EXCEPT ![c] = Gone] ELSE until
    /\ sent' = sent \union {Request("release", c)}
    /\ UNCHANGED <<now, offset, row, newest>>

\* The store's own clock is one of those that differ by Skew. It may be the fastest.
Delete ==
    /\ row # NoRow
    /\ row.expires + (IF RetainsRow THEN Retention ELSE Skew) <= now + Skew
    /\ row' = NoRow
    /\ UNCHANGED <<now, offset, sent, until, newest>>

Tick ==
    /\ now < MaxTime
    /\ now' = now + 1
    /\ UNCHANGED <<offset, row, until, newest>>
    /\ sent' = {r \in sent : now' <= r.at + Late} \union UNION {Requests(c)' : c \in Callers}

Init ==
    /\ now = 0
    /\ offset \in {f \in [Callers -> 0..Skew] : \E c \in Callers : f[c] = 0}
    /\ row = NoRow
    /\ until = [c \in Callers |-> Asking]
    /\ sent = {Request("acquire", c) : c \in Callers}
    /\ newest = 0

Next == Acquire \/ Renew \/ Release \/ (\E c \in Callers : Stop(c)) \/ Delete \/ Tick
Spec == Init /\ [][Next]_vars
Symmetry == Permutations(Callers)

-----------------------------------------------------------------------------
\* The promises

MutualExclusion == \A c, d \in Callers : Holds(c) /\ Holds(d) => c = d

\* Whenever an acquisition changes the row's token, and whenever somebody starts to hold, the token
\* is higher than all that were given before.
\*
\* Over a deletion this needs Retention > 2 * Late + 2 * Skew. An acquire and then a release, each
\* Late, can write over a newer row: its retention then counts from as long ago. And the acquire
\* that makes the row anew can be Late, with a seed as old. One tick less, and TLC finds it.
TokensRise ==
    [][\/ row'.token \notin {row.token, 0}
       \/ \E c \in Callers : until[c] = Asking /\ until'[c] # Asking
       => row'.token > newest]_vars

\* Nobody has to wait for a dead holder for longer than this, counted in true time from when its
\* last request was sent, however late it came: Duration and Skew on a clock that is itself up to
\* Skew behind. And nobody has to wait for itself.
NeverStuck ==
    \A c \in Callers :
        \/ row.asked + Duration + 2 * Skew <= now
        \/ row.owner = Owner(c) /\ until[c] = Asking
        => MayTake(Request("acquire", c))

OnlyMine == \A r \in sent : r.kind # "acquire" /\ Allows(r) => row.owner = Me(r)

-----------------------------------------------------------------------------
\* Why MutualExclusion holds: the row has only one owner, and a holder never believes more than
\* the row says, as nothing brings an expiry down.

BelievesTheRow == \A c \in Callers : Holds(c) => row.owner = Owner(c) /\ until[c] <= row.expires

ExpiryRises == [][row'.owner = row.owner /\ row.owner # Nobody => row'.expires >= row.expires]_vars
=============================================================================
