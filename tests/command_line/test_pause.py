"""A maintenance window: who asks for it, who is refused meanwhile, and how it ends."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from lambda_singleton import (
    DynamoDBStore,
    LeaseHeldError,
    LeaseStore,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton.testing import FakeContext
from lambda_singleton_cli.__main__ import main
from lambda_singleton_cli.status import State, Status

from ..fakes import START, FakeClock

Command = Callable[..., int]


@pytest.fixture
def store(memory: MemoryStore) -> MemoryStore:
    return memory


@pytest.fixture
def command(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr("lambda_singleton_cli.__main__.DynamoDBStore", lambda *_, **__: store)
    return lambda *arguments: main(list(arguments))


def state(store: LeaseStore) -> State:
    record = store.get("job")
    assert record is not None
    return Status.of(record, store).state


class TestPause:
    def test_nobody_runs_and_is_told_why(
        self,
        command: Command,
        store: MemoryStore,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert command("pause", "job", "--for", "2h", "--by", "ops-ann") == 0
        until = "2027-01-15 10:00:00 UTC"
        assert capsys.readouterr().out == f"'job' is paused until {until} by ops-ann\n"
        assert state(store) is State.PAUSED

        @singleton("job", 60, on_held="skip", store=store)
        def handler(event: object, context: object) -> None:
            pytest.fail("must not run")

        with caplog.at_level(logging.INFO, "lambda_singleton"):
            skipped = handler({}, FakeContext())
        assert skipped is not None
        assert skipped["reason"] == "paused"
        assert skipped["lease"]["held_until"] == START + 7200
        assert (skipped["lease"]["holder"] or {})["paused_by"] == "ops-ann"
        said = "is paused until 2027-01-15T10:00:00.000Z by ops-ann"
        assert said in caplog.text
        with pytest.raises(LeaseHeldError, match=said) as refusal:
            Lock("job", 60, store=store).acquire()
        assert refusal.value.reason == "paused"

    def test_names_its_operator_by_default(
        self,
        command: Command,
        store: MemoryStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("LOGNAME", "ann")
        monkeypatch.setattr("socket.gethostname", lambda: "desk")
        assert command("pause", "job", "--for", "90s", "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["lease"]["state"] == "paused"
        assert shown["lease"]["holder"]["paused_by"] == "ann@desk"

    def test_whoever_runs_is_not_disturbed(
        self, command: Command, store: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lease = Lock("job", 60, store=store).acquire()
        assert command("pause", "job", "--for", "2h") == 75
        assert "'job' is held by" in capsys.readouterr().err
        lease.renew()

    def test_waits_for_a_runs_end(
        self, command: Command, store: MemoryStore, clock: FakeClock
    ) -> None:
        lease = Lock("job", 60, store=store).acquire()
        sleep = clock.sleep

        def release_after_5_looks(seconds: float, /) -> None:
            sleep(seconds)
            if len(clock.sleeps) == 5:
                lease.release()

        clock.sleep = release_after_5_looks  # type: ignore[method-assign]
        assert command("pause", "job", "--for", "2h", "--wait", "1min") == 0
        assert len(clock.sleeps) == 5
        assert state(store) is State.PAUSED

    def test_a_second_one_moves_the_end_on_and_never_back(
        self, command: Command, store: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("pause", "job", "--for", "1h") == 0
        first = store.get("job")
        assert command("pause", "job", "--for", "3h") == 0
        assert "until 2027-01-15 11:00:00 UTC" in capsys.readouterr().out
        second = store.get("job")
        assert first is not None
        assert second is not None
        assert (second.owner, second.token) == (first.owner, first.token)
        assert command("pause", "job", "--for", "2h") == 75
        assert "is paused until 2027-01-15 11:00:00 UTC" in capsys.readouterr().err

    def test_ends_by_itself_and_nobody_has_died(
        self, command: Command, store: MemoryStore, clock: FakeClock
    ) -> None:
        assert command("pause", "job", "--for", "1h") == 0
        clock.now += 3600 + 1
        assert state(store) is State.FREE
        lease = Lock("job", 60, store=store).acquire()
        assert lease.taken_from is None

    def test_in_a_real_table(
        self,
        dynamodb: DynamoDBStore,
        name: str,
        table: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        there = ("--table", table)
        assert main(["pause", name, "--for", "2h", "--by", "ops", *there]) == 0
        assert main(["pause", name, "--for", "3h", *there]) == 0
        with pytest.raises(LeaseHeldError) as refusal:
            Lock(name, 60, store=dynamodb).acquire()
        assert refusal.value.reason == "paused"
        assert (refusal.value.holder or {})["paused_by"] == "ops"
        capsys.readouterr()
        assert main(["show", name, *there]) == 0
        assert "paused: an operator has it" in capsys.readouterr().out
        assert main(["resume", name, *there]) == 0
        Lock(name, 60, store=dynamodb).acquire().release()

    @pytest.mark.parametrize("length", ["0", "31d", "2 weeks", "-1h", "nan", ""])
    def test_lengths_that_are_none(self, command: Command, length: str) -> None:
        with pytest.raises(SystemExit) as exit_:
            command("pause", "job", f"--for={length}")
        assert exit_.value.code == 2


class TestResume:
    def test_the_next_caller_gets_it(
        self, command: Command, store: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Lock("job", 60, store=store):
            pass
        before = store.get("job")
        command("pause", "job", "--for", "2h")
        capsys.readouterr()
        assert command("resume", "job") == 0
        assert capsys.readouterr().out == "'job' is resumed: the next caller gets it\n"
        after = store.get("job")
        assert before is not None
        assert after is not None
        assert after.last_run == before.last_run
        assert Lock("job", 60, store=store).acquire().taken_from is None

    def test_frees_nobody_else(
        self, command: Command, store: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lease = Lock("job", 60, store=store).acquire()
        assert command("resume", "job", "--json") == 0
        assert json.loads(capsys.readouterr().out)["resumed"] is False
        lease.renew()

    def test_a_lease_that_is_not_there(self, command: Command) -> None:
        assert command("resume", "job") == 3


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ([], ["a[1]", "job", "sync#north", "sync#south"]),
            (["sync#*"], ["sync#north", "sync#south"]),
            (["a[1]", "job"], ["a[1]", "job"]),
            (["--state", "paused"], ["job"]),
            (["--state", "paused", "--state", "held"], ["job", "sync#north"]),
            (["*#north", "--state", "free"], []),
        ],
    )
    def test_names_and_states(
        self,
        command: Command,
        store: MemoryStore,
        capsys: pytest.CaptureFixture[str],
        filters: list[str],
        names: list[str],
    ) -> None:
        for free in ("a[1]", "sync#south"):
            Lock(free, 60, store=store).acquire().release()
        Lock("sync#north", 60, store=store).acquire()
        command("pause", "job", "--for", "2h")
        capsys.readouterr()
        assert command("list", *filters, "--json") == 0
        assert [lease["name"] for lease in json.loads(capsys.readouterr().out)] == names

    def test_says_when_none_is_left(
        self, command: Command, store: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Lock("job", 60, store=store).acquire()
        assert command("list", "other*") == 0
        assert capsys.readouterr().out == "no such leases\n"
