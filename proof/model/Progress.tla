----------------------------- MODULE Progress ------------------------------
(***************************************************************************)
(* lease.checkpoint: a job of some steps, done by one run after another.   *)
(*                                                                         *)
(* As in Order.tla, a lease is taken only from a run that does not work    *)
(* any more. A request may be lost, late and doubled, and its reply lost;  *)
(* a run sends its latest step again until it knows that it was applied,   *)
(* and may die at any moment. "with" are transactions, with an effect;     *)
(* "plain" are checkpoints without one.                                    *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS Runs, Steps

\* The rules. All are TRUE in the protocol.
CONSTANTS
    StepsAreOwned, StepsAreAppliedOnce, SameValueIsSameStep, StepsDoNotGoBack

VARIABLES
    row,      \* its progress is a value, and the token and the seq that wrote it
    state,    \* of each run
    token,    \* of each run
    step,     \* of each run: the latest value that it has sent, and its seq
    known,    \* of each run: the value that it knows to be in the row
    sent,     \* the requests that are on their way
    effects   \* how often each step's effect was applied

vars == <<row, state, token, step, known, sent, effects>>

Nobody == "nobody"
IsFree == IF row.owner = Nobody THEN TRUE ELSE state[row.owner] # "working"

Acquire(r) ==
    /\ state[r] = "asking" /\ IsFree
    /\ row' = [row EXCEPT !.owner = r, !.token = @ + 1]
    /\ state' = [state EXCEPT ![r] = "working"]
    /\ token' = [token EXCEPT ![r] = row.token + 1]
    /\ known' = [known EXCEPT ![r] = row.value]
    /\ step' = [step EXCEPT ![r] = [value |-> row.value, seq |-> 0]]
    /\ UNCHANGED <<sent, effects>>

Send(r, kind, value, seq) ==
    /\ step' = [step EXCEPT ![r] = [value |-> value, seq |-> seq]]
    /\ sent' = sent \union
           {[kind |-> kind, by |-> r, token |-> token[r], seq |-> seq, value |-> value]}
    /\ UNCHANGED <<row, state, token, known, effects>>

\* The next step is begun once the last one is known to be in the row.
Go(r) ==
    /\ state[r] = "working" /\ known[r] = step[r].value /\ known[r] < Steps
    /\ \E kind \in {"plain", "with"} : Send(r, kind, known[r] + 1, step[r].seq + 1)

\* Sending the same request again needs no step here: it is applied any number of times.
SendAgain(r) ==
    /\ ~SameValueIsSameStep
    /\ state[r] = "working" /\ known[r] < step[r].value /\ step[r].seq < 2 * Steps
    /\ Send(r, "with", step[r].value, step[r].seq + 1)

Allows(q) ==
    /\ StepsAreOwned => row.owner = q.by
    /\ \/ row.ptoken < q.token
       \/ IF q.kind = "with"
          THEN IF StepsAreAppliedOnce THEN row.seq < q.seq ELSE row.seq <= q.seq
          ELSE StepsDoNotGoBack => row.seq <= q.seq

Apply(q) ==
    /\ Allows(q)
    /\ row' = [row EXCEPT !.value = q.value, !.ptoken = q.token, !.seq = q.seq]
    /\ effects' = [effects EXCEPT ![q.value] = IF q.kind = "with" THEN @ + 1 ELSE @]
    /\ UNCHANGED <<state, token, step, known, sent>>

\* A reply says it, or a refusal by a row that has this very step.
Know(r) ==
    /\ state[r] = "working" /\ known[r] # step[r].value
    /\ row.owner = r /\ row.ptoken = token[r] /\ row.seq = step[r].seq
    /\ known' = [known EXCEPT ![r] = step[r].value]
    /\ UNCHANGED <<row, state, token, step, sent, effects>>

Die(r) ==
    /\ state[r] = "working"
    /\ state' = [state EXCEPT ![r] = "dead"]
    /\ UNCHANGED <<row, token, step, known, sent, effects>>

Init ==
    /\ row = [owner |-> Nobody, token |-> 0, value |-> 0, ptoken |-> 0, seq |-> 0]
    /\ state = [r \in Runs |-> "asking"]
    /\ token = [r \in Runs |-> 0]
    /\ step = [r \in Runs |-> [value |-> 0, seq |-> 0]]
    /\ known = [r \in Runs |-> 0]
    /\ sent = {}
    /\ effects = [s \in 1..Steps |-> 0]

Next ==
    \/ \E r \in Runs : Acquire(r) \/ Go(r) \/ SendAgain(r) \/ Know(r) \/ Die(r)
    \/ \E q \in sent : Apply(q)
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* The promises

EffectsOnce == \A s \in 1..Steps : effects[s] <= 1

NeverBack == [][row'.value >= row.value]_vars

\* What was written by an older run is never written after a newer run's.
NeverOlder == [][row'.ptoken >= row.ptoken]_vars
=============================================================================
