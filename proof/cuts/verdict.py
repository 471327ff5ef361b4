"""What a run has left behind."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .run import Run
from .scenario import SHORT

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

Surroundings = Mapping[str, object]


@dataclass
class Verdict:
    """What was left behind after a run, and how the lease came back."""

    happened: bool
    outcome: str
    violations: list[str] = field(default_factory=list)
    net: Net = ""


_last: Run | None = None


def judge(run: Run, before: Surroundings) -> Verdict:
    """Look at what is left when all that may hold a lease is dropped."""
    global _last  # noqa: PLW0603
    stage = run.stage
    verdict = Verdict(run.cut.happened, run.outcome)
    wrong = verdict.violations
    wrong += stage.wrong
    reason = run.outcome_is_wrong()
    if reason:
        wrong.append(reason)
    if run.lease_remains:
        wrong.append("current_lease() still returns a lease")
    if stage.late > NOISE:
        wrong.append(f"it worked on {stage.late:.3f} s past its lease's end")
    if run.hangs_elsewhere and stage.work_ended is not None:
        took = run.ended - stage.work_ended
        if took > LONGEST_EXIT:
            wrong.append(f"leaving took {took:.3f} s")
    verdict.net = settle(run, lambda: not remains(run, before))
    if verdict.net == "never":
        wrong += remains(run, before)
    stage.outside.is_over = True
    if _last is not None and _last.stage.outside.strays:
        wrong.append(f"the run before sent {_last.stage.outside.strays} after its end")
    _last = run
    return verdict


def settle(run: Run, is_clean: Callable[[], bool]) -> Net:
    """Wait until nothing is left, and say what it took."""
    if is_clean():
        return ""
    if within(GRACE, is_clean):
        return "background"
    run.forget()
    gc.collect()
    return "garbage" if within(LONG_GRACE, is_clean) else "never"


def remains(run: Run, before: Surroundings) -> list[str]:
    """Say what is still there of the run."""
    # Of what could not be given back the end has to come.
    now = time.time() if run.stage.outside.unreachable else 0.0
    taken = [
        record.name
        for record in run.stage.store.records()
        if record.owner is not None and (record.expires_at or 0.0) >= now
    ]
    after = surroundings()
    return [
        *(f"lease {name!r} is taken, and nobody holds it" for name in taken),
        *(f"thread {name!r} remains" for name in lease_threads()),
        *(f"{what} is {after[what]!r}" for what in before if after[what] != before[what]),
    ]


def surroundings() -> Surroundings:
    """Return what the process has of its own."""
    return {
        "the handler of SIGURG": signal.getsignal(signal.SIGURG),
        "the collector's switch": gc.isenabled(),
    }


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
