"""What people are told of jobs that have to happen, and how they have one done once more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambda_singleton import Lease, MemoryStore, singleton
from lambda_singleton._decorator.coalesce import work_of
from lambda_singleton.stores import Success
from lambda_singleton_cli.__main__ import main

from ..fakes import START

Command = Callable[..., int]
SLOT = {"time": "2030-01-31T02:00:00Z"}
ROW = f"hourly#{SLOT['time']}"


@pytest.fixture
def command(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr("lambda_singleton_cli.__main__.DynamoDBStore", lambda table: memory)
    return lambda *arguments: main(arguments)


@pytest.fixture
def shown(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[[str], dict[str, str]]:
    """The facts that `show` tells of a lease, and the same for machines."""

    def shown(name: str) -> dict[str, str]:
        assert command("show", name) == 0
        lines = capsys.readouterr().out.splitlines()[1:]
        return {line.split("  ")[1]: line.split("  ")[-1].strip() for line in lines if line.strip()}

    return shown


def for_machines(command: Command, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert command("show", name, "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def hourly(memory: MemoryStore) -> Any:
    @singleton("hourly", 30, key="time", once=True, store=memory)
    def handler(event: object, context: object) -> str:
        return "written"

    return handler


class TestRedo:
    def test_a_slot_is_done_once_more(
        self, command: Command, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler = hourly(memory)
        assert handler(SLOT, None) == "written"
        assert handler(SLOT, None)["reason"] == "done"
        assert command("redo", ROW) == 0
        assert capsys.readouterr().out == (
            f"'{ROW}' is forgotten: the next delivery does it again\n"
        )
        assert handler(SLOT, None) == "written"
        assert handler(SLOT, None)["reason"] == "done", "once more, not for ever"

    def test_an_order_that_was_superseded_is_applied(
        self, command: Command, memory: MemoryStore
    ) -> None:
        @singleton("prices", 30, order="version", store=memory)
        def handler(event: dict[str, Any], context: object) -> str:
            if event.get("fails"):
                raise ValueError("fails")
            return "written"

        with pytest.raises(ValueError, match="fails"):
            handler({"version": 7, "fails": True}, None)
        old: Any = handler({"version": 6}, None)
        assert old["reason"] == "superseded"
        assert command("redo", "prices") == 0
        assert handler({"version": 6}, None) == "written"

    def test_tells_when_there_is_nothing_to_forget(
        self, command: Command, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hourly(memory)(SLOT, None)
        assert command("redo", ROW) == 0
        capsys.readouterr()
        assert command("redo", ROW) == 0
        assert capsys.readouterr().out == (
            f"'{ROW}' has nothing that was done: there is nothing to forget\n"
        )

    def test_tells_machines(
        self, command: Command, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hourly(memory)(SLOT, None)
        for forgotten in (True, False):
            assert command("redo", ROW, "--json") == 0
            told = json.loads(capsys.readouterr().out)
            assert told["forgotten"] is forgotten
            assert "done" not in told["lease"]
            assert told["lease"]["name"] == ROW

    def test_a_lease_that_is_not_there_is_told(
        self, command: Command, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("redo", "nothing") == 3
        assert "there is no lease 'nothing'" in capsys.readouterr().err


class TestShow:
    def test_what_is_done(
        self,
        command: Command,
        memory: MemoryStore,
        shown: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        hourly(memory)(SLOT, None)
        facts = shown(ROW)
        assert facts["done"] == "1"
        assert "begun" not in facts, "it says no more than that"
        told = for_machines(command, ROW, capsys)
        assert (told["done"], told["begun"]) == (1, 1)

    def test_what_has_begun(self, memory: MemoryStore, shown: Any) -> None:
        @singleton("prices", 30, order="version", store=memory)
        def handler(event: dict[str, Any], context: object) -> None:
            if event["version"] == 8:
                raise ValueError("fails")

        handler({"version": 7}, None)
        with pytest.raises(ValueError, match="fails"):
            handler({"version": 8}, None)
        facts = shown("prices")
        assert (facts["done"], facts["begun"]) == ("7", "8")

    def test_how_far_it_has_come(
        self,
        command: Command,
        memory: MemoryStore,
        shown: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        @singleton("pages", 30, store=memory)
        def handler(event: object, context: object, lease: Lease) -> None:
            lease.checkpoint({"page": 7})
            raise ValueError("fails")

        with pytest.raises(ValueError, match="fails"):
            handler({}, None)
        assert shown("pages")["progress"] == '{"page":7}'
        assert for_machines(command, "pages", capsys)["progress"] == '{"page":7}'

    def test_what_others_may_share(
        self,
        command: Command,
        memory: MemoryStore,
        shown: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def handler(event: object, context: object) -> None: ...

        singleton("index", 30, on_held="coalesce", wait=5, store=memory)(handler)({}, None)
        work = work_of(handler)
        token = round(START * 1000) + 1
        assert shown("index")["succeeded"] == f"token {token}, {work}"
        told = for_machines(command, "index", capsys)
        assert (told["succeeded"], told["succeeded_by"]) == (token, work)

    def test_says_nothing_of_what_is_not_used(
        self,
        command: Command,
        memory: MemoryStore,
        shown: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        singleton("plain", 30, store=memory)(lambda event, context: None)({}, None)
        unused = {"done", "begun", "progress", "succeeded", "succeeded_by"}
        assert not unused & shown("plain").keys()
        assert not unused & for_machines(command, "plain", capsys).keys()

    def test_hostile_texts_are_escaped(self, memory: MemoryStore, shown: Any) -> None:
        singleton("plain", 30, store=memory)(lambda event, context: None)({}, None)
        record = memory.get("plain")
        assert record is not None
        memory._records["plain"] = record._replace(success=Success(7, "x\x1b[31m"))
        assert shown("plain")["succeeded"] == r"token 7, x\x1b[31m"
