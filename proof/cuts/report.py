"""What all runs together have shown."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from .gaps import gap_of
from .worker import Result


class Report:
    """Counts points, violations and gaps."""

    def __init__(self) -> None:
        self.violations: list[Result] = []
        self._once: list[Result] = []
        self._cuts: Counter[tuple[str, str]] = Counter()
        self._missed: Counter[tuple[str, str]] = Counter()
        self._bad: Counter[tuple[str, str]] = Counter()
        self._gaps: Counter[str] = Counter()
        self._nets: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """Count it."""
        key = result.case.scenario, result.case.kind
        self._cuts[key] += 1
        if result.case.kind and not result.happened:
            self._missed[key] += 1
        if result.once:
            self._once.append(result)
        gap = gap_of(result)
        if result.violations and gap is not None:
            self._gaps[gap.name] += 1
        elif result.violations:
            self._bad[key] += 1
            self.violations.append(result)
        elif result.net:
            self._nets[result.net] += 1

    def text(self, scenarios: Sequence[str], kinds: Sequence[str], took: float) -> str:
        lines = [f"{'':32}" + "".join(f"{kind:>19}" for kind in kinds)]
        for scenario in scenarios:
            cells = (self._cell(scenario, kind) for kind in kinds)
            lines.append(f"{scenario:32}" + "".join(f"{cell:>19}" for cell in cells))
        lines += [
            f"VIOLATION {result.case}: {'; '.join(result.violations)}" for result in self.violations
        ]
        lines += [f"seen once: {result.case}: {'; '.join(result.once)}" for result in self._once]
        lines += [f"gap: {name}: {count} cuts" for name, count in sorted(self._gaps.items())]
        lines += [f"given back {how}: {count} cuts" for how, count in sorted(self._nets.items())]
        version = ".".join(map(str, sys.version_info[:3]))
        lines.append(
            f"Python {version}: {len(scenarios)} scenarios, {self._cuts.total()} cuts,"
            f" {self._missed.total()} that did not come to their point,"
            f" {self._gaps.total()} in gaps, {len(self.violations)} violations,"
            f" {len(self._once)} seen once, in {took:.0f} s"
        )
        return "\n".join(lines)

    def _cell(self, scenario: str, kind: str) -> str:
        cuts, bad = self._cuts[scenario, kind], self._bad[scenario, kind]
        return f"{cuts}, {bad} bad" if bad else str(cuts or "-")
