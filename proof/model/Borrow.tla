------------------------------- MODULE Borrow -------------------------------
(***************************************************************************)
(* borrow=: an execution of a state machine has the lease, and the         *)
(* attempts of its tasks borrow it, with time, clocks that differ, late,   *)
(* doubled and lost requests, and attempts that nobody waits for any more. *)
(*                                                                         *)
(* As in Lease.tla every party sends all that it may in every tick, and a  *)
(* reply comes at once or never. The execution takes the lease, keeps it   *)
(* as often as it likes, and returns it once. Each attempt borrows once.   *)
(* A stranger takes the lease by its clock, or by having watched the row.  *)
(*                                                                         *)
(* What others see of the row, and since when, is `seen`: what was there   *)
(* before, with the same token, is the same sight to a watcher.            *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC

CONSTANTS
    Attempts, Strangers,
    Duration,   \* of an attempt's lease, in ticks
    Park,       \* for how long the execution keeps it beyond its attempts
    Lasts,      \* for how long the execution takes it: one of these
    Skew, Late, MaxTime, MaxToken

\* The rules. All are TRUE in the protocol.
CONSTANTS
    OwnerIsFreshForEachAttempt, WaitsForTheAttempt, BorrowNeverCutsThePark,
    BorrowNeverLowersTheAttempt, BorrowNeedsContinuity, BorrowNeedsAnOwner, WritesTheLength,
    LoanRenewalNeverLowers, ParksBeyondTheAttempt, ReturnsFromTheDead, ReturnWaitsForTheAttempt,
    KeepRaises

ASSUME Duration <= Park

VARIABLES
    now,
    offset,   \* of each party's clock from true time
    row,
    sent,     \* the requests that are on their way
    until,    \* what each attempt and stranger believes, on its own clock
    relies,   \* up to when the execution relies on the lease, on the slowest clock
    taken,    \* "no", "yes", "ending" once it sends its return, "ended" once that is applied
    lost,     \* whether a stranger has had it since
    seen      \* when each sight of the row was first there

vars == <<now, offset, row, sent, until, relies, taken, lost, seen>>

Nobody == "nobody"
X == "execution"
Parties == Attempts \union Strangers \union {X}

\* Values of `until` at which nothing is held: not yet, never again.
Asking == 0
Gone == -1

Clock(p) == now + offset[p]
Holds(p) == Clock(p) < until[p]
Owner(p) == IF p \in Attempts /\ ~OwnerIsFreshForEachAttempt THEN "the same" ELSE p

NoRow == [owner |-> Nobody, expires |-> 0, length |-> 0, attempt |-> 0, baton |-> FALSE, token |-> 0,
          loan |-> 0]

-----------------------------------------------------------------------------
\* Requests. `end` is the expiry that one asks for: a loan may keep the one that the row had.

Request(kind, p, end, length) == [kind |-> kind, by |-> p, at |-> now, end |-> end, length |-> length]
Me(r) == Owner(r.by)
Now(r) == r.at + offset[r.by]
Ends(r) == Now(r) + Duration      \* the attempt's end that it asks for
Dead(r) == Now(r) - Skew

Own(p) == Clock(p) + (IF ParksBeyondTheAttempt THEN Park ELSE Duration)
\* Its own end, or the row's if that is later, with the length that belongs to it.
Later(p) == IF row.expires > Own(p) THEN <<row.expires, row.length>> ELSE <<Own(p), Park>>

Requests(p) ==
    IF p \in Strangers THEN
        IF until[p] = Asking THEN {Request("acquire", p, Clock(p) + Duration, Duration)} ELSE {}
    ELSE IF p = X THEN
        (IF taken = "no" THEN {Request("take", X, Clock(X) + l, l) : l \in Lasts} ELSE {})
        \union (IF taken = "yes" /\ now < relies
                THEN {Request("keep", X, Clock(X) + l, l) : l \in Lasts} ELSE {})
    ELSE
        (IF until[p] = Asking THEN {Request("borrow", p, Own(p), Park),
                                    Request("borrow", p, Later(p)[1], Later(p)[2])} ELSE {})
        \union (IF Holds(p) THEN {Request("renew", p, Later(p)[1], Later(p)[2])} ELSE {})

-----------------------------------------------------------------------------
\* Conditions

IsFree(r) ==
    \/ row.owner = Nobody
    \/ row.expires <= Dead(r)
    \/ row.owner = Me(r) /\ row.expires <= r.end

\* Whoever has watched the same owner and expiry for the whole length may take it, and for Skew
\* more: the length and the expiry may be of two clocks.
IsSilent(r) ==
    /\ row.owner # Nobody
    /\ \E s \in seen : /\ s.owner = row.owner /\ s.expires = row.expires /\ s.token = row.token
                       /\ s.at + row.length + Skew <= r.at

Continuous == BorrowNeedsContinuity => row.loan = row.token

\* The execution's lease is with an attempt that is dead by the sender's clock.
OfADeadAttempt(r, waits) ==
    /\ row.baton /\ row.attempt > 0
    /\ waits => row.attempt <= Dead(r)

MayBorrow(r) ==
    /\ BorrowNeverCutsThePark => row.expires <= r.end
    /\ \/ row.owner = X
       \/ /\ row.owner = Me(r)
          /\ BorrowNeverLowersTheAttempt => row.attempt <= Ends(r)
       \/ /\ BorrowNeedsAnOwner => row.owner # Nobody
          /\ Continuous
          /\ OfADeadAttempt(r, WaitsForTheAttempt)

GoesOn(r, fromTheDead, waits) ==
    \/ row.owner = X
    \/ fromTheDead /\ row.owner # Nobody /\ row.loan = row.token /\ OfADeadAttempt(r, waits)

Allows(r) ==
    CASE r.kind \in {"acquire", "take"} -> IsFree(r) \/ (r.kind = "acquire" /\ IsSilent(r))
      [] r.kind = "borrow" -> MayBorrow(r)
      [] r.kind = "renew" -> /\ row.owner = Me(r) /\ row.expires <= r.end
                             /\ LoanRenewalNeverLowers => row.attempt <= Ends(r)
      [] r.kind = "give" -> row.owner = Me(r)
      [] r.kind = "keep" -> (KeepRaises => row.expires < r.end) /\ GoesOn(r, TRUE, TRUE)
      [] r.kind = "return" -> GoesOn(r, ReturnsFromTheDead, ReturnWaitsForTheAttempt)

-----------------------------------------------------------------------------
\* Steps

Length(r) == IF WritesTheLength THEN r.length ELSE row.length

After(r) ==
    CASE r.kind \in {"acquire", "take"} ->
            [row EXCEPT !.owner = Me(r), !.expires = r.end, !.length = r.length, !.token = @ + 1]
      [] r.kind = "borrow" ->
            [row EXCEPT !.owner = Me(r), !.expires = r.end, !.length = Length(r), !.token = @ + 1,
                        !.attempt = Ends(r), !.baton = TRUE, !.loan = row.token + 1]
      [] r.kind = "renew" -> [row EXCEPT !.expires = r.end, !.attempt = Ends(r)]
      [] r.kind = "give" ->
            [row EXCEPT !.owner = X, !.expires = r.end, !.length = Length(r), !.attempt = 0]
      [] r.kind = "keep" ->
            [row EXCEPT !.owner = X, !.expires = r.end, !.length = r.length, !.attempt = 0]
      \* Of a free row the expiry may stay, as the end of a minimum hold that is over.
      [] r.kind = "return" -> [row EXCEPT !.owner = Nobody]

See(new) ==
    IF new.owner = Nobody THEN {}
    ELSE IF \E s \in seen : s.owner = new.owner /\ s.expires = new.expires /\ s.token = new.token
    THEN {s \in seen : s.token = new.token}
    ELSE {s \in seen : s.token = new.token}
         \union {[owner |-> new.owner, expires |-> new.expires, token |-> new.token, at |-> now]}

\* The execution relies on an end from when it, or the attempt, hears that it is in the row.
Rely(r) ==
    IF r.kind \in {"take", "keep", "give"} /\ taken \in {"no", "yes"} /\ ~lost
    THEN LET end == IF r.kind = "give" THEN r.at + Park ELSE r.end - offset[r.by]
         IN IF end > relies THEN end ELSE relies
    ELSE relies

Hear(r) ==
    /\ until' = CASE r.kind \in {"borrow", "renew"} -> [until EXCEPT ![r.by] = Ends(r)]
                  [] r.kind = "acquire" -> [until EXCEPT ![r.by] = r.end]
                  [] OTHER -> until
    /\ relies' = Rely(r)
    /\ taken' = IF r.kind = "take" /\ taken = "no" THEN "yes" ELSE taken

CanHear(r) ==
    CASE r.kind \in {"borrow", "acquire"} -> until[r.by] = Asking
      [] r.kind = "renew" -> until[r.by] # Gone /\ Holds(r.by)
      [] r.kind = "take" -> taken = "no"
      [] r.kind = "keep" -> taken = "yes"
      [] r.kind = "give" -> TRUE
      [] OTHER -> FALSE

Apply ==
    /\ UNCHANGED <<now, offset>>
    /\ \E r \in sent :
        /\ Allows(r)
        /\ row' = After(r)
        /\ seen' = See(row')
        \* A take that comes late begins again what has ended: it is for nobody.
        /\ r.kind = "take" => taken = "no"
        /\ lost' = (lost \/ (r.kind = "acquire" /\ taken \in {"yes", "ending"}))
        /\ \E heard \in IF CanHear(r) THEN BOOLEAN ELSE {FALSE} :
            IF heard THEN Hear(r)
            ELSE /\ until' = until /\ relies' = relies
                 /\ taken' = IF r.kind = "return" THEN "ended" ELSE taken
    /\ sent' = sent \union UNION {Requests(p)' : p \in Parties}

\* An attempt comes to its end, or a stranger, who dies: it gives nothing back.
Stop(p) ==
    /\ until[p] > 0
    /\ until' = [until EXCEPT ![p] = Gone]
    /\ sent' = sent \union IF p \in Attempts THEN {Request("give", p, Later(p)[1], Later(p)[2])} ELSE {}
    /\ UNCHANGED <<now, offset, row, relies, taken, lost, seen>>

\* The execution comes to its end, and relies on nothing any more.
End ==
    /\ taken = "yes"
    /\ relies' = 0 /\ taken' = "ending"
    /\ sent' = sent \union {Request("return", X, 0, 0)}
    /\ UNCHANGED <<now, offset, row, until, lost, seen>>

Tick ==
    /\ now < MaxTime
    /\ now' = now + 1
    /\ UNCHANGED <<offset, row, until, relies, taken, lost, seen>>
    /\ sent' = {r \in sent : now' <= r.at + Late} \union UNION {Requests(p)' : p \in Parties}

Init ==
    /\ now = 0
    \* To keep the world small, all functions have one clock.
    /\ offset \in {f \in [Parties -> 0..Skew] :
                     f[X] = 0 /\ \A a, b \in Attempts : f[a] = f[b]}
    /\ row = NoRow
    /\ until = [p \in Parties |-> Asking]
    /\ relies = 0 /\ taken = "no" /\ lost = FALSE /\ seen = {}
    /\ sent = UNION {Requests(p) : p \in Parties}

Next == Apply \/ End \/ (\E p \in Attempts \union Strangers : Stop(p)) \/ Tick
Spec == Init /\ [][Next]_vars
Symmetry == Permutations(Attempts)

\* A request that is applied again raises the token again: here that comes to an end.
Few == row.token <= MaxToken

-----------------------------------------------------------------------------
\* The promises

MutualExclusion == \A p, q \in Attempts \union Strangers : Holds(p) /\ Holds(q) => p = q

\* No stranger works while the execution relies on its lease.
ParkHolds == \A s \in Strangers : Holds(s) => now >= relies

\* An execution that has ended lends nothing.
EndedStaysEnded == [][taken = "ended" /\ row'.loan # row.loan => FALSE]_vars

\* Whoever has lost nothing is told of no loss: once every attempt is dead, it gets its lease back.
NoFalseLoss ==
    taken \in {"yes", "ending"} /\ ~lost /\ row.owner # Nobody /\ row.attempt + 2 * Skew <= now
    => Allows(Request("return", X, 0, 0))

TokensRise == [][row'.owner # row.owner /\ row'.owner \notin {Nobody, X} => row'.token > row.token]_vars
=============================================================================
