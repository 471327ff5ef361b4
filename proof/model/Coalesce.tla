----------------------------- MODULE Coalesce -----------------------------
(***************************************************************************)
(* on_held="coalesce": whoever waits shares a run that began after it came *)
(* and has succeeded.                                                      *)
(*                                                                         *)
(* Time is left out: Lease.tla shows that a lease is taken from a holder   *)
(* only when it does not work any more, which is assumed here. A request   *)
(* may be lost, late and doubled, and its reply lost; a run may fail, die, *)
(* or succeed without being able to say so. Each caller is one delivery:   *)
(* one that comes back is another caller.                                  *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS Callers, Works, MaxToken

\* The rules. All are TRUE in the protocol.
CONSTANTS
    StrictlyLater, SameWork, OwnToken, SharesSuccessOnly, AsksInAcquire

VARIABLES
    work,    \* what each caller wants to have done
    row,
    state,   \* of each caller
    token,   \* of each caller's run, as the reply to its request said
    since,   \* the token in the first row that each waiter has seen
    sent,    \* the requests that are on their way
    before   \* of each run: who had come when it began

vars == <<work, row, state, token, since, sent, before>>

Nobody == "nobody"
Request(kind, c, s) == [kind |-> kind, by |-> c, since |-> s]
\* Of a request of somebody who has not waited.
Never == -1

\* The chain of Acquire: free, mine, or of somebody who does not work any more.
IsFree(c) == IF row.owner = Nobody THEN TRUE ELSE row.owner = c \/ state[row.owner] # "working"

\* What the row says to a waiter.
IsDone(c, s) ==
    /\ IF StrictlyLater THEN row.succeeded > s ELSE row.succeeded >= s /\ row.succeeded > 0
    /\ SameWork => row.by = work[c]

Come(c) ==
    /\ state[c] = "absent"
    /\ state' = [state EXCEPT ![c] = "asking"]
    /\ sent' = sent \union {Request("acquire", c, Never)}
    /\ UNCHANGED <<work, row, token, since, before>>

\* A reply counts for the request that its caller waits for now.
IsAwaited(r) == state[r.by] = IF r.since = Never THEN "asking" ELSE "waiting"

Acquire ==
    /\ UNCHANGED <<work, since, sent>>
    /\ \E r \in sent :
        /\ r.kind = "acquire" /\ IsFree(r.by) /\ row.token < MaxToken
        /\ r.since # Never /\ AsksInAcquire => ~IsDone(r.by, r.since)
        /\ row' = [row EXCEPT !.owner = r.by, !.token = @ + 1]
        /\ \/ UNCHANGED <<state, token, before>>
           \/ /\ IsAwaited(r)
              /\ state' = [state EXCEPT ![r.by] = "working"]
              /\ token' = [token EXCEPT ![r.by] = row.token + 1]
              /\ before' = [before EXCEPT ![r.by] = {c \in Callers : state[c] # "absent"}]

\* The refusal brings the row.
Refuse(c) ==
    /\ state[c] = "asking" /\ ~IsFree(c)
    /\ state' = [state EXCEPT ![c] = "waiting"]
    /\ since' = [since EXCEPT ![c] = row.token]
    /\ sent' = sent \union {Request("acquire", c, row.token)}
    /\ UNCHANGED <<work, row, token, before>>

\* A look, or a refusal of a later request.
Look(c) ==
    /\ state[c] = "waiting" /\ IsDone(c, since[c])
    /\ state' = [state EXCEPT ![c] = "shared"]
    /\ UNCHANGED <<work, row, token, since, sent, before>>

\* A run comes to its end; one that dies sends nothing.
Stop(c) ==
    /\ state[c] = "working"
    /\ \E end \in {"succeeded", "failed"} :
        /\ state' = [state EXCEPT ![c] = end]
        /\ sent' = sent \union {Request("release", c, Never)}
    /\ UNCHANGED <<work, row, token, since, before>>

Release ==
    /\ UNCHANGED <<work, state, token, since, sent, before>>
    /\ \E r \in sent :
        /\ r.kind = "release" /\ row.owner = r.by
        /\ IF state[r.by] = "succeeded" \/ ~SharesSuccessOnly
           THEN row' = [row EXCEPT !.owner = Nobody, !.by = work[r.by],
                                   !.succeeded = IF OwnToken THEN token[r.by] ELSE row.token]
           ELSE row' = [row EXCEPT !.owner = Nobody]

\* By a person.
Force ==
    /\ row.token \in 1 .. MaxToken - 1
    /\ row' = [row EXCEPT !.owner = Nobody, !.token = @ + 1]
    /\ UNCHANGED <<work, state, token, since, sent, before>>

Init ==
    /\ work \in [Callers -> Works]
    /\ row = [owner |-> Nobody, token |-> 0, succeeded |-> 0, by |-> Nobody]
    /\ state = [c \in Callers |-> "absent"]
    /\ token = [c \in Callers |-> 0]
    /\ since = [c \in Callers |-> 0]
    /\ sent = {}
    /\ before = [c \in Callers |-> {}]

Next ==
    \/ Acquire \/ Release \/ Force
    \/ (\E c \in Callers : Come(c) \/ Refuse(c) \/ Look(c) \/ Stop(c))
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* The promises

NobodyIsMisled ==
    \A c \in Callers : state[c] = "shared" =>
        \E run \in Callers : state[run] = "succeeded" /\ work[run] = work[c] /\ c \in before[run]

NoRunTooMany ==
    [][\A c \in Callers :
        state[c] = "waiting" /\ state'[c] = "working" =>
            ~(row.succeeded > since[c] /\ row.by = work[c])]_vars
=============================================================================
