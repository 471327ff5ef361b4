"""This library's own two client calls, sent again without the library."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import HeldError
from .floor import Floor
from .ours import ByHand


def recorded(client: Any, guard: Callable[[], None]) -> list[dict[str, Any]]:
    """Return the arguments of the client's updates while `guard` runs."""
    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: object) -> None:
        calls.append(dict(params))

    event = "provide-client-params.dynamodb.UpdateItem"
    client.meta.events.register(event, note)
    guard()
    client.meta.events.unregister(event, note)
    return calls


class Replay(Floor):
    """What is left of a cycle if the library itself costs nothing."""

    package = "lambda-singleton"
    waits = False

    def __init__(self, table: str, lease: float) -> None:
        super().__init__(table, lease)
        ours = ByHand(table, lease)
        ours.store = type(ours.store)(table, client=self.client)
        self.acquire, self.release = recorded(
            self.client, lambda: ours.guard(f"recorded by {os.getpid()}", lambda: None)
        )

    def guard(self, name: str, work: Callable[[], object], wait: float = 0.0) -> None:  # noqa: ARG002
        key = {"id": {"S": name}}
        try:
            self.client.update_item(**{**self.acquire, "Key": key})
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise HeldError from error
        work()
        self.client.update_item(**{**self.release, "Key": key})
