"""`make rules`: take each rule away, and see the test fail that shows it to be needed.

A rule is a sentence, what it takes to remove it from the package, and one test. The package's other
tests may fail as well; the one that is named here must.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("layer/python/lambda_singleton")
#: What the tests need of the checkout.
COPIED = (
    "layer",
    "tools",
    "proof",
    "local_lambda",
    "demo",
    "src",
    "events",
    "tests",
    "pyproject.toml",
)


@dataclass(frozen=True)
class Rule:
    """A sentence of the protocol, and the test that fails without it."""

    sentence: str
    test: str
    #: Files of the package, each with the text that holds the rule and what is left without it.
    removal: tuple[tuple[str, str, str], ...]

    def remove_from(self, root: Path) -> None:
        """Take the rule out of the copy of the package in `root`."""
        for name, old, new in self.removal:
            path = root / PACKAGE / name
            text = path.read_text()
            if text.count(old) != 1:
                raise LookupError(f"{name} has {old!r} {text.count(old)} times, not once")
            path.write_text(text.replace(old, new))


def rule(sentence: str, test: str, *removal: tuple[str, str, str]) -> Rule:
    """Return a rule; `test` without its folder."""
    return Rule(sentence, f"tests/{test}", removal)


PROTOCOL, TERM = "_protocol/operations.py", "_protocol/term.py"
LEASE, ACQUIRE = "_holding/lease.py", "_holding/acquire.py"
RENEWAL, HOLD = "_holding/renewal.py", "_holding/hold.py"
INTERRUPT = "_holding/interrupt.py"
OBSERVER, LOGS, METRICS = "_events/observers.py", "_events/logs.py", "_events/metrics.py"
DYNAMODB = "_stores/dynamodb.py"

RULES = (
    # Taking a lease.
    rule(
        "A dead holder's lease is taken only after its end and the clock skew.",
        "stores/test_store_contract.py::test_a_dead_holder_is_taken_over_after_its_lease_and_the_skew",
        (PROTOCOL, '":dead": self.now - self.clock_skew', '":dead": self.now'),
        (PROTOCOL, "expires_at <= self.now - self.clock_skew", "expires_at <= self.now"),
    ),
    rule(
        "It is taken then, by a caller that has seen nothing before.",
        "stores/test_store_contract.py::test_a_dead_holder_is_taken_over_after_its_lease_and_the_skew",
        (PROTOCOL, '":dead": self.now - self.clock_skew', '":dead": 0'),
        (PROTOCOL, "expires_at <= self.now - self.clock_skew", "expires_at <= 0"),
    ),
    rule(
        "A minimum hold outlasts the release.",
        "stores/test_store_contract.py::test_a_minimum_hold_outlasts_the_release",
        (PROTOCOL, " OR #expires_at_ms <= :now))", " OR #expires_at_ms > :now - :now))"),
        (PROTOCOL, "(record.owner is None and expires_at <= self.now)", "record.owner is None"),
    ),
    rule(
        "Who asks again after a lost reply is recognised as the owner.",
        "stores/test_store_contract.py::test_the_owner_recognises_its_own_first_try",
        (PROTOCOL, "(#owner = :owner AND #expires_at_ms <= :expires_at)", "#owner = :now"),
        (PROTOCOL, "(record.owner == self.owner and expires_at <= self.expires_at)", "False"),
    ),
    rule(
        "An acquire that is applied late never brings its own lease's end down.",
        "stores/test_store_contract.py::test_a_late_acquire_does_not_shorten_a_renewed_lease",
        (PROTOCOL, "(#owner = :owner AND #expires_at_ms <= :expires_at)", "#owner = :owner"),
        (
            PROTOCOL,
            "(record.owner == self.owner and expires_at <= self.expires_at)",
            "record.owner == self.owner",
        ),
    ),
    rule(
        "A waiter takes over only from exactly the owner and expiry that it has watched.",
        "stores/test_store_contract.py::test_a_holder_that_renewed_since_is_not_silent",
        (
            PROTOCOL,
            "(#owner = :seen_owner AND #expires_at_ms = :seen_expires_at)",
            "(#owner = :seen_owner AND #expires_at_ms >= :seen_expires_at)",
        ),
        (PROTOCOL, "and record.expires_at == self.seen.expires_at", "and True"),
    ),
    rule(
        "It has to have watched them for a whole lease, and the skew.",
        "proving/test_simulation.py::test_nothing_forbidden_happens_in_some_worlds",
        (ACQUIRE, "record.duration + self._margin", "record.duration * 0.6"),
    ),
    rule(
        "Seeing another owner or expiry starts the watch anew.",
        "core/test_acquire.py::TestWaiting::test_a_holder_that_renews_is_alive_however_wrong_its_clock",
        (
            ACQUIRE,
            "or (record.owner, record.expires_at) != (previous.owner, previous.expires_at)",
            "or False",
        ),
    ),
    rule(
        "The watch helps where a dead holder's clock was ahead.",
        "core/test_acquire.py::TestWaiting::test_needs_no_trust_in_the_holders_clock",
        (ACQUIRE, "seen=observation.silent_holder", "seen=None"),
    ),
    rule(
        "The owner's id is made inside the invocation.",
        "stores/test_snapshot.py::test_no_id_and_no_jitter_repeats",
        (ACQUIRE, "owner = os.urandom(16).hex()", "owner = OWNER"),
        (ACQUIRE, "LEAST_TIME = 0.1\n", "LEAST_TIME = 0.1\nOWNER = os.urandom(16).hex()\n"),
    ),
    rule(
        "So is every jitter.",
        "stores/test_snapshot.py::test_no_id_and_no_jitter_repeats",
        ("_backoff.py", "int.from_bytes(os.urandom(7)) / 2**56", "DICE.random()"),
        ("_backoff.py", "import os\n", "import random\nDICE = random.Random()\n"),
    ),
    rule(
        "A lease whose reply came after its end is not started.",
        "core/test_acquire.py::TestAStoreThatFails::test_a_reply_after_the_leases_end_grants_nothing",
        (ACQUIRE, "            lease.check()\n", ""),
    ),
    rule(
        "No handler is started in the last moment of its invocation.",
        "core/test_acquire.py::TestClocksAndDeadlines::test_no_time_left_costs_no_request",
        (ACQUIRE, "if left < LEAST_TIME:", "if left < -LEAST_TIME:"),
    ),
    rule(
        "A wait ends before the deadline.",
        "core/test_acquire.py::TestWaiting::test_never_goes_into_the_deadline",
        (ACQUIRE, "min(wait, term.time_left(clock.time()) - TIME_TO_REPORT)", "wait"),
    ),
    rule(
        "A caller whose clock is provably off gives the lease back.",
        "core/test_acquire.py::TestClocksAndDeadlines"
        "::test_a_wrong_clock_is_refused_and_the_lease_given_back",
        (ACQUIRE, "            lease._refuse_wrong_clock(reply, sent)\n", ""),
    ),
    # Tokens.
    rule(
        "The token rises with every acquisition.",
        "stores/test_store_contract.py::test_a_release_frees_the_lease_at_once_and_keeps_the_token",
        (PROTOCOL, "(#token, :now) + :one, #owner", "(#token, :now) + :one - :one, #owner"),
        (PROTOCOL, "else record.token) + 1", "else record.token)"),
    ),
    rule(
        "A release keeps the token.",
        "stores/test_store_contract.py::test_a_release_frees_the_lease_at_once_and_keeps_the_token",
        (
            PROTOCOL,
            "#expiration = :expiration REMOVE #owner, #expires_at_ms",
            "#expiration = :expiration REMOVE #owner, #expires_at_ms, #token",
        ),
    ),
    rule(
        "After the row was deleted, tokens go on from the clock.",
        "stores/test_dynamodb.py::TestTable::test_a_deleted_row_restarts_above_its_old_token",
        (
            PROTOCOL,
            "SET #token = if_not_exists(#token, :now) + :one, #owner",
            "SET #token = if_not_exists(#token, :one) + :one, #owner",
        ),
    ),
    rule(
        "A forced release raises the token.",
        "stores/test_store_contract.py::test_a_forced_release_frees_and_fences",
        (
            PROTOCOL,
            "(#token, :now) + :one, #expiration",
            "(#token, :now) + :one - :one, #expiration",
        ),
        (PROTOCOL, "record._but(token=record.token + 1, ", "record._but("),
    ),
    rule(
        "A guarded resource refuses a token that is lower than one it has seen.",
        "core/test_fencing.py::test_a_newer_token_writes_and_an_older_one_is_refused",
        ("_fencing.py", "OR #lease_fence <= :lease_fence", "OR #lease_fence <> :lease_fence"),
    ),
    # Never somebody else's.
    rule(
        "Only the owner renews.",
        "stores/test_store_contract.py::test_nobody_else_renews_or_releases",
        (
            PROTOCOL,
            '"#owner = :owner AND #expires_at_ms <= :expires_at"',
            '"#owner <> :owner OR #expires_at_ms <= :expires_at"',
        ),
    ),
    rule(
        "A renewal never brings the end down.",
        "stores/test_store_contract.py::test_a_late_renewal_does_not_undo_a_later_one",
        (PROTOCOL, '"#owner = :owner AND #expires_at_ms <= :expires_at"', '"#owner = :owner"'),
    ),
    rule(
        "Only the owner releases.",
        "core/test_lease.py::TestRelease::test_of_a_lease_that_somebody_else_holds_changes_nothing",
        (
            PROTOCOL,
            "return record is not None and record.owner == self.owner\n",
            "return record is not None\n",
        ),
    ),
    rule(
        "A release that failed after one whose reply was lost is a release.",
        "core/test_lease.py::TestRelease::test_whose_reply_is_lost_is_a_release",
        (LEASE, "self._perhaps_returned = True", "self._perhaps_returned = False"),
    ),
    rule(
        "A refused renewal is a lost lease, also when no row comes back.",
        "core/test_lease.py::test_a_store_that_returns_no_row_takes_the_lease_as_well",
        (
            LEASE,
            "elif reply.record is not None and reply.record.owner == self.owner:",
            "elif reply.record is None or reply.record.owner == self.owner:",
        ),
    ),
    # The holder's clocks.
    rule(
        "A holder counts from before its request.",
        "core/test_lease.py::test_it_counts_from_before_the_request",
        (
            LEASE,
            "        self._ends = Instant(expires_at, sent.monotonic",
            "        sent = Instant(sent.wall, self._store.clock.monotonic())\n"
            "        self._ends = Instant(expires_at + 9, sent.monotonic",
        ),
    ),
    rule(
        "It believes its wall clock if that is the more pessimistic one.",
        "core/test_lease.py::test_it_believes_the_more_pessimistic_clock",
        (LEASE, "            self._ends.wall - clock.time(),\n", "            9e9,\n"),
    ),
    rule(
        "It believes its monotonic clock if that is.",
        "core/test_lease.py::test_it_believes_the_more_pessimistic_clock",
        (LEASE, "            self._ends.monotonic - clock.monotonic(),\n", "            9e9,\n"),
    ),
    rule(
        "A clock that goes wrong meanwhile ends the lease.",
        "core/test_lease.py::test_a_clock_that_goes_wrong_meanwhile_ends_the_lease",
        (LEASE, "if offset > self._store.clock_skew:", "if offset > 1e9:"),
    ),
    # The deadline.
    rule(
        "A lease never outlives its invocation, the grace for a late kill included.",
        "core/test_singleton.py::TestTheLease::test_ends_with_the_invocation_if_the_duration_is_longer",
        (
            TERM,
            "milliseconds(min(now + (self.duration or inf), self._latest))",
            "milliseconds(min(now + (self.duration or 900), self._latest + 900))",
        ),
    ),
    rule(
        "It lasts until the platform has killed at the latest.",
        "proving/test_simulation.py::test_nothing_forbidden_happens_in_some_worlds",
        (
            TERM,
            "return inf if self.deadline is None else self.deadline + self.kill_grace",
            "return inf if self.deadline is None else self.deadline",
        ),
    ),
    rule(
        "No time left is not the same as no deadline.",
        "core/test_acquire.py::TestClocksAndDeadlines::test_no_time_left_costs_no_request",
        (
            TERM,
            "return clock.time() + max(0, remaining) / 1000",
            "return clock.time() + remaining / 1000 if remaining > 0 else None",
        ),
    ),
    rule(
        "A remaining time that makes no sense is no deadline to rely on.",
        "core/test_singleton.py::TestTheLease"
        "::test_falls_back_to_the_duration_if_the_context_makes_no_sense",
        (
            TERM,
            "if not remaining <= LONGEST * 1000:",
            "if remaining != remaining:",
        ),
    ),
    rule(
        "Where the platform does not kill at the deadline, the handler is interrupted.",
        "core/test_renewal.py::TestManagedInstances::test_the_handler_is_stopped_at_the_deadline",
        (
            RENEWAL,
            "self._stop_at_deadline = not platform_kills_at_deadline()",
            "self._stop_at_deadline = False",
        ),
    ),
    # Renewal.
    rule(
        "A lease is renewed at a third of it.",
        "core/test_renewal.py::test_a_lease_is_renewed_at_a_third_of_it",
        (RENEWAL, "else duration / 3", "else duration / 1.5"),
    ),
    rule(
        "A renewal that failed is tried again.",
        "core/test_renewal.py::test_a_failed_renewal_is_tried_again_until_the_leases_end",
        (RENEWAL, "self._due = self._clock.monotonic() + self._backoff.delay()", "self._due = inf"),
    ),
    rule(
        "A process that was frozen past its lease's end sends nothing when it wakes up.",
        "core/test_renewal.py::test_a_frozen_process_sends_nothing_when_it_wakes_up",
        (RENEWAL, "        if lease.lost:\n            return None\n", ""),
        (RENEWAL, "        if left <= 0:\n", "        if left <= -1e9:\n"),
        (RENEWAL, "        if left < lease._timeout:\n", "        if left < -1e9:\n"),
        (LEASE, "        self.check()\n        sent =", "        sent ="),
    ),
    rule(
        "No request is sent that could hang beyond the lease's end.",
        "core/test_renewal.py::test_no_request_is_sent_that_might_hang_beyond_the_end",
        (RENEWAL, "        if left < lease._timeout:\n", "        if left < 0:\n"),
    ),
    rule(
        "Once the lease reaches the deadline there is nothing to renew.",
        "core/test_renewal.py::test_renewals_end_when_the_lease_reaches_the_deadline",
        (LEASE, "return self._term.is_over_at(self._ends.wall)", "return False"),
    ),
    rule(
        "The renewing thread ends with the handler.",
        "core/test_singleton.py::TestTheLease::test_is_renewed_by_one_thread_that_ends_with_the_handler",
        (RENEWAL, "            self._thread.join()\n", "            pass\n"),
        (RENEWAL, "        self._stopping.set()\n", ""),
    ),
    rule(
        "One request takes a quarter of the lease at most.",
        "stores/test_dynamodb.py::TestRequests::test_a_short_lease_gets_short_timeouts",
        (TERM, "(self.duration or inf) / 4", "(self.duration or inf)"),
    ),
    # Losing it.
    rule(
        "A handler is interrupted before others may start.",
        "stores/test_dynamodb.py::TestSilence::test_a_handler_is_stopped_before_its_lease_ends",
        (RENEWAL, "else min(1.0, duration / 10)", "else -0.1"),
    ),
    rule(
        "Whoever swallows an interrupt is interrupted again.",
        "core/test_interrupt.py::test_one_that_swallows_even_that_is_interrupted_again",
        (
            HOLD,
            "            self._interruption.delivered = False\n            return TIME_TO_CLEAN_UP",
            "            return TIME_TO_CLEAN_UP",
        ),
    ),
    rule(
        "An interrupt is never raised in the package's own code.",
        "core/test_interrupt.py::test_it_is_never_raised_in_the_packages_own_code",
        (
            "_holding/interrupt.py",
            "if not _is_ours(frame) and self.may_raise():",
            "if self.may_raise():",
        ),
    ),
    rule(
        "A handler that returns although its lease was lost is no success.",
        "core/test_interrupt.py::TestReport::test_the_handler_runs_on_and_can_look",
        (HOLD, "            raise self.lease._lost_error() from error\n", "            pass\n"),
    ),
    # The handler's outcome, and failing closed.
    rule(
        "The lease is released on every way out.",
        "core/test_singleton.py::TestTheHandler::test_releases_on_every_way_out",
        (
            HOLD,
            "        self._disarm()\n        self._finish(error)\n        if isinstance",
            "        self._disarm()\n        if error is None:\n            self._finish(error)\n"
            "        if isinstance",
        ),
    ),
    rule(
        "A release that fails does not replace the handler's exception.",
        "core/test_singleton.py::TestTheHandler::test_keeps_its_exception_when_the_release_fails_too",
        (
            HOLD,
            "with suppress(Exception):",
            "with suppress(ZeroDivisionError):",
        ),
    ),
    rule(
        "Without an answer from the store the handler does not run.",
        "core/test_acquire.py::TestAStoreThatFails::test_keeps_the_handler_from_running",
        (
            ACQUIRE,
            "            if not tries_left or term.time_left(clock.time()) < 2 * timeout:\n"
            "                raise\n",
            "            if not tries_left:\n                return Lease(store,"
            " name=operation.name, owner=operation.owner, token=1, term=term, sent=sent,"
            " expires_at=operation.expires_at / 1000, timeout=timeout)\n",
        ),
    ),
    rule(
        "A reply that breaks off is no answer.",
        "stores/test_dynamodb.py::TestCutReplies::test_of_an_acquire_a_renewal_and_a_release",
        (
            DYNAMODB,
            "if not row or not self._rows.is_result(operation, row):",
            "if False:",
        ),
    ),
    rule(
        "The TTL is in seconds, and days away.",
        "stores/test_dynamodb.py::TestRequests::test_the_ttl_is_in_seconds_and_days_away",
        (
            DYNAMODB,
            "operation.in_use_until // 1000 + self._retention",
            "operation.in_use_until + self._retention",
        ),
    ),
    # Names.
    rule(
        "A key cannot reach another lease.",
        "core/test_singleton.py::TestBadArguments::test_name",
        ("_name.py", 'if "#" in base:', 'if "#" in base[:0]:'),
    ),
    rule(
        "An event without the key never gets a shared lease.",
        "core/test_singleton.py::TestKeys::test_a_missing_one_is_never_a_shared_lease",
        (
            "_name.py",
            "if isinstance(value, str) and value.strip():",
            "if value is None:\n        return ''\n    if isinstance(value, str):",
        ),
    ),
    # Telling of it.
    rule(
        "What an observer raises goes nowhere.",
        "core/test_observer.py::TestObservers::test_what_one_raises_is_logged_and_goes_nowhere",
        (OBSERVER, "except Exception:\n            from", "except OSError:\n            from"),
    ),
    rule(
        "Contention never warns.",
        "core/test_observer.py::TestLogs::test_contention_never_warns",
        (LOGS, '"skipped": INFO', '"skipped": WARNING'),
    ),
    rule(
        "A loss is told, and once.",
        "core/test_observer.py::TestEvents::test_of_a_loss_once",
        (LEASE, "self._loss_is_told = True", "self._loss_is_told = False"),
    ),
    rule(
        "A holder that died is named by who takes over from it, and a lost reply names nobody.",
        "core/test_observer.py::TestEvents::test_a_lost_reply_makes_nobody_dead",
        (ACQUIRE, "None if record.taken_from == record.owner else record", "record"),
    ),
    rule(
        "Metrics have the lease's name as a dimension, and never the key.",
        "core/test_observer.py::TestMetrics::test_there_are_some_in_lambda_and_for_a_namespace",
        (METRICS, 'event.lease.partition("#")[0]', "event.lease"),
    ),
    rule(
        "A period of skips only has no run.",
        "platform/test_telemetry.py::test_a_skip",
        (METRICS, 'yield "Acquired", "Count", 0', 'yield "Acquired", "Count", 1'),
    ),
)


def fails_without(number: int) -> tuple[bool, str]:
    """Run the rule's test on a copy of the package that lacks it."""
    the_rule = RULES[number]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copy(source, root)
        (root / ".venv-engine").symlink_to(ROOT / ".venv-engine")
        the_rule.remove_from(root)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-xq",
                "--timeout=20",
                "-p",
                "no:cacheprovider",
                the_rule.test,
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": f"{root / 'layer/python'}:{root / 'tools'}:{root}"},
            capture_output=True,
            text=True,
            check=False,
        )
    # 1: tests failed. Anything else means that the test could not be run.
    return done.returncode == 1, done.stdout[-2000:] + done.stderr[-500:]


def markdown() -> str:
    """Return the list of the rules for the documentation."""
    lines = ["| rule | the test that fails without it |", "| --- | --- |"]
    for each in RULES:
        file, _, name = each.test.partition("::")
        short = name.replace("::", ".")
        lines.append(f"| {each.sentence} | [`{short}`](../{file}) |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every test has failed."""
    parser = argparse.ArgumentParser(prog="make rules", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print the list, and run nothing")
    parser.add_argument("words", nargs="*", help="only rules with one of these words")
    options = parser.parse_args(arguments)
    if options.markdown:
        print(markdown())
        return 0
    numbers = [
        number
        for number, each in enumerate(RULES)
        if not options.words or any(word in each.sentence for word in options.words)
    ]
    started = time.monotonic()
    survived = 0
    with ThreadPoolExecutor(2) as pool:
        for number, (failed, output) in zip(numbers, pool.map(fails_without, numbers), strict=True):
            print(f"{'  ' if failed else '! '} {RULES[number].sentence}", flush=True)
            if not failed:
                survived += 1
                print(output)
    seconds = time.monotonic() - started
    print(f"{len(numbers) - survived} of {len(numbers)} rules are needed, in {seconds:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
