"""Mutants that no test can tell from the code, each with its reason; docs/mutants.md has them too.

By module, line, what is changed and what it becomes: whoever changes the line asks again.
"""

from __future__ import annotations

KNOWN: dict[tuple[str, str, str, str], str] = {}
