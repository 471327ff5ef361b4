"""A function: as many environments as it has concurrent invocations."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from .environment import Environment, Outcome


class Running:
    """An invocation in progress."""

    def __init__(self, environment: Environment, event: Any) -> None:
        self.environment = environment
        self._outcome: Future[Outcome] = Future()
        threading.Thread(target=self._run, args=(event,), daemon=True).start()

    def outcome(self, timeout: float = 60.0) -> Outcome:
        """Wait for the invocation's end."""
        return self._outcome.result(timeout)

    @property
    def done(self) -> bool:
        """Whether the caller has been told how it ended."""
        return self._outcome.done()

    def _run(self, event: Any) -> None:
        try:
            self._outcome.set_result(self.environment.invoke(event))
        except BaseException as error:
            self._outcome.set_exception(error)


class Function:
    """A deployed function; use it as a context manager.

    An invocation gets an idle environment (a warm start) or else a new one (a cold start).
    """

    def __init__(
        self,
        handler: str,
        *,
        variables: Mapping[str, str],
        name: str | None = None,
        timeout: float = 900.0,
        task_root: Path,
        managed: bool = False,
    ) -> None:
        self.name = name or handler.partition(".")[0].replace("_", "-")
        self.environments: list[Environment] = []
        self._busy: dict[str, Running] = {}
        self._handler = handler
        self._options: dict[str, Any] = {
            "name": self.name,
            "timeout": timeout,
            "variables": variables,
            "task_root": task_root,
            "managed": managed,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for environment in self.environments:
            environment.close()

    def start(self, event: Any) -> Running:
        """Begin an invocation."""
        environment = next((e for e in self.environments if self._is_free(e)), None)
        if environment is None:
            environment = self._create()
        running = self._busy[environment.id] = Running(environment, event)
        return running

    def invoke(self, event: Any) -> Outcome:
        """Run one invocation from its beginning to its end."""
        return self.start(event).outcome(timeout=1000)

    def prewarm(self, count: int) -> None:
        """Start environments, so that the next invocations are warm."""
        for _ in range(count):
            self._create()
        for environment in self.environments:
            environment.wait_until_idle()

    @property
    def logs(self) -> list[str]:
        """Every line that the function has written."""
        return [line for environment in self.environments for line in environment.logs]

    def _create(self) -> Environment:
        environment = Environment(self._handler, **self._options)
        self.environments.append(environment)
        return environment

    def _is_free(self, environment: Environment) -> bool:
        running = self._busy.get(environment.id)
        return environment.alive and environment.idle and (running is None or running.done)
