"""A function of this checkout: its samples, unless a test has handlers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lambda_singleton_local import Function as AnyFunction

from .engine import ROOT

TASK_ROOT = ROOT / "src"


class Function(AnyFunction):
    """A deployed function; use it as a context manager."""

    def __init__(
        self,
        handler: str,
        *,
        variables: Mapping[str, str],
        name: str | None = None,
        timeout: float = 900.0,
        task_root: Path = TASK_ROOT,
        managed: bool = False,
    ) -> None:
        super().__init__(
            handler,
            variables=variables,
            name=name,
            timeout=timeout,
            task_root=task_root,
            managed=managed,
        )
