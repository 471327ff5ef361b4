------------------------------- MODULE Order -------------------------------
(***************************************************************************)
(* once= and order=: what is done is not done again, and an older version  *)
(* never works after a newer one has begun. A slot is a version, of which  *)
(* only one asks.                                                          *)
(*                                                                         *)
(* Time is left out: Lease.tla shows that a lease is taken from a holder   *)
(* only when it does not work any more, which is assumed here. A request   *)
(* may be lost, late and doubled, and its reply lost; a run may fail, die, *)
(* or succeed without being able to say so. Each caller is one delivery,   *)
(* and several bring the same version.                                     *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS Callers, Versions

\* The rules. All are TRUE in the protocol.
CONSTANTS
    DoneRefuses, BegunRefuses, RecordsSuccessOnly

VARIABLES
    version,   \* what each caller brings
    row,
    state,     \* of each caller's run
    sent,      \* the requests that are on their way
    newest,    \* the latest version that has begun to work
    recorded   \* how often each version's success was recorded

vars == <<version, row, state, sent, newest, recorded>>

Nobody == "nobody"
Request(kind, c) == [kind |-> kind, by |-> c]

\* The chain of Acquire: free, mine, or of somebody who does not work any more.
IsFree(c) == IF row.owner = Nobody THEN TRUE ELSE row.owner = c \/ state[row.owner] # "working"

MayRun(c) ==
    /\ DoneRefuses => row.done < version[c]
    /\ BegunRefuses => row.begun <= version[c]

Acquire ==
    /\ UNCHANGED <<version, sent, recorded>>
    /\ \E r \in sent :
        /\ r.kind = "acquire" /\ IsFree(r.by) /\ MayRun(r.by)
        /\ row' = [row EXCEPT !.owner = r.by, !.begun = version[r.by]]
        /\ \/ UNCHANGED <<state, newest>>
           \/ /\ state[r.by] = "asking"
              /\ state' = [state EXCEPT ![r.by] = "working"]
              /\ newest' = IF version[r.by] > newest THEN version[r.by] ELSE newest

\* A run comes to its end; one that dies sends nothing.
Stop(c) ==
    /\ state[c] = "working"
    /\ \E end \in {"succeeded", "failed"} :
        /\ state' = [state EXCEPT ![c] = end]
        /\ sent' = sent \union {Request("release", c)}
    /\ UNCHANGED <<version, row, newest, recorded>>

Release ==
    /\ UNCHANGED <<version, state, sent, newest>>
    /\ \E r \in sent :
        /\ r.kind = "release" /\ row.owner = r.by
        /\ LET done == state[r.by] = "succeeded" \/ ~RecordsSuccessOnly IN
            /\ row' = [row EXCEPT !.owner = Nobody, !.done = IF done THEN version[r.by] ELSE @]
            /\ recorded' = [recorded EXCEPT ![version[r.by]] = IF done THEN @ + 1 ELSE @]

Init ==
    /\ version \in [Callers -> Versions]
    /\ row = [owner |-> Nobody, done |-> 0, begun |-> 0]
    /\ state = [c \in Callers |-> "asking"]
    /\ sent = {Request("acquire", c) : c \in Callers}
    /\ newest = 0
    /\ recorded = [v \in Versions |-> 0]

Next == Acquire \/ Release \/ (\E c \in Callers : Stop(c))
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* The promises

DoneOnce == \A v \in Versions : recorded[v] <= 1

NeverOlder ==
    [][\A c \in Callers :
        state[c] # "working" /\ state'[c] = "working" => version[c] >= newest]_vars

\* What counts as done has succeeded, or a later version has.
DoneIsDone ==
    row.done > 0 => \E c \in Callers : version[c] = row.done /\ state[c] = "succeeded"
=============================================================================
