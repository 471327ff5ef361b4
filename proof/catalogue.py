"""The protocol's rules: one sentence each, how to take it away, and what shows that it is needed.

`make rules` takes each one out of the package, the model sets its constant to FALSE, the simulation
throws its switch. All three read their lists from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("layer/python/lambda_singleton")


class Removal(NamedTuple):
    """One way to take a rule away: edits of the package, and the test that fails without it."""

    test: str
    #: What the failure has to say: a test that fails for another reason shows nothing.
    fails: str
    #: Files of the package, each with the text that holds the rule and what is left without it.
    edits: tuple[tuple[str, str, str], ...]

    def remove_from(self, root: Path) -> None:
        """Take the rule out of the copy of the package in `root`."""
        for name, old, new in self.edits:
            path = root / PACKAGE / name
            text = path.read_text()
            if text.count(old) != 1:
                raise LookupError(f"{name} has {old!r} {text.count(old)} times, not once")
            path.write_text(text.replace(old, new))


class Constant(NamedTuple):
    """A rule's constant in a module of `model/`, and the property that is broken without it."""

    name: str
    breaks: str
    module: str = "Lease"


class Switch(NamedTuple):
    """A rule's function in `switches.py`, and what the judge says of a world without the rule.

    The world is `simulation.py`'s, or one of those in `deliveries.py`.
    """

    name: str
    shows: str
    world: str = "simulate"


class State(NamedTuple):
    """The state of the native state machine that has the rule, and the text that holds it."""

    name: str
    text: str


class Rule(NamedTuple):
    """A sentence of the protocol, and everything that shows it to be needed.

    Each removal is made by itself, and has to fail by itself.
    """

    sentence: str
    removals: tuple[Removal, ...]
    model: Constant | None = None
    simulation: Switch | None = None
    state_machine: State | None = None


def rule(
    sentence: str,
    *removals: Removal,
    model: Constant | None = None,
    simulation: Switch | None = None,
    state_machine: State | None = None,
) -> Rule:
    """Return a rule."""
    return Rule(sentence, removals, model, simulation, state_machine)


def removal(test: str, fails: str, *edits: tuple[str, str, str]) -> Removal:
    """Return a removal; `test` without its folder."""
    return Removal(f"tests/{test}", fails, edits)


PROTOCOL, TERM = "_protocol/operations.py", "_protocol/term.py"
PROGRESS, PARKING = "_protocol/progress.py", "_protocol/parking.py"


def halves(
    case: str,
    fails: str,
    *,
    expression: tuple[str, str],
    python: tuple[str, str],
    also: tuple[tuple[str, str, str], ...] = (),
    module: str = PROTOCOL,
) -> tuple[Removal, Removal]:
    """Return the removals from the expression that DynamoDB evaluates, and from its Python twin.

    `case` is a test of the store contract. Each half is missed by the store that relies on it.
    `also` are edits that the expression's removal needs.
    """
    contract = "stores/test_store_contract.py"
    return (
        removal(f"{contract}::TestEngine::{case}", fails, (module, *expression), *also),
        removal(f"{contract}::TestMemory::{case}", fails, (module, *python)),
    )


ATTEMPT, PARK = "_holding/attempt.py", "_decorator/parking.py"
BRANCHES, DURABLE = "_decorator/branches.py", "platform/test_durable_lease.py"
BORROWING, EXECUTION = "_protocol/borrowing.py", "_protocol/execution.py"
BORROWER = "_holding/borrower.py"


def loans(
    case: str,
    *,
    expression: tuple[str, str, str],
    python: tuple[str, str, str],
    fails: str = "applied is True",
    engine_fails: str = "",
) -> tuple[Removal, Removal]:
    """Return the same for a rule of loans, whose halves are in two files.

    `engine_fails` is for an expression that an engine then cannot evaluate.
    """
    contract = "stores/test_store_contract.py"
    return (
        removal(f"{contract}::TestEngine::{case}", engine_fails or fails, expression),
        removal(f"{contract}::TestMemory::{case}", fails, python),
    )


# Two operations end in the same lines, and are told apart by what they renew with.
RENEWS = "return Renew(self.name, self.owner, self.expires_at)\n"
SAVES = "return Checkpoint(self.name, self.owner, self.expires_at, self.progress)\n"
PLAIN_CONDITION = """
    @property
    def condition(self) -> str:
        return f"{self._plain.condition}"""
LOAN_CONDITION = f'{PLAIN_CONDITION} AND #attempt_until_ms <= :attempt_until"\n'
PLAIN_CONDITION += '"\n'
PLAIN_ALLOWS = """
    def allows(self, record: LeaseRecord | None) -> bool:
        return self._plain.allows(record)"""
LOAN_ALLOWS = f"{PLAIN_ALLOWS} and ends_by(record, self.attempt_until)\n"
PLAIN_ALLOWS += "\n"

WAITING, INVOCATION = "_protocol/waiting.py", "_invocation.py"
ORDER, AIM = "_decorator/order.py", "_holding/aim.py"
ORDERS, COALESCE = "_protocol/order.py", "_protocol/coalesce.py"
BESIDES = "_protocol/besides.py"
TENURE, ACQUIRE, RELEASE = "_holding/tenure.py", "_holding/acquire.py", "_holding/release.py"
CHECKPOINT = "_holding/checkpoint.py"
RENEWAL, WATCH = "_holding/renewal.py", "_holding/watch.py"
HOLD, INTERRUPT = "_holding/hold.py", "_holding/interrupt.py"
CHECKPOINT = "_holding/checkpoint.py"
STEPS, LOCK = "_holding/steps.py", "_lock.py"
CUTS, UNDISTURBED = "proving/test_cuts.py", "test_an_undisturbed_run_leaves_nothing_behind"
OBSERVER, LOGS, METRICS = "_events/observers.py", "_events/logs.py", "_events/metrics.py"
DYNAMODB = "_stores/dynamodb.py"
BACKOFF, FENCING, NAME = "_backoff.py", "_fencing/fenced.py", "_name.py"

# Where a reply that shows somebody else's row would hide that it was changed.
REPLY_UNCHECKED = (
    (DYNAMODB, "if not row or not self._rows.is_result(operation, row):", "if not row:"),
)

RULES = (
    # Taking a lease.
    rule(
        "A dead holder's lease is taken only after its end and the clock skew.",
        *halves(
            "test_a_held_lease_is_refused_within_the_clock_skew",
            "applied is True",
            expression=('":dead": self.now - self.clock_skew', '":dead": self.now'),
            python=("expires_at <= self.now - self.clock_skew", "expires_at <= self.now"),
        ),
        model=Constant("KeepsSkewMargin", breaks="MutualExclusion"),
        simulation=Switch("acquire_without_skew", shows="two handlers"),
        state_machine=State("TakeLease", "OR #expires_at_ms <= :dead"),
    ),
    rule(
        "It is taken then, by a caller that has seen nothing before.",
        *halves(
            "test_a_dead_holders_lease_is_taken_over_after_its_end_and_the_clock_skew",
            "applied is False",
            expression=('":dead": self.now - self.clock_skew', '":dead": 0'),
            python=("expires_at <= self.now - self.clock_skew", "expires_at <= 0"),
        ),
        model=Constant("TakesOverTheDead", breaks="NeverStuck"),
        simulation=Switch("acquire_waits_for_a_release", shows="still blocked"),
    ),
    rule(
        "A minimum hold outlasts the release.",
        *halves(
            "test_a_minimum_hold_outlasts_the_release",
            "applied is True",
            expression=(" OR #expires_at_ms <= :now))", " OR attribute_exists(#expires_at_ms)))"),
            python=("(record.owner is None and expires_at <= self.now)", "record.owner is None"),
        ),
        state_machine=State(
            "TakeLease", "attribute_not_exists(#expires_at_ms) OR #expires_at_ms <= :now"
        ),
    ),
    rule(
        "Who asks again after a lost reply is recognised as the owner.",
        *halves(
            "test_an_owner_that_asks_again_is_recognised",
            "applied is False",
            expression=("(#owner = :owner AND #expires_at_ms <= :expires_at)", "#owner = :now"),
            python=("(record.owner == self.owner and expires_at <= self.expires_at)", "False"),
        ),
        model=Constant("RecognisesItself", breaks="NeverStuck"),
    ),
    rule(
        "An acquire that is applied late never brings its own lease's end down.",
        *halves(
            "test_a_late_acquire_does_not_shorten_its_own_renewed_lease",
            "applied is True",
            expression=("(#owner = :owner AND #expires_at_ms <= :expires_at)", "#owner = :owner"),
            python=(
                "(record.owner == self.owner and expires_at <= self.expires_at)",
                "record.owner == self.owner",
            ),
        ),
        model=Constant("AcquireNeverLowers", breaks="MutualExclusion"),
        simulation=Switch("acquire_may_lower", shows="two handlers"),
        state_machine=State("TakeLease", "(#owner = :owner AND #expires_at_ms <= :expires_at)"),
    ),
    rule(
        "A waiter takes over only from exactly the owner and expiry that it has watched.",
        *halves(
            "test_a_holder_that_renewed_since_it_was_seen_is_not_taken_over",
            "applied is True",
            expression=(
                "(#owner = :seen_owner AND #expires_at_ms = :seen_expires_at)",
                "(#owner = :seen_owner AND #expires_at_ms >= :seen_expires_at)",
            ),
            python=("and record.expires_at == self.seen.expires_at", "and True"),
        ),
        *halves(
            "test_another_owner_with_the_expiry_that_was_seen_is_not_taken_over",
            "applied is True",
            expression=(
                "(#owner = :seen_owner AND #expires_at_ms = :seen_expires_at)",
                "(#owner <> :seen_owner AND #expires_at_ms = :seen_expires_at)",
            ),
            python=("and record.owner == self.seen.owner", "and True"),
        ),
    ),
    rule(
        "It has to have watched them for a whole lease, and the skew.",
        removal(
            "proving/test_simulation.py::test_nothing_forbidden_happens_in_some_worlds",
            "two handlers of x at the same time",
            (
                WAITING,
                "(record.duration or 0.0) + self._clock_skew",
                "(record.duration or 0.0) * 0.6",
            ),
        ),
        model=Constant("WatchesWholeLease", breaks="MutualExclusion"),
        simulation=Switch("half_an_observation", shows="two handlers"),
    ),
    rule(
        "Seeing another owner or expiry starts the watch anew.",
        removal(
            "core/test_acquire.py::TestWaiting::test_a_holder_that_renews_is_alive_however_wrong_its_clock",
            "DID NOT RAISE LeaseHeldError",
            (
                WAITING,
                "if _sign_of_life(record) != _sign_of_life(previous) or record is None:",
                "if previous is None or record is None:",
            ),
        ),
    ),
    rule(
        "The watch helps where a dead holder's clock was ahead.",
        removal(
            "core/test_acquire.py::TestWaiting::test_needs_no_trust_in_the_holders_clock",
            "LeaseHeldError: lease 'x' is held until",
            (
                ACQUIRE,
                "tenure.acquire_at(sent, waiting.silent_holder, waiting.ticket)",
                "tenure.acquire_at(sent, None, waiting.ticket)",
            ),
        ),
    ),
    rule(
        "The owner's id is made inside the invocation.",
        removal(
            "stores/test_snapshot.py::test_no_id_and_no_jitter_repeats",
            "assert 1 == 20 + where 1 = len({'",
            (TENURE, "self.owner: str = os.urandom(16).hex()", "self.owner = OWNER"),
            (TENURE, "State = Literal[", "OWNER = os.urandom(16).hex()\nState = Literal["),
        ),
        model=Constant("OwnerIsFresh", breaks="MutualExclusion"),
    ),
    rule(
        "So is every jitter.",
        removal(
            "stores/test_snapshot.py::test_no_id_and_no_jitter_repeats",
            "assert 1 == 20 + where 1 = len({0.",
            (BACKOFF, "int.from_bytes(os.urandom(7)) / 2**56", "DICE.random()"),
            (BACKOFF, "import os\n", "import random\nDICE = random.Random()\n"),
        ),
    ),
    rule(
        "A lease whose reply came after its end is not started.",
        removal(
            "core/test_acquire.py::TestAStoreThatFails::test_a_reply_after_the_leases_end_grants_nothing",
            "DID NOT RAISE LeaseStoreError",
            (
                ACQUIRE,
                "        tenure.check()\n    except LeaseError as error:",
                "    except LeaseError as error:",
            ),
        ),
    ),
    rule(
        "No handler is started in the last moment of its invocation.",
        removal(
            "core/test_acquire.py::TestClocksAndDeadlines::test_no_time_left_costs_no_request",
            "nothing to prepare for",
            (ACQUIRE, "if left < LEAST_TIME:", "if left < -LEAST_TIME:"),
        ),
    ),
    rule(
        "A wait ends before the deadline.",
        removal(
            "core/test_acquire.py::TestWaiting::test_never_goes_into_the_deadline",
            "LeaseDeadlineError: only 0.000 s of the invocation are left",
            (ACQUIRE, "min(wait, term.time_left(clock.time()) - TIME_TO_REPORT)", "wait"),
        ),
    ),
    rule(
        "A caller whose clock is provably off gives the lease back.",
        removal(
            "core/test_acquire.py::TestClocksAndDeadlines::test_a_wrong_clock_is_refused_and_the_lease_given_back",
            "DID NOT RAISE LeaseConfigError",
            (ACQUIRE, "        tenure.refuse_wrong_clock(answer.reply, answer.sent)\n", ""),
        ),
    ),
    # Tokens.
    rule(
        "The token rises with every acquisition.",
        *halves(
            "test_a_released_lease_is_taken_at_once_with_a_higher_token",
            "the reply has",
            expression=(
                "if_not_exists(#token, :now) + :one, #owner",
                "if_not_exists(#token, :next), #owner",
            ),
            python=("else record.token) + 1", "else record.token - 1) + 1"),
            also=(
                (
                    PROTOCOL,
                    '":duration": self.duration,',
                    '":duration": self.duration, ":next": self.now + 1,',
                ),
            ),
        ),
        state_machine=State("TakeLease", "#token = if_not_exists(#token, :now) + :one"),
    ),
    rule(
        "A release keeps the token.",
        *halves(
            "test_the_owner_releases_and_the_token_stays",
            "the row is",
            expression=(
                'return f"{left} REMOVE #owner, #expires_at_ms{progress}"',
                'return f"{left} REMOVE #owner, #expires_at_ms{progress}, #token"',
            ),
            python=(
                "last_run=self.last_run,\n            done=",
                "last_run=self.last_run,\n            token=0,\n            done=",
            ),
        ),
        model=Constant("KeepsToken", breaks="TokensRise"),
        simulation=Switch("token_from_the_clock", shows="the token of x fell"),
        state_machine=State("ReturnLease", "REMOVE #owner, #expires_at_ms"),
    ),
    rule(
        "After the row was deleted, tokens go on from the clock.",
        *halves(
            "test_an_unknown_lease_is_taken",
            "the reply has",
            expression=(
                "SET #token = if_not_exists(#token, :now) + :one, #owner",
                "SET #token = if_not_exists(#token, :one) + :one, #owner",
            ),
            python=("(self.now if record is None", "(1 if record is None"),
        ),
        model=Constant("SeedsTokenFromClock", breaks="TokensRise"),
        simulation=Switch("token_not_from_the_clock", shows="the token of x fell"),
    ),
    rule(
        "A forced release raises the token.",
        *halves(
            "test_a_forced_release_frees_the_lease_and_raises_its_token",
            "the reply has",
            expression=(
                "(#token, :now) + :one, #expiration",
                "(#token, :now) + :one - :one, #expiration",
            ),
            python=("token=record.token + 1, owner", "token=record.token, owner"),
        ),
    ),
    rule(
        "A person frees the holder that was shown, and nobody who came since.",
        *halves(
            "test_a_forced_release_frees_nobody_who_came_after_the_holder_that_was_shown",
            "applied",
            expression=(
                'return f"attribute_exists(#id) AND {shown} AND {owner}"',
                "return f\"attribute_exists(#id) AND ({shown} OR {shown.replace('=', '<>')})"
                ' AND ({owner} OR attribute_exists(#owner))"',
            ),
            python=(
                "return (record.token, record.owner) == (self.seen.token, self.seen.owner)",
                "return True",
            ),
            also=(
                (
                    PROTOCOL,
                    'else "#owner = :seen_owner"',
                    'else "(#owner = :seen_owner OR #owner <> :seen_owner)"',
                ),
            ),
        ),
    ),
    rule(
        "A fence cannot be left by parentheses that do not match.",
        removal(
            "core/test_fencing.py::test_a_condition_that_is_none_is_refused",
            "DID NOT RAISE",
            (
                "_fencing/expression.py",
                'raise UnreadableError("its parentheses do not match")',
                "return False",
            ),
        ),
    ),
    rule(
        "One number is one key, however it was written.",
        removal(
            "core/test_fuzz.py::TestKeys::test_one_number_is_one_key_however_it_is_written",
            "sync#1.0",
            (NAME, "value = int(value)", "value = float(value)"),
        ),
    ),
    rule(
        "The row of another lease is nobody's answer.",
        removal(
            "stores/test_replies.py::test_the_row_of_another_lease_is_nobodys_answer",
            "LeaseStoreError",
            (DYNAMODB, "record.name != operation.name", "record.name == ''"),
        ),
    ),
    rule(
        "Whatever cannot be read in a reply is a LeaseStoreError.",
        removal(
            "stores/test_replies.py::test_every_member_of_another_kind",
            "Error",
            (
                "_stores/refusals.py",
                """    except Exception as error:
        raise unusable(error, table) from without_secrets(error)
""",
                """    except MemoryError as error:
        raise unusable(error, table) from without_secrets(error)
""",
            ),
        ),
    ),
    rule(
        "A time that nobody can write is no time.",
        removal(
            "command_line/test_cli.py::TestList::test_a_time_that_cannot_be_written_is_none",
            "is None",
            (
                "_clock.py",
                "return seconds if 0 <= seconds <= LATEST + 0.999 else None",
                "return seconds",
            ),
        ),
    ),
    rule(
        "Every sign that people read of somebody else's text can be seen.",
        removal(
            "core/test_text.py::test_every_sign_that_cannot_be_seen_is_an_escape",
            "assert",
            ("_text.py", "and sign not in _BLANK and category(sign) not in _MARKS", ""),
        ),
    ),
    rule(
        "A guarded resource refuses a token that is lower than one it has seen.",
        removal(
            "core/test_fencing.py::test_a_newer_token_writes_and_an_older_one_is_refused",
            "DID NOT RAISE",
            (
                FENCING,
                "OR #lease_fence <= :lease_fence",
                "OR #lease_fence <= :lease_fence OR #lease_fence > :lease_fence",
            ),
        ),
    ),
    # Never somebody else's.
    rule(
        "Only the owner renews.",
        *halves(
            "test_nobody_else_renews",
            "applied is True",
            expression=(
                '"#owner = :owner AND #expires_at_ms <= :expires_at"',
                '"#expires_at_ms <= :expires_at"',
            ),
            python=(
                "and record.owner == self.owner\n            and record.expires_at is not None",
                "and record.expires_at is not None",
            ),
            also=REPLY_UNCHECKED,
        ),
        model=Constant("RenewChecksOwner", breaks="OnlyMine"),
        simulation=Switch("renew_without_owner", shows=""),
    ),
    rule(
        "A renewal never brings the end down.",
        *halves(
            "test_a_late_renewal_does_not_undo_a_later_one",
            "applied is True",
            expression=('"#owner = :owner AND #expires_at_ms <= :expires_at"', '"#owner = :owner"'),
            python=("and milliseconds(record.expires_at) <= self.expires_at", "and True"),
        ),
        model=Constant("RenewNeverLowers", breaks="MutualExclusion"),
        simulation=Switch("renew_may_lower", shows="two handlers"),
    ),
    rule(
        "Only the owner releases.",
        *halves(
            "test_nobody_else_releases",
            "applied is True",
            expression=('return "#owner = :owner"\n', 'return "attribute_exists(#id)"\n'),
            python=(
                "return record is not None and record.owner == self.owner\n",
                "return record is not None\n",
            ),
        ),
        model=Constant("ReleaseChecksOwner", breaks="MutualExclusion"),
        simulation=Switch("release_without_owner", shows="two handlers"),
        state_machine=State("ReturnLease", "#owner = :owner"),
    ),
    rule(
        "A lease that was released is held no more.",
        removal(
            "core/test_lease.py::TestRelease::test_ends_the_lease_for_its_holder",
            "assert 30.0 == 0",
            (TENURE, 'self._become("releasing", before=("taking", "held"))', "pass"),
        ),
        model=Constant("StopsBeforeRelease", breaks="MutualExclusion"),
    ),
    rule(
        "A ticket is given only while somebody holds the lease.",
        *halves(
            "test_no_ticket_is_given_for_a_free_lease",
            "applied is True",
            expression=('return "attribute_exists(#owner)"', 'return "attribute_exists(#id)"'),
            python=(
                "return record is not None and record.owner is not None",
                "return record is not None",
            ),
            also=REPLY_UNCHECKED,
        ),
    ),
    rule(
        "A release that failed after one whose reply was lost is a release.",
        removal(
            "core/test_lease.py::TestRelease::test_whose_reply_is_lost_is_a_release",
            "assert not True + where True = <Lease",
            (
                RELEASE,
                "return answer.reply.applied or tenure.is_perhaps_released or by_me",
                "return answer.reply.applied",
            ),
        ),
    ),
    rule(
        "A refused renewal is a lost lease, also when no row comes back.",
        removal(
            "core/test_lease.py::test_a_refused_renewal_without_a_row_is_a_lost_lease",
            "DID NOT RAISE LeaseLostError",
            (
                TENURE,
                "reply.record is not None and reply.record.owner == self.owner:",
                "(reply.record is None or reply.record.owner == self.owner):",
            ),
        ),
    ),
    # The holder's clocks.
    rule(
        "A holder counts from before its request.",
        removal(
            "core/test_lease.py::test_a_holder_counts_from_before_its_request",
            "assert 30.0 == 22",
            (
                TENURE,
                "Instant(end, sent.monotonic + (end - sent.wall))",
                "Instant(end + 9, self.store.clock.monotonic() + (end - sent.wall))",
            ),
        ),
        model=Constant("CountsFromBeforeSending", breaks="MutualExclusion"),
        simulation=Switch("count_from_the_reply", shows="two handlers"),
    ),
    rule(
        "It believes its wall clock if that is the more pessimistic one.",
        removal(
            "core/test_lease.py::test_a_holder_believes_the_more_pessimistic_clock",
            "assert 30.0 == 18",
            (
                TENURE,
                "min(self._ends.monotonic - clock.monotonic(), self._ends.wall - clock.time())",
                "self._ends.monotonic - clock.monotonic()",
            ),
        ),
    ),
    rule(
        "It believes its monotonic clock if that is.",
        removal(
            "core/test_lease.py::test_a_holder_believes_the_more_pessimistic_clock",
            "assert 3630.0 == 30",
            (
                TENURE,
                "min(self._ends.monotonic - clock.monotonic(), self._ends.wall - clock.time())",
                "self._ends.wall - clock.time()",
            ),
        ),
    ),
    rule(
        "A clock that goes wrong meanwhile ends the lease.",
        removal(
            "core/test_lease.py::test_a_clock_that_goes_wrong_meanwhile_ends_the_lease",
            "DID NOT RAISE LeaseLostError",
            (TENURE, "if offset > self.store.clock_skew:", "if offset > 1e9:"),
        ),
    ),
    rule(
        "In a child of fork() nothing is held.",
        removal(
            "process/test_forks.py::TestTheChildOfAHolder::test_holds_nothing_and_gives_nothing_back",
            "{'sent': ['Renew', 'Release']} != {'sent': []}",
            (TENURE, "return os.getpid() == self._pid", "return True"),
        ),
    ),
    # The deadline.
    rule(
        "A lease never outlives its invocation, the grace for a late kill included.",
        removal(
            (
                "core/test_singleton.py::TestTheLease::test_ends_with_the_invocation_if_the_duration_"
                "is_longer"
            ),
            "assert 1800000300000 == 1800000062000",
            (
                TERM,
                "milliseconds(min(now + (self.duration or inf), self._latest))",
                "milliseconds(min(now + (self.duration or 900), self._latest + 900))",
            ),
        ),
        simulation=Switch("a_lease_beyond_the_deadline", shows="still blocked"),
    ),
    rule(
        "It lasts until the platform has killed at the latest.",
        removal(
            (
                "core/test_singleton.py::TestTheLease::test_ends_with_the_invocation_if_the_duration_"
                "is_longer"
            ),
            "assert 1800000060000 == 1800000062000",
            (
                TERM,
                "return inf if self.deadline is None else self.deadline + self.kill_grace",
                "return inf if self.deadline is None else self.deadline",
            ),
        ),
        simulation=Switch("no_grace_for_the_kill", shows=""),
    ),
    rule(
        "No time left is not the same as no deadline.",
        removal(
            "core/test_acquire.py::TestClocksAndDeadlines::test_no_time_left_costs_no_request",
            "nothing to prepare for",
            (
                INVOCATION,
                "return clock.time() + max(0, remaining) / 1000",
                "return clock.time() + remaining / 1000 if remaining > 0 else None",
            ),
        ),
    ),
    rule(
        "A remaining time that makes no sense is no deadline to rely on.",
        removal(
            "core/test_singleton.py::TestTheLease::test_falls_back_to_the_duration_if_the_context_makes_no_sense",
            "DID NOT RAISE LeaseConfigError",
            (INVOCATION, "if not remaining <= LONGEST * 1000:", "if remaining != remaining:"),
        ),
    ),
    rule(
        "Where the platform does not kill at the deadline, the handler is interrupted.",
        removal(
            "core/test_renewal.py::TestManagedInstances::test_are_known_by_how_they_initialise",
            "assert False is True + where False = Term(",
            (
                INVOCATION,
                "stop = deadline is not None and not platform_kills_at_deadline()",
                "stop = False",
            ),
        ),
    ),
    # Renewal.
    rule(
        "A lease is renewed at a third of it.",
        removal(
            "core/test_renewal.py::test_a_lease_is_renewed_at_a_third_of_it",
            "Right contains one more item: 'Renew'",
            (RENEWAL, "else duration / 3", "else duration / 1.5"),
        ),
    ),
    rule(
        "A renewal that failed is tried again.",
        removal(
            "core/test_renewal.py::test_a_failed_renewal_is_tried_again_until_the_leases_end",
            "assert 1 >= 5",
            (
                RENEWAL,
                "self._due = self._clock.monotonic() + self._backoff.delay()",
                "self._due = inf",
            ),
        ),
    ),
    rule(
        "A process that was frozen past its lease's end sends nothing when it wakes up.",
        removal(
            "core/test_renewal.py::test_a_frozen_process_sends_nothing_when_it_wakes_up",
            "assert 0.0 == inf",
            (
                TENURE,
                "return self.remaining > 0",
                'return self._state == "held" and self.is_here',
            ),
            (RENEWAL, "left = tenure.remaining - self._margin", "left = inf"),
        ),
    ),
    rule(
        "No request is sent that could hang beyond the lease's end.",
        removal(
            "core/test_renewal.py::test_no_request_is_sent_that_might_hang_beyond_the_end",
            "+ 2.5) <= 29",
            (RENEWAL, "or stop_in < self._tenure.timeout", "or stop_in < 0"),
        ),
    ),
    rule(
        "Once the lease reaches the deadline there is nothing to renew.",
        removal(
            "core/test_renewal.py::test_renewals_end_when_the_lease_reaches_the_deadline",
            "== inf",
            (TENURE, "return self.term.is_over_at(self._ends.wall)", "return False"),
        ),
    ),
    rule(
        "The renewing thread ends with the handler.",
        removal(
            "core/test_singleton.py::TestTheLease::test_is_renewed_by_threads_that_end_with_the_handler",
            "assert 2 == 1 + where 2 = <function active_count",
            (WATCH, "            self._thread.join()\n", "            pass\n"),
            (WATCH, "        self._stopping = True\n        self._poke()\n", ""),
        ),
    ),
    rule(
        "One request takes a quarter of the lease at most.",
        removal(
            "stores/test_dynamodb.py::TestRequests::test_a_short_lease_gets_short_timeouts",
            "assert 2.5 <= (3 / 4)",
            (TERM, "(self.duration or inf) / 4", "(self.duration or inf)"),
        ),
    ),
    # Losing it.
    rule(
        "A handler is interrupted before others may start.",
        removal(
            (
                "stores/test_dynamodb.py::TestSilence::test_a_handler_is_stopped_before_its_lease_end"
                "s"
            ),
            "assert -0.",
            (RENEWAL, "else min(1.0, duration / 10)", "else -0.1"),
        ),
        simulation=Switch("ask_without_looking_at_the_clock", shows="was not told"),
    ),
    rule(
        "Whoever swallows an interrupt is interrupted again.",
        removal(
            "core/test_interrupt.py::test_a_handler_that_swallows_an_interrupt_is_interrupted_again",
            "Timeout (>20.0s)",
            (WATCH, "now + TIME_TO_CLEAN_UP", "now + 999"),
        ),
    ),
    rule(
        "An interrupt is never raised in the package's own code.",
        removal(
            "core/test_interrupt.py::test_an_interrupt_is_never_raised_in_the_packages_own_code",
            "LeaseInterrupt: the lease is lost",
            (
                INTERRUPT,
                "if not _is_ours(frame) and not _swallows(frame):",
                "if not _swallows(frame):",
            ),
        ),
        removal(
            "core/test_interrupt.py::test_an_interrupt_of_a_thread_is_never_raised_in_the_packages_own_code",
            "assert [True] == [False]",
            (
                INTERRUPT,
                "if self._is_armed and not _is_ours(sys._current_frames().get(self._thread)):",
                "if self._is_armed:",
            ),
        ),
    ),
    rule(
        "A handler that returns although its lease was lost is no success.",
        removal(
            "core/test_interrupt.py::TestReport::test_the_handler_runs_on_and_can_look",
            "DID NOT RAISE LeaseLostError",
            (HOLD, "            raise self.tenure.lost_error() from error\n", "            pass\n"),
        ),
    ),
    # The handler's outcome, and failing closed.
    rule(
        "The lease is released on every way out.",
        removal(
            "core/test_singleton.py::TestTheHandler::test_releases_on_every_way_out",
            "LeaseHeldError: lease 'x' is held until",
            (
                HOLD,
                "            _finish(self.tenure, self._watch, self._outcome(error))\n",
                "            error or _finish(self.tenure, self._watch, self._outcome(error))\n",
            ),
        ),
    ),
    rule(
        "A release that fails does not replace the handler's exception.",
        removal(
            (
                "core/test_singleton.py::TestTheHandler::test_keeps_its_exception_when_the_release_fa"
                "ils_too"
            ),
            "LeaseStoreError: gone",
            (
                HOLD,
                "except LeaseError:\n            # It was",
                "except OSError:\n            # It was",
            ),
            (
                HOLD,
                "except Exception:\n            abandon",
                "except OSError:\n            abandon",
            ),
        ),
    ),
    rule(
        "Code that holds a lease and takes it again is told so, and does not wait for itself.",
        removal(
            "process/test_reentry.py::test_a_handler_that_calls_itself",
            "DID NOT RAISE LeaseConfigError",
            (HOLD, "if is_same and hold.is_of_this_code and hold.tenure.is_held:", "if False:"),
        ),
    ),
    # Cut everywhere.
    rule(
        "What cuts a block's end off leaves nothing open, watched or taken.",
        removal(
            f"{CUTS}::test_a_cut_leaves_nothing_behind[lock-KeyboardInterrupt]",
            "is taken, and nobody holds it",
            (HOLD, "        if not self.is_open:\n            return\n", "        return\n"),
        ),
    ),
    rule(
        "What cuts an acquisition by hand off leaves nothing taken.",
        removal(
            f"{CUTS}::test_a_cut_leaves_nothing_behind[by_hand-SystemExit]",
            "is taken, and nobody holds it",
            (RELEASE, "if tenure.may_be_in_row and tenure.is_here:", "if False:"),
        ),
    ),
    rule(
        "An interrupt in a running event loop stops the loop, and not one of its tasks.",
        removal(
            f"{CUTS}::{UNDISTURBED}[stolen_from_inner_gather]",
            "past its lease's end",
            (INTERRUPT, "LoopInterrupt if stops_loop else LeaseInterrupt", "LeaseInterrupt"),
        ),
    ),
    rule(
        "In a coroutine a lease is held by `async with`.",
        removal(
            f"{CUTS}::{UNDISTURBED}[sync_in_coroutine]",
            "VIOLATION --scenario sync_in_coroutine",
            (
                LOCK,
                "        if current_task() is not None:\n            raise",
                "        if 0:\n            raise",
            ),
        ),
    ),
    rule(
        "A lease whose loop was closed is given back.",
        removal(
            f"{CUTS}::{UNDISTURBED}[dropped]",
            "lease 'a' is taken, and nobody holds it",
            (WATCH, "if self._interruption.is_over():", "if False:"),
            (
                HOLD,
                "in_background(clean_up, self.tenure.name, failed=lambda error: clean_up())",
                "pass",
            ),
            (HOLD, "in_background(finish, self.tenure.name)", "pass"),
        ),
    ),
    rule(
        "Neither an acquire nor a release needs the user's executor.",
        removal(
            f"{CUTS}::{UNDISTURBED}[full_executor]",
            "it waited for the user's executor",
            (
                STEPS,
                "self.thread = in_background(self._run, name, failed=failed)",
                "self._loop.run_in_executor(None, self._run)",
            ),
        ),
    ),
    rule(
        "An inner block passes on the interrupt of an outer one.",
        removal(
            f"{CUTS}::{UNDISTURBED}[outer_lost]",
            "the inner block raised",
            (HOLD, 'return error.owner in ("", self.tenure.owner)', "return True"),
        ),
    ),
    rule(
        "Without an answer from the store the handler does not run.",
        removal(
            "core/test_acquire.py::TestAStoreThatFails::test_keeps_the_handler_from_running",
            "must not run",
            (
                ACQUIRE,
                "            answer = yield from _try(tenure, waiting)\n",
                (
                    "            try:\n"
                    "                answer = yield from _try(tenure, waiting)\n"
                    "            except LeaseStoreError:\n"
                    "                tenure.extend(Instant.now(clock), term.expiry(clock.time()))\n"
                    '                tenure._become("held", before=("taking",))\n'
                    "                return 0.0\n"
                ),
            ),
        ),
    ),
    rule(
        "A reply that breaks off is no answer.",
        removal(
            "stores/test_replies.py::test_cut_at_every_byte",
            "isinstance(Reply(applied=True, record=None",
            (DYNAMODB, "if not row or not self._rows.is_result(operation, row):", "if False:"),
        ),
    ),
    rule(
        "The TTL is in seconds, and days away.",
        removal(
            "stores/test_dynamodb.py::TestRequests::test_the_ttl_is_in_seconds_and_days_away",
            "Expected: 604830",
            (
                DYNAMODB,
                "operation.in_use_until // 1000 + self._retention",
                "operation.in_use_until + self._retention",
            ),
        ),
        model=Constant("RetainsRow", breaks="TokensRise"),
    ),
    # Names.
    rule(
        "A key cannot reach another lease.",
        removal(
            "core/test_singleton.py::TestBadArguments::test_name",
            "DID NOT RAISE LeaseConfigError",
            (NAME, 'if "#" in base:', 'if "#" in base[:0]:'),
        ),
    ),
    rule(
        "An event without the key never gets a shared lease.",
        removal(
            "core/test_singleton.py::TestKeys::test_a_missing_one_is_never_a_shared_lease",
            "DID NOT RAISE LeaseConfigError",
            (
                NAME,
                "if isinstance(value, str) and value.strip():",
                "if value is None:\n        return ''\n    if isinstance(value, str):",
            ),
        ),
    ),
    # Telling of it.
    rule(
        "What an observer raises goes nowhere.",
        removal(
            (
                "core/test_observer.py::TestObservers::test_what_one_raises_is_logged_and_goes_nowher"
                "e"
            ),
            "ZeroDivisionError: acquired",
            (
                OBSERVER,
                "except Exception:\n            logger()",
                "except OSError:\n            logger()",
            ),
        ),
    ),
    rule(
        "Contention never warns.",
        removal(
            "core/test_observer.py::TestLogs::test_contention_never_warns",
            "assert {20, 30} <= {10, 20}",
            (LOGS, '"skipped": INFO', '"skipped": WARNING'),
        ),
    ),
    rule(
        "A loss is told, and once.",
        removal(
            "core/test_observer.py::TestEvents::test_of_a_loss_once",
            "first extra item: 'lost'",
            (TENURE, "reason = None if self._loss_is_told else self.loss", "reason = self.loss"),
        ),
    ),
    rule(
        "A holder that died is named by who takes over from it, and a lost reply names nobody.",
        removal(
            "core/test_observer.py::TestEvents::test_a_lost_reply_makes_nobody_dead",
            ".taken_from",
            (
                TENURE,
                "None if record.taken_from == record.owner else record.taken_from",
                "record.taken_from",
            ),
        ),
    ),
    rule(
        "Metrics have the lease's name as a dimension, and never the key.",
        removal(
            (
                "core/test_observer.py::TestMetrics::test_there_are_some_in_lambda_and_for_a_namespac"
                "e"
            ),
            "me #key'",
            (METRICS, 'event.lease.partition("#")[0]', "event.lease"),
        ),
    ),
    rule(
        "A period of skips only has no run.",
        removal(
            "platform/test_telemetry.py::test_a_skip",
            "assert [1.0, 1.0] == [0, 1]",
            (METRICS, 'yield "Acquired", "Count", 0', 'yield "Acquired", "Count", 1'),
        ),
    ),
    # What is done is done.
    rule(
        "An order that has succeeded is not taken again.",
        *halves(
            "test_an_order_that_is_done_is_refused",
            "applied is True",
            expression=(
                '"(attribute_not_exists(#done) OR #done < :order)"',
                '"(attribute_not_exists(#done) OR #done <= :order)"',
            ),
            python=(
                "(record.done is None or is_lower(record.done, order))",
                "(record.done is None or record.done == order)",
            ),
            module=ORDERS,
        ),
        model=Constant("DoneRefuses", breaks="DoneOnce", module="Order"),
        simulation=Switch("order_without_done", shows="has succeeded", world="slots"),
    ),
    rule(
        "Nor is one that comes before an order that has begun.",
        *halves(
            "test_an_order_before_one_that_has_begun_is_refused",
            "applied is True",
            expression=(
                '" AND (attribute_not_exists(#begun) OR #begun <= :order)"',
                '""',
            ),
            python=("record.begun is None or not is_lower(order, record.begun)", "True"),
            module=ORDERS,
        ),
        model=Constant("BegunRefuses", breaks="NeverOlder", module="Order"),
        simulation=Switch("order_without_begun", shows="after a newer one", world="versions"),
    ),
    rule(
        "Only success is recorded.",
        removal(
            "core/test_order.py::TestOnce::test_what_failed_is_left_to_the_next_delivery",
            "'status': 'skipped'",
            (TENURE, "done=aim.order if has_succeeded else None", "done=aim.order"),
        ),
        model=Constant("RecordsSuccessOnly", breaks="DoneIsDone", module="Order"),
        simulation=Switch("failure_is_recorded", shows="was taken for done", world="slots"),
    ),
    rule(
        "A batch of which a part is to come again is no success.",
        removal(
            "core/test_order.py::TestOnce::test_a_batch_that_is_partly_done_is_no_success",
            "== {'batchItemFailures': []}",
            (AIM, "return bool(items)", "return False"),
        ),
    ),
    rule(
        "An order that fails does not rest.",
        removal(
            "core/test_order.py::TestOrder::test_rests_only_after_a_success",
            "rests until",
            (
                TENURE,
                "rests = has_succeeded or not (aim.order is not None or self.is_unfinished)",
                "rests = True",
            ),
        ),
    ),
    rule(
        "What is done is told from any row that is seen.",
        removal(
            "core/test_order.py::TestOnce::test_a_waiter_is_told_while_somebody_else_has_it",
            "LeaseHeldError",
            (
                ACQUIRE,
                "tenure.aim.refuse(tenure.name, waiting.record, waiting.first)",
                'action != "try" or tenure.aim.refuse(tenure.name, waiting.record, waiting.first)',
            ),
        ),
    ),
    rule(
        "A number and a time are never compared.",
        removal(
            "core/test_order.py::TestOrder::test_a_number_and_a_time_are_not_compared",
            "DID NOT RAISE LeaseConfigError",
            (AIM, "if not is_comparable(known, self.order):", "if False:"),
        ),
    ),
    rule(
        "Times are compared in one form.",
        removal(
            "core/test_order.py::TestOrder::test_times_are_compared_as_moments",
            "half a second later",
            (ORDER, ".ljust(9, '0')", ""),
        ),
    ),
    rule(
        "A success that is perhaps not recorded is told.",
        removal(
            "core/test_order.py::TestOnce::test_a_success_that_was_not_recorded_is_told",
            "assert []",
            (
                RELEASE,
                "tenure.aim.is_done_in(answer.reply.record, tenure.token)",
                "True",
            ),
        ),
    ),
    # Sharing a run.
    rule(
        "A waiter shares no run that was there as it came.",
        *halves(
            "test_a_waiter_does_not_share_the_run_that_it_has_seen",
            "applied is False",
            expression=("#succeeded <= :since", "#succeeded < :since"),
            python=("success.token > self.since", "success.token >= self.since"),
            module=COALESCE,
        ),
        model=Constant("StrictlyLater", breaks="NobodyIsMisled", module="Coalesce"),
        simulation=Switch("share_what_was_there", shows="a later run", world="rebuilds"),
    ),
    rule(
        "Nor a run of other work.",
        *halves(
            "test_a_waiter_does_not_share_a_run_of_other_work",
            "applied is False",
            expression=(" OR #succeeded_by <> :work", ""),
            python=(" and success.work == self.work", ""),
            module=COALESCE,
        ),
        model=Constant("SameWork", breaks="NobodyIsMisled", module="Coalesce"),
        simulation=Switch("share_any_work", shows="a later run", world="rebuilds"),
    ),
    rule(
        "A success is left with the run's own token.",
        *halves(
            "test_a_success_has_its_own_token_where_a_copy_has_raised_the_rows",
            "the row is",
            expression=("#succeeded = :token", "#succeeded = #token"),
            python=(
                "success=self.success or record.success",
                "success=(self.success and self.success._replace(token=record.token))"
                " or record.success",
            ),
        ),
        model=Constant("OwnToken", breaks="NobodyIsMisled", module="Coalesce"),
        simulation=Switch("success_with_the_rows_token", shows="a later run", world="rebuilds"),
    ),
    rule(
        "Only success is left for others.",
        removal(
            "core/test_coalesce.py::TestTheHolder::test_a_failure_leaves_nothing",
            "is None",
            (
                TENURE,
                "success=aim.success(self.token) if has_succeeded else None",
                "success=aim.success(self.token)",
            ),
        ),
        model=Constant("SharesSuccessOnly", breaks="NobodyIsMisled", module="Coalesce"),
        simulation=Switch("failure_is_shared", shows="a later run", world="rebuilds"),
    ),
    rule(
        "A success since its last look refuses a waiter's request.",
        *halves(
            "test_a_waiter_is_refused_once_a_later_run_has_succeeded",
            "applied is True",
            expression=('f" AND {NO_LATER_SUCCESS}"', '""'),
            python=("or not unless.is_in(record.success)", "or True"),
            module=BESIDES,
        ),
        model=Constant("AsksInAcquire", breaks="NoRunTooMany", module="Coalesce"),
        simulation=Switch("acquire_despite_success", shows="in vain", world="rebuilds"),
    ),
    rule(
        "A caller that has not waited asks for no success.",
        removal(
            "core/test_coalesce.py::TestTheWaiter::test_only_who_was_refused_once_asks_for_that",
            "LaterSuccess(since=0",
            (
                AIM,
                "if self.work is None or first is None else LaterSuccess(first[1], self.work)",
                "if self.work is None else LaterSuccess((first or (0, 0))[1], self.work)",
            ),
        ),
    ),
    rule(
        "Those who wait for the same run take no tickets.",
        removal(
            "core/test_coalesce.py::TestTheWaiter::test_shares_a_run_that_began_after_it_came",
            "no ticket",
            (ACQUIRE, "if tenure.aim.work is not None:", "if False:"),
        ),
    ),
    # Over a durable function's waits.
    rule(
        "A replay takes nothing that is merely free.",
        *halves(
            "test_a_replay_does_not_take_what_is_free",
            "applied is True",
            module=PARKING,
            expression=("        if self.is_replay:", "        if False:"),
            python=("        if not self.is_replay:", "        if True:"),
        ),
        model=Constant("ReplayNeedsContinuity", breaks="NothingBetween", module="Parking"),
    ),
    rule(
        "A replay goes on after an attempt whose last answer was lost.",
        *halves(
            "test_a_replay_goes_on_after_an_attempt_whose_answer_was_lost",
            "applied is False",
            module=PARKING,
            expression=(
                "#last_run.#attempt BETWEEN :execution AND :owner",
                "#last_run.#attempt BETWEEN :owner AND :owner",
            ),
            python=("and self._is_ours(last) and last != self.owner", "and False"),
        ),
        removal(
            f"{DURABLE}::TestSomebodyElse::test_a_last_answer_that_is_lost_is_given_again",
            "InvocationStatus.FAILED",
            (ATTEMPT, '"attempt": self.owner}', "}"),
        ),
    ),
    rule(
        "A late claim does not take the lease from a later attempt.",
        *halves(
            "test_a_late_claim_does_not_take_it_from_a_later_attempt",
            "applied is True",
            module=PARKING,
            expression=(
                '"(#owner BETWEEN :execution AND :owner"',
                '"(begins_with(#owner, :execution)"',
            ),
            python=(
                "return self.execution <= owner <= self.owner",
                "return owner.startswith(self.execution)",
            ),
        ),
        model=Constant("LaterWins", breaks="ParkedStays", module="Parking"),
    ),
    rule(
        "A parked lease has another owner than its attempt.",
        *halves(
            "test_an_attempt_parks_its_lease",
            "the row is",
            module=PARKING,
            expression=('"SET #owner = :parked, ', '"SET #owner = :owner, '),
            python=("owner=parked(self.owner),", "owner=self.owner,"),
            also=REPLY_UNCHECKED,
        ),
        model=Constant("ParkChangesOwner", breaks="ParkedStays", module="Parking"),
    ),
    rule(
        "The length of a parked lease moves with its end.",
        *halves(
            "test_an_attempt_parks_its_lease",
            "duration",
            module=PARKING,
            expression=(", #duration_ms = :duration,", ","),
            python=("duration=(self.expires_at - self.now) / 1000,", ""),
        ),
    ),
    rule(
        "Only its own attempt parks a lease.",
        *halves(
            "test_nobody_else_parks_it",
            "applied is True",
            module=PARKING,
            expression=('return "#owner = :owner"', 'return "attribute_exists(#owner)"'),
            python=(
                "return record is not None and record.owner == self.owner",
                "return record is not None",
            ),
            also=REPLY_UNCHECKED,
        ),
        model=Constant("ParkIsOwned", breaks="ParkedStays", module="Parking"),
    ),
    rule(
        "A late claim does not bring back what its attempt has given back.",
        *halves(
            "test_a_late_claim_does_not_bring_back_what_has_ended",
            "applied is True",
            module=PARKING,
            expression=("OR #last_run.#attempt <> :owner)", "OR #last_run.#attempt = :owner)"),
            python=("and last != self.owner and since", "and since"),
        ),
        model=Constant("OwnReleaseRefuses", breaks="NeverRevived", module="Parking"),
    ),
    rule(
        "A late first claim does not take the lease after somebody who has come since.",
        *halves(
            "test_a_late_claim_does_not_take_it_after_somebody_who_has_come_since",
            "applied is True",
            module=PARKING,
            expression=("#holder.#acquired_at <= :latest", "#holder.#acquired_at <> :latest"),
            python=(" and since <= self._latest", ""),
        ),
        model=Constant("FirstClaimIsTimely", breaks="NothingBetween", module="Parking"),
    ),
    rule(
        "Others find a durable function's lease held for longer than its attempt believes.",
        removal(
            f"{DURABLE}::TestOverWaits::test_one_lease_over_two_waits_and_a_crash",
            "[False, False, False, False]",
            (ATTEMPT, "acquire.expires_at + milliseconds(self.park)", "acquire.expires_at"),
            (ATTEMPT, "renew.expires_at + milliseconds(self.park)", "renew.expires_at"),
        ),
    ),
    rule(
        "It is parked beyond the moment at which its execution goes on.",
        removal(
            f"{DURABLE}::TestOverWaits::test_it_is_parked_beyond_the_announced_resume",
            "assert",
            (ATTEMPT, "max(self.resumes_at, sent.wall)", "sent.wall"),
        ),
    ),
    rule(
        "What cuts an attempt off parks its lease; only the execution's end gives it back.",
        removal(
            f"{DURABLE}::TestOverWaits::test_one_lease_over_two_waits_and_a_crash",
            "At index 1 diff: 'Release' != 'Park'",
            (ATTEMPT, "self.is_over = False", "self.is_over = True"),
            (PARK, "attempt.is_over = is_heard and", "attempt.is_over = True or"),
        ),
    ),
    rule(
        "A suspension that could not be parked is tried again.",
        removal(
            f"{DURABLE}::TestAStoreThatFails::test_a_suspension_that_was_not_parked_is_tried_again",
            "assert 2 == 3",
            (PARK, "if not attempt.is_settled:", "if False:"),
        ),
    ),
    rule(
        "An attempt that has lost its lease to nobody is tried again.",
        removal(
            f"{DURABLE}::TestSomebodyElse::test_a_lease_that_could_not_be_renewed_is_gone_on_with",
            "InvocationStatus.FAILED",
            (
                PARK,
                "if _may_be_tried_again(error, attempt):\n            raise",
                "if False:\n            raise",
            ),
        ),
    ),
    rule(
        "A lease is kept until the last branch has ended.",
        removal(
            f"{DURABLE}::TestBranches::test_it_is_kept_until_the_last_branch_has_ended",
            "False",
            (PARK, "branches.wait()", "pass"),
        ),
    ),
    rule(
        "Branches are interrupted as their handler is.",
        removal(
            f"{DURABLE}::TestBranches::test_branches_are_interrupted_as_their_handler_is",
            "assert []",
            (BRANCHES, "            member.arm()", "            pass"),
        ),
    ),
    # How far a run has come.
    rule(
        "Progress never goes back.",
        *halves(
            "test_an_earlier_step_does_not_replace_a_later_one",
            "applied is True",
            module=PROGRESS,
            expression=(
                '" OR #progress_seq <= :seq)"',
                '" OR #progress_seq <= :seq OR #progress_seq > :seq)"',
            ),
            python=("or record.progress.seq <= self.progress.seq", "or True"),
        ),
        model=Constant("StepsDoNotGoBack", breaks="NeverBack", module="Progress"),
        simulation=Switch("progress_may_go_back", shows="went back", world="without_effects"),
    ),
    rule(
        "A step is applied once, however often it is sent.",
        *halves(
            "test_a_step_of_a_transaction_is_written_once",
            "applied is True",
            module=PROGRESS,
            expression=(
                '" OR #progress_seq < :seq)"',
                '" OR #progress_seq < :seq OR #progress_seq = :seq)"',
            ),
            python=(
                "or record.progress.seq < self.progress.seq",
                "or record.progress.seq <= self.progress.seq",
            ),
        ),
        model=Constant("StepsAreAppliedOnce", breaks="EffectsOnce", module="Progress"),
        simulation=Switch("steps_are_applied_again", shows="came after", world="with_effects"),
    ),
    rule(
        "The same value is the same step.",
        removal(
            "core/test_checkpoint.py::TestEffects::test_are_applied_once_whatever_is_lost",
            "assert [",
            (CHECKPOINT, "if tenure.step is None or tenure.step.text != text:", "if True:"),
        ),
        model=Constant("SameValueIsSameStep", breaks="EffectsOnce", module="Progress"),
        simulation=Switch("each_request_is_a_step", shows="came after", world="with_effects"),
    ),
    rule(
        "A step of a transaction is the owner's only.",
        *halves(
            "test_nobody_else_advances",
            "applied is True",
            module=PROGRESS,
            expression=(
                '"#owner = :owner"\n            " AND (attribute_not_exists(#progress_token)',
                '"attribute_exists(#owner)"\n'
                '            " AND (attribute_not_exists(#progress_token)',
            ),
            python=("and record.owner == self.owner\n            and (", "and ("),
            also=REPLY_UNCHECKED,
        ),
        model=Constant("StepsAreOwned", breaks="NeverOlder", module="Progress"),
    ),
    rule(
        "A late checkpoint does not shorten the lease.",
        *halves(
            "test_a_late_checkpoint_does_not_shorten_the_lease",
            "applied is True",
            module=PROGRESS,
            expression=(
                '"#expires_at_ms <= :expires_at AND #owner = :owner"\n            " AND (',
                '"#owner = :owner"\n            " AND (',
            ),
            python=(
                "and self.expires_at >= milliseconds(record.expires_at)\n            and (",
                "and (",
            ),
        ),
    ),
    rule(
        "Success removes the progress, and nothing else does.",
        removal(
            "core/test_checkpoint.py::TestProgress::test_a_run_goes_on_where_a_failed_one_stopped",
            "success removes it",
            (TENURE, "clears=has_succeeded and has_progress", "clears=False"),
        ),
        removal(
            "core/test_checkpoint.py::TestProgress::test_a_run_goes_on_where_a_failed_one_stopped",
            "[1, 2, 3, 4, 5] == [3, 4, 5]",
            (TENURE, "clears=has_succeeded and has_progress", "clears=has_progress"),
        ),
    ),
    rule(
        "An unfinished run does not rest.",
        removal(
            "core/test_checkpoint.py::TestDeadline::test_an_unfinished_run_says_so_and_is_continued",
            "it does not rest",
            (TENURE, "aim.order is not None or self.is_unfinished", "aim.order is not None"),
        ),
    ),
    rule(
        "A run of an order has no checkpoints.",
        removal(
            "core/test_checkpoint.py::TestOrders::test_a_run_of_an_order_has_no_checkpoints",
            "DID NOT RAISE",
            (CHECKPOINT, "    if tenure.aim.rising:", "    if False:"),
        ),
    ),
    rule(
        "What a transaction on the row has kept out is sent again at once.",
        removal(
            "core/test_checkpoint.py::TestConflicts::test_are_tried_again_at_once",
            "under way",
            (
                DYNAMODB,
                "except ConflictError:\n            return self._despite_conflicts(partial",
                "except ZeroDivisionError:\n            return self._despite_conflicts(partial",
            ),
        ),
    ),
    # One lease over a state machine.
    rule(
        "Each attempt of a task borrows under an owner of its own.",
        removal(
            "core/test_borrow.py::TestATask::test_borrows_and_gives_back_with_two_requests",
            "not in ('arn:aws:states",
            (BORROWER, "self.execution = execution", "self.execution = self.owner = execution"),
        ),
        model=Constant("OwnerIsFreshForEachAttempt", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("attempts_share_an_owner", shows="two handlers", world="loans"),
    ),
    rule(
        "Nothing is borrowed from an attempt that may be alive.",
        *loans(
            "test_a_living_attempt_is_not_borrowed_from",
            expression=(BORROWING, '" AND #attempt_until_ms <= :dead))"', '"))"'),
            python=(EXECUTION, "        and milliseconds(loan.until) <= dead\n", ""),
        ),
        model=Constant("WaitsForTheAttempt", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("borrow_from_the_living", shows="two handlers", world="loans"),
    ),
    rule(
        "A late request to borrow does not cut the park.",
        *loans(
            "test_a_late_request_does_not_cut_the_park",
            expression=(
                BORROWING,
                '"#expires_at_ms <= :expires_at AND (#owner = :execution"',
                '"(#owner = :execution"',
            ),
            python=(
                BORROWING,
                "return milliseconds(record.expires_at) <= self.expires_at and (",
                "return (",
            ),
        ),
        model=Constant("BorrowNeverCutsThePark", breaks="ParkHolds", module="Borrow"),
        simulation=Switch("borrow_may_cut_the_park", shows="a stranger", world="loans"),
    ),
    rule(
        "A request to borrow that comes twice does not bring the attempt's own end down.",
        *loans(
            "test_a_late_request_does_not_bring_an_attempts_end_down",
            expression=(
                BORROWING,
                '" OR (#owner = :owner AND #attempt_until_ms <= :attempt_until)"',
                '" OR #owner = :owner"',
            ),
            python=(
                BORROWING,
                "or (record.owner == self.owner and ends_by(record, self.attempt_until))",
                "or record.owner == self.owner",
            ),
        ),
        model=Constant("BorrowNeverLowersTheAttempt", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("borrow_may_lower_its_own_end", shows="two handlers", world="loans"),
    ),
    rule(
        "Nothing is borrowed if somebody else has had the lease since.",
        *loans(
            "test_nothing_is_borrowed_from_a_stranger_who_came_after_a_dead_attempt",
            expression=(BORROWING, ' AND #baton_token = #token"', '"'),
            python=(EXECUTION, "        and loan.token == record.token\n", ""),
        ),
        model=Constant("BorrowNeedsContinuity", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("borrow_without_continuity", shows="two handlers", world="loans"),
    ),
    rule(
        "An execution that has ended lends nothing.",
        *loans(
            "test_nothing_is_borrowed_while_nobody_has_it",
            expression=(BORROWING, "(attribute_exists(#owner) AND #baton", "(#baton"),
            # The update copies the owner, which is then not there.
            engine_fails="refers to an attribute that does not exist",
            python=(
                EXECUTION,
                "        record.owner is not None\n        and loan",
                "        loan",
            ),
        ),
        model=Constant("BorrowNeedsAnOwner", breaks="EndedStaysEnded", module="Borrow"),
        simulation=Switch("borrow_of_a_free_lease", shows="revived", world="loans"),
    ),
    rule(
        "The length that belongs to a loan's end is written with it.",
        *loans(
            "test_a_task_borrows_the_lease_of_its_execution",
            fails="duration=30",
            expression=(
                BORROWING,
                '" #expires_at_ms = :expires_at, #duration_ms = :duration, #expiration',
                '" #expires_at_ms = :expires_at, #expiration',
            ),
            python=(
                BORROWING,
                "            duration=self.duration / 1000,\n            taken_from",
                "            taken_from",
            ),
        ),
        model=Constant("WritesTheLength", breaks="ParkHolds", module="Borrow"),
        simulation=Switch("the_length_is_left_behind", shows="a stranger", world="loans"),
    ),
    rule(
        "A late renewal does not bring the end of an attempt down.",
        *loans(
            "test_a_late_renewal_does_not_bring_the_attempts_end_down",
            expression=(BORROWING, f"{RENEWS}{LOAN_CONDITION}", f"{RENEWS}{PLAIN_CONDITION}"),
            python=(
                BORROWING,
                f"{RENEWS}{LOAN_CONDITION}{LOAN_ALLOWS}",
                f"{RENEWS}{LOAN_CONDITION}{PLAIN_ALLOWS}",
            ),
        ),
        *loans(
            "test_a_late_checkpoint_does_not_bring_the_attempts_end_down",
            expression=(BORROWING, f"{SAVES}{LOAN_CONDITION}", f"{SAVES}{PLAIN_CONDITION}"),
            python=(
                BORROWING,
                f"{SAVES}{LOAN_CONDITION}{LOAN_ALLOWS}",
                f"{SAVES}{LOAN_CONDITION}{PLAIN_ALLOWS}",
            ),
        ),
        model=Constant("LoanRenewalNeverLowers", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("a_renewal_may_lower_the_attempt", shows="two handlers", world="loans"),
    ),
    rule(
        "Strangers are kept out for the park, which is longer than an attempt's lease.",
        removal(
            "core/test_borrow.py::TestStrangers::test_are_kept_out_for_the_park",
            "DID NOT RAISE",
            (BORROWER, "milliseconds(sent.wall + self._park)", "self.term.expiry(sent.wall)"),
        ),
        model=Constant("ParksBeyondTheAttempt", breaks="ParkHolds", module="Borrow"),
        simulation=Switch("a_park_like_a_lease", shows="a stranger", world="loans"),
    ),
    rule(
        "An execution gets its lease back from an attempt that is dead: it has lost nothing.",
        *loans(
            "test_an_execution_returns_what_a_dead_attempt_has",
            fails="applied is False",
            expression=(
                EXECUTION,
                "        return _GOES_ON\n",
                '        return "#owner = :owner"\n',
            ),
            python=(
                EXECUTION,
                "owner == self.owner or goes_on(record, self.owner, self.now - self.clock_skew)",
                "owner == self.owner",
            ),
        ),
        model=Constant("ReturnsFromTheDead", breaks="NoFalseLoss", module="Borrow"),
        simulation=Switch("return_from_itself_only", shows="never got", world="loans"),
    ),
    rule(
        "An execution returns nothing that an attempt may still work under.",
        *loans(
            "test_an_execution_returns_nothing_that_a_living_attempt_has",
            expression=(EXECUTION, '" AND #attempt_until_ms <= :dead)"', '")"'),
            python=(EXECUTION, "        and milliseconds(loan.until) <= dead\n", ""),
        ),
        model=Constant("ReturnWaitsForTheAttempt", breaks="MutualExclusion", module="Borrow"),
        simulation=Switch("return_from_the_living", shows="two handlers", world="loans"),
    ),
    rule(
        "A late request of an execution does not cut its own lease.",
        *loans(
            "test_a_late_request_does_not_cut_the_executions_lease",
            expression=(
                EXECUTION,
                '"#expires_at_ms < :expires_at AND ({_GOES_ON})"',
                '"{_GOES_ON}"',
            ),
            python=(
                EXECUTION,
                "            and milliseconds(record.expires_at) < self.expires_at\n",
                "",
            ),
        ),
        model=Constant("KeepRaises", breaks="ParkHolds", module="Borrow"),
        simulation=Switch("keep_may_lower", shows="a stranger", world="loans"),
    ),
    rule(
        "An execution that lends its lease is not told as dead.",
        removal(
            "core/test_borrow.py::TestWhatIsTold::test_events_name_the_execution",
            "an execution is not dead",
            (BORROWER, "if self.taken_from == self.execution:", "if not self.execution:"),
        ),
    ),
    rule(
        "A loan between two sights of the row is a sign of life.",
        removal(
            "core/test_borrow.py::TestStrangers::test_see_a_loan_by_its_token",
            "silent",
            ("_protocol/waiting.py", "record.expires_at, record.token)", "record.expires_at, 0)"),
        ),
    ),
)
