"""What a run has left behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from lambda_singleton import LeaseError, LeaseLostError

from .cut import Cut
from .scenario import SHORT, Scenario
from .stage import Stage

#: What is given back in the background may take so long (seconds).
GRACE = 0.25
#: And as garbage (seconds).
LONG_GRACE = 1.0
#: No noise of this machine is that late (seconds).
NOISE = 0.1
#: Leaving may take as long as a request that hangs, a quarter of the lease, and noise (seconds).
LONGEST_EXIT = SHORT / 4 + 0.5

#: How the lease came back: with the run's end, or a moment later, or when nobody had it any more.
Net = Literal["", "background", "garbage", "never"]


class Run:
    """What happened in one run."""

    def __init__(
        self, scenario: Scenario, kind: str, cut: Cut, stage: Stage, error: BaseException | None
    ) -> None:
        self.scenario = scenario
        self.kind = kind
        self.cut = cut
        self.stage = stage
        self.result: object = None
        self.lease_remains = False
        self.ended = 0.0
        #: What Python printed: contexts of loops, arguments of hooks.
        self.noticed: list[Any] = []
        self._error = error
        self._outcome = ""
        self._is_the_cut = False
        self._is_fine = True

    def left(self, error: BaseException) -> None:
        """Note what left the scenario, and keep none of it: it would keep the lease."""
        self._outcome = f"{type(error).__name__}: {error}"
        self._is_the_cut = self._is_what_was_done(error)
        self._is_fine = isinstance(error, LeaseError) and (
            self.scenario.may_refuse
            or self.kind == "hang"
            or (isinstance(error, LeaseLostError) and self._may_lose)
        )
        if isinstance(error, LeaseError) and not self._is_the_cut:
            self._is_the_cut = any(map(self._is_what_was_done, chain(error)))
        error.__traceback__ = error.__context__ = error.__cause__ = None

    @property
    def _may_lose(self) -> bool:
        return self.scenario.loses or self.scenario.may_lose

    def _is_what_was_done(self, error: BaseException) -> bool:
        if self.kind.startswith("Cancelled"):
            return type(error).__name__ == "CancelledError"
        return error is self._error

    def outcome_is_wrong(self) -> str | None:
        """Say why what left is not what should have."""
        returned = self.result == "worked" and not self._outcome
        if self._is_the_cut and self.cut.happened:
            return None
        if self._must_leave:
            return f"{self.kind} did not leave: {self._outcome or self.result!r}"
        if self._outcome:
            return None if self._is_fine or self._is_the_cut else f"{self._outcome} left"
        if self.scenario.loses and not self.scenario.may_refuse:
            return f"it returned {self.result!r} although the lease was lost"
        return None if returned or self.scenario.loses else f"it returned {self.result!r}"

    @property
    def _must_leave(self) -> bool:
        # An Exception inside a release, or an observer, is told and goes nowhere. A loss that is
        # on its way may be quicker than anything else.
        if not self.cut.happened or self.cut.role != "holder" or self.cut.in_finalizer:
            return False
        if self.kind in ("", "hang", "MemoryError"):
            return False
        return not (self._may_lose and self._is_fine and self._outcome)

    def unexpected(self) -> list[str]:
        """Say what Python printed and should not have."""
        return [text for text in map(self._text_of, self.noticed) if text]

    def _text_of(self, notice: Any) -> str:
        is_context = isinstance(notice, dict)
        error = notice.get("exception") if is_context else notice.exc_value
        where = notice.get("message") if is_context else getattr(notice, "object", "a thread")
        # An exception in a finalizer, or in a callback of the loop, has nowhere else to go.
        if error is not None and error is self._error:
            return ""
        return f"{error!r} was printed: {where}"

    def forget(self) -> None:
        """Drop all that could keep a lease alive."""
        error = self._error
        if error is not None:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        for notice in self.noticed:
            known = getattr(notice, "exc_value", None)
            if known is not None:
                known.__traceback__ = None
        self.result = str(self.result)


@dataclass
class Verdict:
    """What was left behind after a run, and how the lease came back."""

    happened: bool
    outcome: str
    violations: list[str] = field(default_factory=list)
    net: Net = ""


_last: Run | None = None


def judge(run: Run) -> Verdict:
    """Look at what is left when all that may hold a lease is dropped."""
    global _last  # noqa: PLW0603
    stage = run.stage
    verdict = Verdict(run.cut.happened, run._outcome or str(run.result))
    wrong = verdict.violations
    wrong += stage.wrong
    reason = run.outcome_is_wrong()
    if reason:
        wrong.append(reason)
    if run.lease_remains:
        wrong.append("current_lease() still returns a lease")
    if stage.late > NOISE:
        wrong.append(f"it worked on {stage.late:.3f} s past its lease's end")
    if run.kind == "hang" and run.cut.role == "other" and stage.work_ended is not None:
        took = run.ended - stage.work_ended
        if took > LONGEST_EXIT:
            wrong.append(f"leaving took {took:.3f} s")
    verdict.net = settle(run)
    if verdict.net == "never":
        wrong.append("a lease is taken that nobody holds")
    if not within(LONG_GRACE, lambda: not lease_threads()):
        wrong.append(f"threads remain: {lease_threads()}")
    stage.outside.is_over = True
    if _last is not None and _last.stage.outside.strays:
        wrong.append(f"the run before sent {_last.stage.outside.strays} after its end")
    _last = run
    return verdict


def settle(run: Run) -> Net:
    """Wait until nothing is taken, and say what it took."""

    def is_free() -> bool:
        # Of what could not be given back the end has to come.
        now = time.time() if run.stage.outside.unreachable else 0.0
        return all(
            record.owner is None or (record.expires_at or 0.0) < now
            for record in run.stage.store.records()
        )

    if is_free():
        return ""
    if within(GRACE, is_free):
        return "background"
    run.forget()
    gc.collect()
    return "garbage" if within(LONG_GRACE, is_free) else "never"


def lease_threads() -> list[str]:
    """Return the names of the package's threads."""
    return [thread.name for thread in threading.enumerate() if "lease" in thread.name]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait for the condition, so long at most."""
    until = time.monotonic() + seconds
    pause = 0.0002
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(0.01, pause * 2)
    return True


def chain(error: BaseException) -> list[BaseException]:
    """Return what the error came from."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        last = waiting.pop()
        if last in found:
            continue
        found.append(last)
        waiting += [cause for cause in (last.__cause__, last.__context__) if cause is not None]
        waiting += getattr(last, "exceptions", ())
    return found
