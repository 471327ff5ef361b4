"""The definitions of the state machines, as their files say, with what a template fills in."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .cloudformation import ROOT

FOLDER = ROOT / "statemachine"


def definition(name: str, **substitutions: str) -> dict[str, Any]:
    """Read a definition; `${Name}` becomes what is given for it."""
    text = (FOLDER / f"{name}.asl.yaml").read_text()
    filled = re.sub(r"\$\{(\w+)\}", lambda match: substitutions[match[1]], text)
    machine: dict[str, Any] = yaml.safe_load(filled)
    return machine


def natively(table: str = "leases") -> dict[str, Any]:
    """The state machine that takes the lease itself."""
    return definition("reindex_natively", LeaseTable=table)


def borrowed(
    table: str = "leases",
    function: str = "arn:aws:lambda:us-east-1:123456789012:function:task",
) -> dict[str, Any]:
    """The state machine that lends the lease to its tasks."""
    return definition("reindex_borrowed", LeaseTable=table, ReindexTaskArn=function)


def reindex(
    function: str = "arn:aws:lambda:us-east-1:123456789012:function:task",
) -> dict[str, Any]:
    """The state machine whose task needs the lease."""
    return definition("reindex", ReindexTaskArn=function)


def retrier_for(state: dict[str, Any], error: str) -> dict[str, Any] | None:
    """The first retrier that matches decides, as in Amazon's specification of the language."""
    return next((one for one in state.get("Retry", []) if matches(one, error)), None)


def catcher_for(state: dict[str, Any], error: str) -> dict[str, Any] | None:
    """The first catcher that matches, as in Amazon's specification of the language."""
    return next((one for one in state.get("Catch", []) if matches(one, error)), None)


def matches(entry: dict[str, Any], error: str) -> bool:
    """Whether an entry of Retry or Catch is for this error."""
    names = entry["ErrorEquals"]
    if error in names or "States.ALL" in names:
        return True
    # A wildcard for all that a task can fail with, but for its timeout.
    return "States.TaskFailed" in names and error != "States.Timeout"


def average_wait(retrier: dict[str, Any]) -> float:
    """How long all its retries wait together, in seconds: full jitter waits for a half of each."""
    waits = [
        min(
            retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** number,
            retrier.get("MaxDelaySeconds", float("inf")),
        )
        for number in range(retrier.get("MaxAttempts", 3))
    ]
    return float(sum(waits) / (2 if retrier.get("JitterStrategy") == "FULL" else 1))
