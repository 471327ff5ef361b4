"""What a check has found, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "not checked"


class Finding(NamedTuple):
    """The answer of one check. `mend` is empty where there is nothing to do."""

    check: str
    verdict: Verdict
    says: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "says": self.says,
            "mend": self.mend,
        }


def ok(check: str, says: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, Verdict.OK, says)


def warning(check: str, says: str, mend: str) -> Finding:
    """Return a finding that hurts in some cases."""
    return Finding(check, Verdict.WARNING, says, mend)


def problem(check: str, says: str, mend: str) -> Finding:
    """Return a finding that breaks leases."""
    return Finding(check, Verdict.PROBLEM, says, mend)


def unknown(check: str, says: str, mend: str = "") -> Finding:
    """Return a finding for what could not be asked."""
    return Finding(check, Verdict.UNKNOWN, says, mend)
