------------------------------ MODULE Parking ------------------------------
(***************************************************************************)
(* park=: one lease over the waits of durable executions, each of them a   *)
(* line of attempts, beside a stranger with a plain lease.                 *)
(*                                                                         *)
(* Time is left out but for this: an attempt that works is believed, and   *)
(* what is silent (parked, or of a dead attempt) may come to its end at    *)
(* any moment, after which anybody may take it. A request may be lost,     *)
(* late and doubled, and its reply lost. Zombies, who are attempts with a  *)
(* later one behind them, go on sending.                                   *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS Executions, Attempts, Strangers, Tokens

\* The rules. All are TRUE in the protocol.
CONSTANTS
    ReplayNeedsContinuity, LaterWins, ParkChangesOwner, OwnReleaseRefuses, FirstClaimIsTimely,
    ParkIsOwned

VARIABLES
    row,      \* owner: <<execution, attempt>>, <<stranger, 0>> or Nobody
    state,    \* of each attempt and stranger
    sent,     \* the requests that are on their way
    current,  \* the attempt that the service runs for each execution, 0 before the first
    first,    \* the attempts that began before anything of their execution had worked
    since,    \* the token with which somebody else came last, for each execution
    broken,   \* the executions between whose attempts a stranger has worked
    begun,    \* the executions whose first attempt has worked
    tokens    \* the token that each attempt was given

vars == <<row, state, sent, current, first, since, broken, begun, tokens>>

Nobody == <<"nobody", 0>>
Actors == (Executions \X Attempts) \union (Strangers \X {0})
IsAttempt(a) == a[2] > 0
Request(kind, a, at) == [kind |-> kind, by |-> a, at |-> at]

\* Who may be at work under what the row says: not what is parked, and not the dead.
Works(a) == a \in Actors /\ state[a] = "working"

\* Anybody may take it: free, or silent and over.
IsFree == row.owner = Nobody \/ row.isOver

IsMine(a) ==
    /\ row.owner # Nobody /\ row.owner[1] = a[1]
    /\ LaterWins => \/ row.owner[2] < a[2]
                    \/ row.owner[2] = a[2] /\ (ParkChangesOwner => ~row.isParked)

WasMine(a) ==
    /\ row.owner = Nobody /\ row.last[1] = a[1]
    /\ OwnReleaseRefuses => row.last[2] < a[2]

\* The first attempt of an execution may take what anybody may, if nobody has come since it asked.
MayClaim(a, at) ==
    \/ IsMine(a)
    \/ a \notin first /\ ~ReplayNeedsContinuity /\ IsFree
    \/ a \notin first /\ WasMine(a)
    \/ /\ a \in first /\ IsFree
       /\ OwnReleaseRefuses => row.last # a
       /\ FirstClaimIsTimely => since[a[1]] <= at

MayTake(a, at) == IF IsAttempt(a) THEN MayClaim(a, at) ELSE IsFree

\* A stranger, or another execution, has it in between: what was begun is broken.
Breaks(a) == {e \in begun : e # a[1]}

\* A claim or an acquire arrives, perhaps late, and its reply perhaps not at all.
Take ==
    /\ \E r \in sent :
        /\ r.kind = "take" /\ MayTake(r.by, r.at)
        /\ LET token == row.token + 1 IN
           /\ token <= Tokens
           /\ since' = [e \in Executions |-> IF e = r.by[1] THEN since[e] ELSE token]
           /\ row' = [row EXCEPT !.owner = r.by, !.isParked = FALSE, !.isOver = FALSE, !.token = token]
           /\ \/ UNCHANGED <<state, broken, begun, tokens>>
              \/ /\ state[r.by] = "asking"
                 /\ state' = [state EXCEPT ![r.by] = "working"]
                 /\ tokens' = [tokens EXCEPT ![r.by] = token]
                 /\ broken' = broken \union Breaks(r.by)
                 /\ begun' = IF IsAttempt(r.by) THEN begun \union {r.by[1]} ELSE begun
    /\ UNCHANGED <<sent, current, first>>

\* Who was refused asks again; when is of interest for a first attempt only.
Ask(a) ==
    /\ state[a] = "asking" /\ a \in first
    /\ sent' = sent \union {Request("take", a, row.token)}
    /\ UNCHANGED <<row, state, current, first, since, broken, begun, tokens>>

\* The service runs the next attempt, after a wait or a death, or while the last one is a zombie.
Begin(e) ==
    /\ current[e] + 1 \in Attempts
    /\ IF current[e] = 0 THEN TRUE ELSE state[<<e, current[e]>>] # "asking"
    /\ LET a == <<e, current[e] + 1>> IN
        /\ current' = [current EXCEPT ![e] = @ + 1]
        /\ state' = [state EXCEPT ![a] = "asking"]
        /\ first' = IF e \in begun THEN first ELSE first \union {a}
        /\ sent' = sent \union {Request("take", a, IF a \in first' THEN row.token ELSE 0)}
    /\ UNCHANGED <<row, since, broken, begun, tokens>>

\* An attempt, or a stranger, stops to work; one that dies sends nothing.
Stop(a) ==
    /\ state[a] = "working"
    /\ \/ /\ state' = [state EXCEPT ![a] = "ended"]
          /\ sent' = sent \union {Request("release", a, 0)}
       \/ /\ IsAttempt(a)
          /\ state' = [state EXCEPT ![a] = "parked"]
          /\ sent' = sent \union {Request("park", a, 0)}
       \/ /\ state' = [state EXCEPT ![a] = "dead"]
          /\ UNCHANGED sent
    /\ UNCHANGED <<row, current, first, since, broken, begun, tokens>>

IsOwner(a) == row.owner = a /\ (ParkChangesOwner => ~row.isParked)

Give ==
    /\ \E r \in sent :
        \/ /\ r.kind = "release" /\ IsOwner(r.by)
           /\ row' = [row EXCEPT !.owner = Nobody, !.isParked = FALSE, !.isOver = FALSE,
                                 !.last = r.by]
        \/ /\ r.kind = "park" /\ (IF ParkIsOwned THEN IsOwner(r.by) ELSE row.owner # Nobody)
           /\ row' = [row EXCEPT !.owner = r.by, !.isParked = TRUE, !.isOver = FALSE]
    /\ UNCHANGED <<state, sent, current, first, since, broken, begun, tokens>>

\* Silence lasts for longer than the row says.
End ==
    /\ row.owner # Nobody /\ ~row.isOver /\ ~Works(row.owner)
    /\ \A a \in Actors : Works(a) => a[1] # row.owner[1]
    /\ row' = [row EXCEPT !.isOver = TRUE]
    /\ UNCHANGED <<state, sent, current, first, since, broken, begun, tokens>>

Init ==
    /\ row = [owner |-> Nobody, isParked |-> FALSE, isOver |-> FALSE, last |-> Nobody, token |-> 0]
    /\ state = [a \in Actors |-> IF IsAttempt(a) THEN "none" ELSE "asking"]
    /\ sent = {Request("take", a, 0) : a \in Strangers \X {0}}
    /\ current = [e \in Executions |-> 0]
    /\ since = [e \in Executions |-> 0]
    /\ first = {} /\ broken = {} /\ begun = {}
    /\ tokens = [a \in Actors |-> 0]

Next ==
    \/ Take \/ Give \/ End
    \/ \E e \in Executions : Begin(e)
    \/ \E a \in Actors : Stop(a) \/ Ask(a)
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* The promises

\* A zombie: a later attempt has taken its place.
IsReplaced(a) == IsAttempt(a) /\ \E b \in Actors : b[1] = a[1] /\ b[2] > a[2] /\ tokens[b] > 0

\* No two work together; a zombie, which nobody can stop at once, has the lower token.
OneAtATime ==
    \A a, b \in Actors :
        a # b /\ Works(a) /\ Works(b) =>
            \/ IsReplaced(a) /\ tokens[a] < tokens[b]
            \/ IsReplaced(b) /\ tokens[b] < tokens[a]

\* No attempt goes on once somebody else has worked since its execution began.
NothingBetween ==
    [][\A a \in Actors :
        state[a] # "working" /\ state'[a] = "working" => a[1] \notin broken]_vars

\* A later attempt has a higher token.
TokensRise ==
    \A a, b \in Actors :
        a[1] = b[1] /\ a[2] < b[2] /\ tokens[a] > 0 /\ tokens[b] > 0 => tokens[a] < tokens[b]

\* What an attempt that the service has replaced still sends changes no parked lease.
ParkedStays ==
    [][row.isParked /\ ~row.isOver =>
        \/ row' = row \/ row'.isOver
        \/ row'.owner[2] > row.owner[2] /\ row'.owner[1] = row.owner[1]]_vars

\* An execution's lease is not brought back by the attempt that has given it back.
NeverRevived ==
    [][\A a \in Actors :
        IsAttempt(a) /\ row.owner = Nobody /\ row.last = a => row'.owner # a]_vars
=============================================================================
