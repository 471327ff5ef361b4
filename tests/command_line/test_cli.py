"""The command line: what people, pipes and scripts are told of leases on the real engine."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO, StringIO, TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from lambda_singleton import (
    DynamoDBStore,
    LeaseHeldError,
    LeaseLostError,
    LeaseRecord,
    LeaseStoreError,
    Lock,
    MemoryStore,
    __version__,
)
from lambda_singleton._clock import epoch, utc
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import ForceRelease, Release, Renew
from lambda_singleton._protocol.store import Reply
from lambda_singleton_cli.__main__ import main
from lambda_singleton_cli.changes import Change, Kind
from lambda_singleton_cli.columns import COLUMNS
from lambda_singleton_cli.commands.watch import Watch, remember
from lambda_singleton_cli.plain_renderer import PlainRenderer
from lambda_singleton_cli.rich_renderer import RichRenderer
from lambda_singleton_cli.screen import Picture
from lambda_singleton_cli.status import State, Status
from lambda_singleton_cli.terminal_text import clip, terminal_text, width_of
from lambda_singleton_cli.times import length, relative, seconds_of
from local_lambda import Engine

from ..fakes import START, FakeClock, acquire

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
HOSTILE = "x\x1b]0;owned\x07\x1b[31m[bold red]\u202e\ny"
ESCAPED = r"x\x1b]0;owned\x07\x1b[31m[bold red]\u202e\ny"

Command = Callable[..., int]
Played = Callable[..., subprocess.CompletedProcess[str]]
Step = Callable[[DynamoDBStore], object]


@pytest.fixture
def store(engine: Engine, clock: FakeClock, name: str) -> DynamoDBStore:
    """A table of its own, at a time that the test sets."""
    store = DynamoDBStore(name, clock=clock)
    store.create_table()
    return store


@pytest.fixture
def command(store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command at that time."""
    monkeypatch.setattr("lambda_singleton_cli.__main__.DynamoDBStore", lambda table: store)
    return lambda *arguments: main(arguments)


def take(
    store: DynamoDBStore | MemoryStore,
    lease: str,
    owner: str = "4f3a91c2-77",
    duration: float = 30,
    **facts: str,
) -> None:
    """Let somebody take it, at the store's time and whatever clocks say."""
    now = store.clock.time()
    bid = acquire(lease, owner, now=now - START, duration=duration)
    known = {"function": "work", "request_id": owner, "acquired_at": utc(now)}
    assert store.execute(bid._replace(holder=known | facts), timeout=1).applied


def renew(store: DynamoDBStore | MemoryStore, lease: str, duration: float = 30) -> None:
    record = store.get(lease)
    assert record is not None
    assert record.owner is not None
    end = round((store.clock.time() + duration) * 1000)
    assert store.execute(Renew(lease, record.owner, end), timeout=1).applied


def give_back(
    store: DynamoDBStore | MemoryStore, lease: str, outcome: str = "succeeded", rest: float = 0
) -> None:
    record, now = store.get(lease), store.clock.time()
    assert record is not None
    assert record.owner is not None
    assert record.holder is not None
    run = {"started": record.holder["acquired_at"], "ended": utc(now), "outcome": outcome}
    free_at = round((now + rest) * 1000) if rest else None
    release = Release(lease, record.owner, round(now * 1000), free_at, run)
    assert store.execute(release, timeout=1).applied


def put(store: DynamoDBStore, **row: Mapping[str, Any]) -> None:
    """Write a row that this package never would."""
    boto3.client("dynamodb").put_item(TableName=store._table, Item=row)


def one_of_each(store: DynamoDBStore, clock: FakeClock) -> None:
    """Leave a lease in each state, the latest at 100 s."""
    take(store, "reindex", "8a70d3c7-01", 900)
    take(store, "tenant-sync#a41", "e306558c-02", 60)
    take(store, "quota-reset", "f6ccfb7e-03")
    clock.now = 4
    give_back(store, "quota-reset")
    take(store, "nightly-report", "6ce9a885-04")
    clock.now = 10
    give_back(store, "nightly-report", "failed", rest=290)
    clock.now = 69.5
    take(store, "ledger", "c57f2a4b-05")
    clock.now = 100


def cells(text: str) -> list[list[str]]:
    """Return what stands between at least two blanks."""
    return [re.split(" {2,}", line.rstrip()) for line in text.splitlines()]


def drawn(statuses: list[Status], width: int) -> str:
    """Return rich's table without its colours."""
    file = StringIO()
    RichRenderer(Console(width=width, force_terminal=True, file=file)).table(statuses)
    return ANSI.sub("", file.getvalue())


@pytest.fixture(autouse=True, scope="module")
def interruptible() -> Iterator[None]:
    """Who runs tests in the background may have all their children ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Terminal:
    """A real process at a terminal of its own."""

    def __init__(self, *arguments: str, code: str = "", columns: int = 100, **more: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        variables = {key: value for key, value in os.environ.items() if key not in UNSET}
        program = ["-c", f"{code}; {START_UP}"] if code else ["-m", "lambda_singleton_cli"]
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=variables | {"TERM": "xterm-256color"} | more,
        )
        os.close(theirs)
        self.raw = ""

    @property
    def shown(self) -> str:
        """All that was ever shown, without what moves the cursor or gives colours."""
        return ANSI.sub("", self.raw).replace("\r\n", "\n")

    def until(self, *texts: str) -> None:
        """Wait until all of them were shown."""
        while not all(text in self.shown for text in texts):
            assert self.read(), f"no {texts} in {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> int:
        """Do what Ctrl-C does, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Return the exit code."""
        while self.read():
            pass
        os.close(self._ours)
        return self.process.wait(timeout=10)

    def read(self, patience: float = 20) -> bool:
        """Return whether there was something."""
        if not select.select([self._ours], [], [], patience)[0]:
            return False
        try:
            self.raw += os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # the other end is closed
            return False
        return True


UNSET = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")
START_UP = "from lambda_singleton_cli.__main__ import main; sys.exit(main())"
WITHOUT_RICH = "import sys; sys.modules['rich'] = None"


def at_a_pipe(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lambda_singleton_cli", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | more,
        check=False,
    )


class TestList:
    def test_tells_the_state_of_each_lease(
        self,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        one_of_each(store, clock)
        assert command("list") == 0
        assert cells(capsys.readouterr().out) == [
            ["LEASE", "STATE", "HOLDER", "SINCE", "UNTIL", "LAST RUN", "AGE"],
            ["ledger", "ending", "work c57f2a4b", "08:01:09", "now", "-", "30 s"],
            ["nightly-report", "resting", "-", "08:00:10", "in 3 min", "failed 90 s ago", "90 s"],
            ["quota-reset", "free", "-", "08:00:04", "-", "succeeded 96 s ago", "96 s"],
            ["reindex", "held", "work 8a70d3c7", "08:00:00", "in 13 min", "-", "100 s"],
            ["tenant-sync#a41", "dead", "work e306558c", "08:00:00", "40 s ago", "-", "100 s"],
        ]

    def test_tells_machines_more(
        self,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        one_of_each(store, clock)
        assert command("list", "--json") == 0
        leases = json.loads(capsys.readouterr().out)
        states = ["ending", "resting", "free", "held", "dead"]
        assert [lease["state"] for lease in leases] == states
        assert leases[1] == {
            "name": "nightly-report",
            "state": "resting",
            "token": 1_800_000_004_001,
            "owner": None,
            "holder": {
                "function": "work",
                "request_id": "6ce9a885-04",
                "acquired_at": "2027-01-15T08:00:04.000Z",
            },
            "since": "2027-01-15T08:00:10.000Z",
            "until": "2027-01-15T08:05:00.000Z",
            "age": 90.0,
            "duration": 30.0,
            "renewed": None,
            "free_at": "2027-01-15T08:05:00.000Z",
            "waiting": 0,
            "last_run": {
                "started": "2027-01-15T08:00:04.000Z",
                "ended": "2027-01-15T08:00:10.000Z",
                "outcome": "failed",
            },
        }
        assert leases[3]["free_at"] == "2027-01-15T08:15:01.000Z", "the end and the skew"
        assert leases[3]["owner"] == "8a70d3c7-01"
        assert leases[4]["free_at"] is None

    def test_nothing(self, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
        assert command("list", "--json") == 0
        assert json.loads(capsys.readouterr().out) == []
        assert command("list") == 0
        assert "no leases" in capsys.readouterr().out

    def test_names_a_row_that_makes_no_sense_and_passes_over_what_is_no_lease(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(store, "ledger")
        put(store, id={"S": "spoilt"}, token={"S": "many\nlines"})
        put(store, id={"S": "invoice-17"}, total={"N": "7"})
        assert command("list", "--json") == 0
        shown = capsys.readouterr()
        assert [lease["name"] for lease in json.loads(shown.out)] == ["ledger"]
        (warning,) = shown.err.splitlines()
        assert warning.startswith("lambda-singleton: not listed: row 'spoilt' of table")
        assert "token is not a whole number" in warning

    def test_rows_at_the_ends_of_time(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        latest, owner = {"N": "253402300799999"}, {"S": "o"}
        ancient = {"M": {"acquired_at": {"S": "0001-01-01T00:00:00Z"}}}
        run = {"M": {"started": {"S": "never"}, "ended": {"S": ""}}}
        put(store, id={"S": "a"}, token={"N": "1"}, owner=owner, expires_at_ms=latest)
        put(
            store,
            id={"S": "b"},
            token={"N": "1"},
            owner=owner,
            expires_at_ms={"N": "0"},
            duration_ms=latest,
            holder=ancient,
            last_run=run,
        )
        assert command("list", "--json") == 0
        states = {lease["name"]: lease["state"] for lease in json.loads(capsys.readouterr().out)}
        assert states == {"a": "held", "b": "dead"}
        for arguments in (["list"], ["show", "a"], ["show", "b"], ["show", "a", "--json"]):
            assert command(*arguments) == 0
        assert "9999-12-31" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "moment",
        [
            "0001-01-01T00:00:00+14:00",
            "0001-01-01T00:00:00",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999-14:00",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59.999999",
        ],
    )
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
    def test_a_time_that_cannot_be_written_is_none(
        self,
        moment: str,
        zone: str,
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert epoch(moment) is None
        take(store, "ledger")
        odd = {"M": {"acquired_at": {"S": moment}}}
        run = {"M": {"started": {"S": moment}, "ended": {"S": moment}, "outcome": {"S": "lost"}}}
        held = {"owner": {"S": "o"}, "expires_at_ms": {"N": "253402300799999"}}
        put(store, id={"S": "held"}, token={"N": "1"}, holder=odd, last_run=run, **held)
        put(store, id={"S": "free"}, token={"N": "1"}, holder=odd, last_run=run)
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            for arguments in (["list"], ["list", "--json"], ["show", "held"], ["show", "free"]):
                assert command(*arguments) == 0
            assert command("release", "held", "--yes") == 0
        finally:
            monkeypatch.delenv("TZ")
            time.tzset()
        shown = capsys.readouterr()
        assert shown.out.count("ledger") == 2, "nobody is blinded"
        assert "'held' was released by force" in shown.out


class TestState:
    @pytest.mark.parametrize("at", [0, 29.999, 30, 30.999, 31, 1000])
    def test_is_what_an_acquisition_meets(
        self, at: float, memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger")
        clock.now = at
        (record,) = memory.records()
        state = Status.of(record, memory).state
        assert state is (State.HELD if at < 30 else State.ENDING if at < 31 else State.DEAD)
        assert (state is State.DEAD) == acquire("ledger", "other", now=at).allows(record)

    @pytest.mark.parametrize("at", [0, 9.999, 10])
    def test_of_a_minimum_hold(self, at: float, memory: MemoryStore, clock: FakeClock) -> None:
        take(memory, "ledger")
        give_back(memory, "ledger", rest=10)
        clock.now = at
        (record,) = memory.records()
        state = Status.of(record, memory).state
        assert state is (State.RESTING if at < 10 else State.FREE)
        assert (state is State.FREE) == acquire("ledger", "other", now=at).allows(record)

    def test_nobody_knows_since_when_a_lease_is_free_that_was_freed_by_force(
        self, memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger")
        give_back(memory, "ledger")
        clock.now = 5
        take(memory, "ledger", "other")
        status = Status.of(memory.force_release("ledger"), memory)
        assert (status.state, status.since, status.age) == (State.FREE, None, None)


class TestWidth:
    @pytest.fixture
    def statuses(self, memory: MemoryStore) -> list[Status]:
        for lease in ("ledger", "tenant-sync#" + "0123456789" * 8, "報告書#東京"):
            take(memory, lease, function="a-function-with-a-rather-long-name")
        return [Status.of(record, memory) for record in memory.records()]

    @pytest.mark.parametrize("width", [14, 16, 20, 30, 40, 60, 80, 100, 200])
    def test_no_line_is_wider_than_the_terminal(
        self, width: int, statuses: list[Status], capsys: pytest.CaptureFixture[str]
    ) -> None:
        PlainRenderer(width).table(statuses)
        plain, pretty = capsys.readouterr().out, drawn(statuses, width)
        assert cells(plain.lower()) == cells(pretty), "one decides, two draw"
        lines = pretty.splitlines()
        assert len(lines) == 4, "no line is wrapped"
        assert max(map(width_of, lines)) <= width
        assert all("  held" in line for line in lines[1:])
        assert lines[1].startswith("ledger ")

    def test_the_least_important_columns_go_first(
        self, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(memory, "ledger")
        give_back(memory, "ledger")
        take(memory, "ledger", "other")
        statuses = [Status.of(record, memory) for record in memory.records()]
        left: list[list[str]] = []
        for width in range(100, 10, -1):
            PlainRenderer(width).table(statuses)
            titles = cells(capsys.readouterr().out)[0]
            if titles not in left:
                left.append(titles)
        gone = [set(one) - set(other) for one, other in pairwise(left)]
        assert gone == [{"SINCE"}, {"AGE"}, {"LAST RUN"}, {"HOLDER"}, {"UNTIL"}]

    def test_a_pipe_has_no_edge(
        self, statuses: list[Status], capsys: pytest.CaptureFixture[str]
    ) -> None:
        PlainRenderer(None).table(statuses)
        shown = capsys.readouterr().out
        assert len(cells(shown)[0]) == len(COLUMNS)
        assert "tenant-sync#" + "0123456789" * 8 in shown

    @pytest.mark.parametrize("most", [1, 2, 5, 6, 9])
    def test_what_is_cut_keeps_both_ends(self, most: int) -> None:
        assert width_of(clip("tenant-sync#a41", most)) == most
        assert width_of(clip("報告書#東京", most)) <= most
        assert clip("tenant-sync#a41", 9) == "tena…#a41"
        assert clip("ledger", 6) == "ledger"
        assert clip("abcdefghij", 9) == "abcd…ghij", "no more is left out than has to be"

    def test_a_name_has_a_third_of_the_terminal_and_what_others_leave(
        self, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(memory, "x" * 80)
        statuses = [Status.of(record, memory) for record in memory.records()]
        widths = {}
        for width in (120, 60, 40, 15, 12):
            PlainRenderer(width).table(statuses)
            widths[width] = capsys.readouterr().out.splitlines()[1].index("  ")
        # STATE takes five, and two blanks; six are the least that is left of a name.
        assert widths == {120: 40, 60: 20, 40: 16, 15: 8, 12: 6}


class TestWhen:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.4, "0 s"),
            (42, "42 s"),
            (59.6, "1 min"),
            (190, "3 min 10 s"),
            (3605, "1 h"),
            (7500, "2 h 5 min"),
            (90_000, "1 d 1 h"),
            (1, "1 s"),
            (61, "1 min 1 s"),
            (3661, "1 h 1 min"),
            (90_061, "1 d 1 h"),
            *((60, "1 min"), (3_600, "1 h"), (86_400, "1 d"), (86_399, "23 h 59 min")),
        ],
    )
    def test_length(self, seconds: float, words: str) -> None:
        assert length(seconds) == words

    @pytest.mark.parametrize(
        ("moment", "words"),
        [
            *((0.4, "now"), (42, "in 42 s"), (-119, "119 s ago"), (-120, "2 min ago")),
            *((1, "in 1 s"), (-1, "1 s ago"), (7199, "in 119 min"), (7200, "in 2 h")),
            *((1e6, "in 11 d"), (172_800, "in 2 d"), (172_799, "in 47 h"), (119, "in 119 s")),
        ],
    )
    def test_relative(self, moment: float, words: str) -> None:
        assert relative(START + moment, START) == words

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90", 90), ("90s", 90), ("1.5 m", 90), ("15min", 900), ("2h", 7200), ("3d", 259_200)],
    )
    def test_seconds(self, text: str, seconds: float) -> None:
        assert seconds_of(text) == seconds


class TestHostileRows:
    """Who may write to the table chooses names and holders."""

    @pytest.mark.parametrize(
        "arguments", [["list"], ["show", HOSTILE], ["release", HOSTILE, "--yes"]]
    )
    def test_do_not_control_what_reads_them(
        self,
        arguments: list[str],
        command: Command,
        store: DynamoDBStore,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        said = ("function", "version", "log_group", "log_stream", "region")
        facts: Any = dict.fromkeys(said, HOSTILE)
        take(store, HOSTILE, **facts)
        give_back(store, HOSTILE, HOSTILE)
        take(store, HOSTILE, "other", **facts)
        assert command(*arguments) == 0
        shown = capsys.readouterr()
        assert ESCAPED in shown.out
        assert (shown.out + shown.err).replace("\n", "").isprintable()

    def test_do_not_control_a_terminal(self, table: str) -> None:
        lease = f"[bold red]a[/]:bug:{HOSTILE}"
        take(DynamoDBStore(table), lease, function="[blink]f[/blink]")
        for arguments in (["show", lease], ["watch", lease]):
            terminal = Terminal(*arguments, columns=200, SINGLETON_TABLE=table)
            terminal.until("[blink]f[/blink]", f"[bold red]a[/]:bug:{ESCAPED}")
            terminal.interrupt()
            assert "\x1b]0" not in terminal.raw
            assert "\x07" not in terminal.raw

    def test_give_no_options_to_who_pastes_the_command(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(store, "a", log_group="--endpoint-url=http://x", log_stream="s")
        take(store, "b", log_group="/g", log_stream="$(reboot)", region="--debug")
        assert command("show", "a") == 0
        assert "aws logs" not in capsys.readouterr().out
        assert command("show", "b") == 0
        shown = capsys.readouterr().out
        assert "'--log-stream-names=$(reboot)'" in shown
        assert " --region=--debug" in shown

    def test_other_scripts_are_left_alone(self) -> None:
        assert terminal_text("報告書#東京 é") == "報告書#東京 é"


class TestShow:
    def facts(self, shown: str) -> dict[str, str]:
        return {row[1]: row[2] for row in cells(shown)[1:]}

    def test_tells_all_about_a_held_lease(
        self,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "report", "earlier")
        give_back(store, "report", "failed")
        clock.now = 60
        logs = {"log_group": "/aws/lambda/work", "log_stream": "2027/01/15/[$LATEST]5841"}
        take(store, "report", "4f3a91c2", 60, version="7", region="eu-west-1", **logs)
        clock.now = 100
        renew(store, "report", 60)
        clock.now = 112
        assert command("show", "report") == 0
        shown = capsys.readouterr().out
        assert shown.startswith("report\n")
        assert self.facts(shown) == {
            "state": "held: somebody has it, and its time is not over",
            "holder": "work, version 7, in eu-west-1",
            "request": "4f3a91c2",
            "log group": "/aws/lambda/work",
            "log stream": "2027/01/15/[$LATEST]5841",
            "read them": "aws logs tail /aws/lambda/work"
            " '--log-stream-names=2027/01/15/[$LATEST]5841' --since=2027-01-15T08:01:00.000Z"
            " --region=eu-west-1",
            "since": "2027-01-15 08:01:00 UTC, 52 s ago",
            "until": "2027-01-15 08:02:40 UTC, in 48 s",
            "renewed": "about 12 s ago, for 1 min at a time",
            "free": "when its holder ends; without another renewal"
            " 2027-01-15 08:02:41 UTC, in 49 s",
            "last run": "failed, 112 s ago, 2027-01-15 08:00:00 UTC, took 0 s",
            "token": "1800000000002",
            "owner": "4f3a91c2",
        }

    def test_tells_when_each_state_ends(
        self,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        one_of_each(store, clock)
        free = {}
        for record in store.records():
            assert command("show", record.name) == 0
            free[record.name] = self.facts(capsys.readouterr().out)["free"]
        assert free == {
            "reindex": "when its holder ends; without another renewal"
            " 2027-01-15 08:15:01 UTC, in 13 min",
            "tenant-sync#a41": "now: the next caller gets it",
            "quota-reset": "now: the next caller gets it",
            "nightly-report": "2027-01-15 08:05:00 UTC, in 3 min",
            "ledger": "2027-01-15 08:01:40 UTC, now",
        }

    def test_a_lease_that_was_just_taken_by_a_real_holder(
        self, table: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Lock(name, 30, store=DynamoDBStore(table)):
            assert main(["show", name, "--table", table]) == 0
        facts = self.facts(capsys.readouterr().out)
        assert facts["renewed"] == "not since it was taken, for 30 s at a time"
        assert f"process {os.getpid()}" in facts["holder"]
        assert main(["show", name, "--table", table]) == 0
        facts = self.facts(capsys.readouterr().out)
        assert facts["state"].startswith("free: ")
        assert facts["last run"].startswith("succeeded, now, ")
        assert "was held by" in facts
        assert "owner" not in facts

    def test_counts_those_who_wait(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(store, "ledger", duration=600)
        for _ in range(2):
            with pytest.raises(LeaseHeldError):
                Lock("ledger", 30, wait=0.01, store=store).acquire()
        assert command("show", "ledger") == 0
        assert self.facts(capsys.readouterr().out)["waiting"].startswith("2 at most")

    def test_tells_machines_the_same_as_list(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(store, "ledger")
        assert command("show", "ledger", "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert command("list", "--json") == 0
        assert json.loads(capsys.readouterr().out) == [shown]

    def test_there_is_no_such_lease(
        self, command: Command, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("show", "ledger", "--json") == 3
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "no lease 'ledger' in table " in shown.err

    def test_a_row_that_makes_no_sense(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(store, id={"S": "spoilt"}, token={"N": "-1"})
        assert command("show", "spoilt") == 1
        assert "'spoilt'" in capsys.readouterr().err


class TestChanges:
    """What two looks make of what happened between them."""

    @pytest.fixture
    def seen(self, memory: MemoryStore, clock: FakeClock) -> Callable[[], list[tuple[str, str]]]:
        watch = Watch(memory, ())
        watch.look()

        def look() -> list[tuple[str, str]]:
            clock.now += 1
            return [(change.kind.value, change.detail) for change in watch.look()]

        return look

    def test_a_run(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore, clock: FakeClock
    ) -> None:
        assert seen() == []
        take(memory, "ledger")
        assert seen() == [("acquired", "by work 4f3a91c2, token 1800000001001")]
        assert seen() == []
        renew(memory, "ledger", 31)
        assert seen() == [("renewed", "for 30 s more")]
        give_back(memory, "ledger", rest=3)
        assert seen() == [("released", "succeeded after 3 s")]
        clock.now += 10
        assert seen() == [], "the end of a rest is nobody's deed"

    def test_a_holder_dies_and_another_takes_over(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger")
        seen()
        clock.now += 40
        assert seen() == [("expired", "work 4f3a91c2 did not renew it")]
        assert seen() == [], "told once"
        take(memory, "ledger", "b")
        took_over = ("taken over", "by work b, after work 4f3a91c2 died, token 1800000000002")
        assert seen() == [took_over]

    def test_one_that_died_unseen(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger")
        clock.now += 40
        take(memory, "ledger", "b")
        assert seen() == [("taken over", "by work b, after somebody died, token 1800000000002")]

    def test_force(self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore) -> None:
        take(memory, "ledger")
        seen()
        memory.force_release("ledger")
        freed = ("freed by force", "token 1800000000002, which fences work 4f3a91c2")
        assert seen() == [freed]
        memory.force_release("ledger")
        assert seen() == [("freed by force", "token 1800000000003")]

    def test_several_things_at_once(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger")
        give_back(memory, "ledger", "failed")
        assert [kind for kind, _ in seen()] == ["acquired", "released"]
        take(memory, "ledger", "a")
        seen()
        give_back(memory, "ledger", "failed")
        take(memory, "ledger", "b")
        assert seen() == [
            ("released", "failed after 1 s"),
            ("acquired", "by work b, token 1800000000003"),
        ]
        give_back(memory, "ledger")
        take(memory, "ledger", "c")
        give_back(memory, "ledger", "lost")
        assert seen() == [
            ("released", ""),
            ("acquired", "by work c, token 1800000000004"),
            ("released", "lost after 0 s"),
        ]
        take(memory, "ledger", "d")
        seen()
        memory.force_release("ledger")
        take(memory, "ledger", "e")
        assert [kind for kind, _ in seen()] == ["freed by force", "acquired"]

    def test_an_acquisition_whose_reply_was_lost_is_no_loss(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore, clock: FakeClock
    ) -> None:
        take(memory, "ledger", "a")
        seen()
        take(memory, "ledger", "a")
        assert seen() == [("acquired", "by work a, token 1800000000002")]
        for token in (1, 2):
            told_little = acquire("reindex", "a", now=clock.now)
            memory.execute(told_little, timeout=1)
            assert [kind for kind, _ in seen()] == ["acquired"], token

    def test_a_row_is_deleted(
        self, seen: Callable[[], list[tuple[str, str]]], memory: MemoryStore
    ) -> None:
        take(memory, "ledger")
        seen()
        del memory._records["ledger"]
        assert seen() == [("gone", "its token was 1800000000001")]

    def test_renewals_in_a_row_are_one_line(self, memory: MemoryStore, clock: FakeClock) -> None:
        watch = Watch(memory, ())
        kept: list[Change] = []
        for lease in ("a", "b"):
            take(memory, lease)
        watch.look()
        for _ in range(3):
            clock.now += 1
            for lease in ("a", "b"):
                renew(memory, lease)
            kept = remember(kept, watch.look())
        give_back(memory, "a")
        kept = remember(kept, watch.look())
        told = [(change.texts[0], change.kind, change.times) for change in kept]
        assert told == [("a", Kind.RENEWED, 3), ("b", Kind.RENEWED, 3), ("a", Kind.RELEASED, 1)]


class Script(FakeClock):
    """A clock whose pauses are for the test's steps; then somebody presses Ctrl-C."""

    def __init__(self, steps: list[Callable[[], object]]) -> None:
        super().__init__()
        self._steps = steps

    def sleep(self, seconds: float, /) -> None:
        super().sleep(seconds)
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


class TestWatchInAPipe:
    @pytest.fixture
    def watch(
        self,
        engine: Engine,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Played:
        def play(*steps: Step, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
            script = Script([lambda: left.pop(0)(store)] * len(steps))
            left = list(steps)
            store = DynamoDBStore(name, clock=script)
            store.create_table()
            take(store, "quota-reset", duration=600)
            monkeypatch.setattr("lambda_singleton_cli.__main__.DynamoDBStore", lambda table: store)
            code = main(["watch", *options])
            assert code == 0, "Ctrl-C is the way to end it"
            assert set(script.sleeps) == {1.0}
            return subprocess.CompletedProcess(options, code, *capsys.readouterr())

        return play

    def test_is_one_line_for_each_change(self, watch: Played) -> None:
        shown = watch(
            lambda store: take(store, "ledger"),
            lambda store: None,
            lambda store: give_back(store, "ledger"),
        )
        assert shown.stdout.splitlines() == [
            "2027-01-15T08:00:01.000Z ledger acquired by work 4f3a91c2, token 1800000001001",
            "2027-01-15T08:00:03.000Z ledger released succeeded after 2 s",
        ]

    def test_in_json(self, watch: Played) -> None:
        shown = watch(
            lambda store: take(store, "ledger"),
            lambda store: store.force_release("ledger"),
            options=("--json",),
        )
        first, second = map(json.loads, shown.stdout.splitlines())
        assert (first["at"], first["change"], first["name"]) == (
            "2027-01-15T08:00:01.000Z",
            "acquired",
            "ledger",
        )
        assert first["lease"]["owner"] == "4f3a91c2-77"
        assert second["change"] == "freed by force"
        assert second["lease"]["state"] == "free"

    def test_of_chosen_leases(self, watch: Played) -> None:
        shown = watch(
            lambda store: take(store, "ledger"),
            lambda store: take(store, "reindex"),
            lambda store: take(store, "tenant-sync#a41"),
            options=("ledger", "tenant-sync#a41"),
        )
        assert [line.split()[1] for line in shown.stdout.splitlines()] == [
            "ledger",
            "tenant-sync#a41",
        ]

    def test_goes_on_while_the_store_does_not_answer(self, watch: Played) -> None:
        def fail(store: DynamoDBStore) -> None:
            def records() -> Iterator[LeaseRecord]:
                raise LeaseStoreError("no answer")

            store.__dict__["records"] = records

        def come_back(store: DynamoDBStore) -> None:
            del store.__dict__["records"]
            take(store, "ledger")

        shown = watch(fail, lambda store: None, come_back)
        assert shown.stderr == "lambda-singleton: no answer; trying again\n", "once"
        assert "ledger acquired" in shown.stdout

    def test_warns_of_a_row_once(self, watch: Played) -> None:
        shown = watch(
            lambda store: put(store, id={"S": "spoilt"}, token={"N": "-1"}),
            lambda store: None,
            lambda store: None,
        )
        assert shown.stderr.count("'spoilt'") == 1

    def test_ends_where_something_has_to_be_changed(
        self, engine: Engine, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["watch", "--table", name]) == 1
        assert "does not exist" in capsys.readouterr().err

    def test_each_line_gets_out_at_once(self, table: str, name: str) -> None:
        arguments = ["watch", name, "--interval", "0.1", "--table", table]
        with subprocess.Popen(
            [sys.executable, "-m", "lambda_singleton_cli", *arguments],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": ""},
        ) as process:
            assert process.stdout is not None
            lock = Lock(name, 30, store=DynamoDBStore(table))
            written = b""
            while not written:
                with lock:
                    if select.select([process.stdout], [], [], 0.3)[0]:
                        written = os.read(process.stdout.fileno(), 65_536)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
        assert written.split()[1].decode() == name
        assert len(written) < 4096, "not kept until a buffer is full"


class TestWatchOnAScreen:
    def picture(self, statuses: list[Status], height: int, changes: int, notes: int) -> list[str]:
        watched = [(Kind.RENEWED, status, "") for status in statuses[:1]] * changes
        picture = Picture.of("title", statuses, [Change(*one) for one in watched], ["note"] * notes)
        console = Console(width=80, height=height, force_terminal=True, file=StringIO())
        console.print(RichRenderer(console).picture(picture))
        assert isinstance(console.file, StringIO)
        return ANSI.sub("", console.file.getvalue()).splitlines()

    @pytest.mark.parametrize("height", [10, 12, 24, 60])
    def test_fits(self, height: int, memory: MemoryStore) -> None:
        for number in range(30):
            take(memory, f"lease-{number:02}")
            if number != 17:
                give_back(memory, f"lease-{number:02}")
        statuses = [Status.of(record, memory) for record in memory.records()]
        for changes, notes in ((0, 0), (0, 1), (3, 1), (50, 1), (50, 3)):
            lines = self.picture(statuses, height, changes, notes)
            assert len(lines) <= height
            shown = [line for line in lines if line.startswith("lease-")]
            assert any("held" in line for line in shown), "what is in use is not left out"
            assert shown == sorted(shown)
            assert len(shown) >= min(30, height - 16), "changes leave some room"
            assert lines[1].startswith("1 held, 29 free")
            assert ("not shown" in lines[1]) == (len(shown) < 30)

    @pytest.mark.parametrize(("width", "room"), [(40, 16), (80, 20), (120, 30)])
    def test_a_change_leaves_its_name_a_quarter_of_the_terminal(
        self, width: int, room: int, memory: MemoryStore
    ) -> None:
        for lease in ("ledger", "tenant-sync#" + "0123456789" * 8):
            take(memory, lease)
        statuses = [Status.of(record, memory) for record in memory.records()]
        changes = [Change(Kind.RENEWED, status, "for 30 s more") for status in statuses]
        picture = Picture.of("title", statuses, changes)
        lines = picture.latest(picture.grid(width, 24), width, 24)
        assert [width_of(line.name) for line in lines] == [room, room]
        long, short = (line.name for line in lines)
        assert (long[:6], long[-6:]) == ("tenant", "456789")
        assert short.rstrip() == "ledger"

    def test_many_notes_leave_room_for_leases(self, memory: MemoryStore) -> None:
        take(memory, "ledger")
        lines = self.picture([Status.of(record, memory) for record in memory.records()], 12, 0, 40)
        assert len(lines) <= 12
        assert any(line.startswith("ledger") for line in lines)
        assert "and 37 more notes" in lines

    @pytest.mark.parametrize("code", ["", WITHOUT_RICH])
    def test_a_real_terminal(self, code: str, table: str, name: str) -> None:
        arguments = ["watch", name, name + "-later", "--interval", "0.1"]
        with Lock(name, 30, store=DynamoDBStore(table)):
            terminal = Terminal(*arguments, code=code, SINGLETON_TABLE=table)
            terminal.until(f"table {table} at ", "1 held", "nobody has taken")
        terminal.until("released", "1 free")
        take(DynamoDBStore(table), name, function="nightly-report", request_id="1")
        terminal.until("acquired", "by nightly-report 1")
        assert terminal.interrupt() == 0
        assert "Traceback" not in terminal.shown
        assert (COLOUR.search(terminal.raw) is None) == bool(code)
        if not code:
            assert terminal.raw.count("\x1b[?1049h") == terminal.raw.count("\x1b[?1049l") == 1
            _, after = terminal.raw.split("\x1b[?1049l")
            assert "released" in after, "the last picture stays"

    def test_a_terminal_gets_json_if_it_asks(self, table: str, name: str) -> None:
        arguments = ["watch", name, "--json", "--interval", "0.1"]
        terminal = Terminal(*arguments, columns=1000, SINGLETON_TABLE=table)
        lock = Lock(name, 30, store=DynamoDBStore(table))
        while "\n" not in terminal.shown:
            with lock:
                terminal.read(0.3)
        assert terminal.interrupt() == 0
        assert json.loads(terminal.raw.splitlines()[0])["name"] == name

    def test_no_screen_can_be_drawn_on_a_dumb_terminal(self, table: str, name: str) -> None:
        terminal = Terminal("watch", name, "--interval", "0.1", TERM="dumb", SINGLETON_TABLE=table)
        lock = Lock(name, 30, store=DynamoDBStore(table))
        while f"{name} acquired by" not in terminal.shown:
            with lock:
                terminal.read(0.3)
        assert terminal.interrupt() == 0
        assert "\x1b" not in terminal.raw


class TestColour:
    @pytest.mark.parametrize(
        ("variables", "code", "coloured"),
        [({}, "", True), ({"NO_COLOR": "1"}, "", False), ({}, WITHOUT_RICH, False)],
    )
    def test_is_only_for_terminals_that_want_it(
        self, variables: dict[str, str], code: str, coloured: bool, table: str, name: str
    ) -> None:
        take(DynamoDBStore(table), name)
        terminal = Terminal("list", code=code, columns=60, SINGLETON_TABLE=table, **variables)
        assert terminal.end() == 0
        assert re.search(rf"{name[:8]}.*…\S+ +held", terminal.shown)
        assert (COLOUR.search(terminal.raw) is not None) == coloured
        assert max(map(len, terminal.shown.splitlines())) <= 60

    def test_never_is_in_a_pipe(self, table: str, name: str) -> None:
        take(DynamoDBStore(table), name)
        shown = at_a_pipe("list", SINGLETON_TABLE=table, COLUMNS="20", FORCE_COLOR="1")
        assert shown.returncode == 0
        assert "\x1b" not in shown.stdout
        assert re.search(f"^{name} +held +work 4f3a91c2 ", shown.stdout, re.MULTILINE)


class Person(StringIO):
    """Somebody at a terminal, who answers after a while."""

    def __init__(self, answer: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__(answer)
        self.meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:  # type: ignore[override]
        self.meanwhile()
        return super().readline()


class TestRelease:
    @pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4), ("", 4)])
    def test_asks_a_person(self, answer: str, code: int, table: str, name: str) -> None:
        store = DynamoDBStore(table)
        take(store, name, duration=600)
        before = store.get(name)
        terminal = Terminal("release", name, SINGLETON_TABLE=table)
        terminal.until("by force? [y/N]")
        for fact in ("work", "4f3a91c2-77", "token is raised", "with its next renewal", "fenced"):
            assert fact in terminal.shown
        assert store.get(name) == before, "nothing happens before the answer"
        terminal.type(f"{answer}\n")
        assert terminal.end() == code
        after = store.get(name)
        assert after is not None
        assert before is not None
        if answer == "y":
            assert (after.owner, after.token) == (None, before.token + 1)
            assert f"token is {after.token} now" in terminal.shown
        else:
            assert after == before
            assert "Nothing was changed" in terminal.shown

    def test_ctrl_c_is_no_consent(self, table: str, name: str) -> None:
        store = DynamoDBStore(table)
        take(store, name, duration=600)
        terminal = Terminal("release", name, SINGLETON_TABLE=table)
        terminal.until("by force? [y/N]")
        assert terminal.interrupt() == 130
        assert "Traceback" not in terminal.shown
        record = store.get(name)
        assert record is not None
        assert record.owner is not None

    def test_the_answer_is_about_the_holder_that_was_shown(
        self,
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "ledger", "first")

        def change_hands() -> None:
            give_back(store, "ledger")
            take(store, "ledger", "second")
            person.meanwhile = lambda: None

        person = Person("y\nn\n", change_hands)
        monkeypatch.setattr("sys.stdin", person)
        assert command("release", "ledger") == 4
        shown = capsys.readouterr().err
        assert shown.index("first") < shown.index("Meanwhile") < shown.index("second")
        record = store.get("ledger")
        assert record is not None
        assert record.owner == "second"

    @pytest.mark.parametrize("options", [[], ["--yes"]])
    def test_frees_nobody_who_came_at_the_last_moment(
        self,
        options: list[str],
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "ledger", "first")
        execute, freed = store.execute, []

        def change_hands_first(operation: Operation, *, timeout: float) -> Reply:
            if isinstance(operation, ForceRelease):
                freed.append(store.get("ledger"))
                monkeypatch.setattr(store, "execute", execute)
                give_back(store, "ledger")
                take(store, "ledger", "second")
            return execute(operation, timeout=timeout)

        monkeypatch.setattr(store, "execute", change_hands_first)
        monkeypatch.setattr("sys.stdin", Person("y\nn\n"))
        assert command("release", "ledger", *options) == (0 if options else 4)
        shown = capsys.readouterr().err
        assert [record and record.owner for record in freed] == ["first"]
        assert shown.index("first") < shown.index("second"), "the new holder is shown as well"
        record = store.get("ledger")
        assert record is not None
        assert record.owner == (None if options else "second")

    def test_gives_up_on_what_keeps_changing_hands(
        self,
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "ledger")
        monkeypatch.setattr(store, "execute", lambda operation, *, timeout: Reply(applied=False))
        assert command("release", "ledger", "--yes", "--json") == 1
        assert "'ledger' keeps changing hands: nothing was changed" in capsys.readouterr().err

    def test_no_name_speaks_for_the_command(
        self,
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        name = "ledger is free. Nothing will be changed. Continue? [y/N] ' \u3164"
        take(store, name)
        monkeypatch.setattr("sys.stdin", Person("n\n"))
        assert command("release", name) == 4
        shown = capsys.readouterr().err
        assert (
            "Release 'ledger is free. Nothing will be changed. Continue? [y/N] \\' \\u3164' by"
            in shown
        )
        assert command("release", name, "--yes") == 0
        assert capsys.readouterr().out.startswith("'ledger is free.")

    def test_a_renewal_is_no_other_holder(
        self, command: Command, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take(store, "ledger")
        monkeypatch.setattr("sys.stdin", Person("yes\n", lambda: renew(store, "ledger", 60)))
        assert command("release", "ledger") == 0

    def test_what_was_given_back_meanwhile_is_left_alone(
        self,
        command: Command,
        store: DynamoDBStore,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "ledger")
        monkeypatch.setattr("sys.stdin", Person("y\n", lambda: give_back(store, "ledger")))
        assert command("release", "ledger") == 0
        assert "is free: there is nothing to release" in capsys.readouterr().out

    def test_fences_the_holder(self, memory: MemoryStore, table: str, name: str) -> None:
        lease = Lock(name, 30, store=DynamoDBStore(table)).acquire()
        assert at_a_pipe("release", name, "--yes", SINGLETON_TABLE=table).returncode == 0
        with pytest.raises(LeaseLostError):
            lease.renew()
        with Lock(name, 30, store=DynamoDBStore(table)) as later:
            assert later.token == lease.token + 2

    def test_nobody_is_there_to_ask(self, table: str, name: str) -> None:
        store = DynamoDBStore(table)
        take(store, name)
        before = store.get(name)
        shown = at_a_pipe("release", name, SINGLETON_TABLE=table)
        assert shown.returncode == 2
        assert "--yes" in shown.stderr
        assert shown.stdout == ""
        assert store.get(name) == before

    @pytest.mark.parametrize(
        ("lease", "said"),
        [
            ("reindex", "still be at work"),
            ("ledger", "still be at work"),
            ("tenant-sync#a41", "the next caller takes it over by itself"),
            ("nightly-report", "ends the minimum hold"),
        ],
    )
    def test_says_what_it_means(
        self,
        lease: str,
        said: str,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        one_of_each(store, clock)
        before = store.get(lease)
        assert command("release", lease, "--yes") == 0
        shown, after = capsys.readouterr(), store.get(lease)
        assert said in shown.err
        assert before is not None
        assert after is not None
        assert (after.owner, after.expires_at, after.token) == (None, None, before.token + 1)
        assert shown.out == f"'{lease}' was released by force; its token is {after.token} now\n"
        assert shown.err.count("was released by force") == 0, "said once is enough"

    def test_a_free_lease_is_left_alone(
        self,
        command: Command,
        store: DynamoDBStore,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        one_of_each(store, clock)
        before = store.get("quota-reset")
        assert command("release", "quota-reset", "--yes") == 0
        assert "'quota-reset' is free" in capsys.readouterr().out
        assert store.get("quota-reset") == before

    def test_there_is_no_such_lease(
        self, command: Command, store: DynamoDBStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("release", "ledger", "--yes") == 3
        assert "no lease 'ledger'" in capsys.readouterr().err
        assert store.get("ledger") is None

    def test_for_machines(
        self,
        command: Command,
        store: DynamoDBStore,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        take(store, "ledger")
        for released in (True, False):
            assert command("release", "ledger", "--yes", "--json") == 0
            shown = capsys.readouterr()
            answer = json.loads(shown.out)
            assert shown.err == ""
            assert answer["released"] is released
            assert answer["lease"]["state"] == "free"
            assert answer["lease"]["token"] == 1_800_000_000_002


class TestTimeline:
    LINE = (
        '{"decision": "acquired", "lease": "ledger", "at": "2027-01-15T08:00:00.000Z",'
        ' "owner": "4f3a91c2", "token": 7, "until": "2027-01-15T08:00:30.000Z"}\n'
    )

    def test_from_a_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        events, page = tmp_path / "events.jsonl", tmp_path / "page.html"
        events.write_text(self.LINE)
        assert main(["timeline", str(events), "--output", str(page)]) == 0
        assert capsys.readouterr().out == f"{page}\n"
        assert "ledger" in page.read_text()

    def test_from_a_pipe(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for arguments in ([], ["-"]):
            monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(self.LINE.encode())))
            assert main(["timeline", *arguments]) == 0
            assert capsys.readouterr().out == f"{tmp_path / 'timeline.html'}\n"
            assert "ledger" in (tmp_path / "timeline.html").read_text()

    def test_that_cannot_be_read_or_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = str(tmp_path / "no" / "page.html")
        assert main(["timeline", str(tmp_path / "none.jsonl")]) == 1
        events = tmp_path / "events.jsonl"
        events.write_text(self.LINE)
        assert main(["timeline", str(events), "--output", page]) == 1
        none, nowhere = capsys.readouterr().err.splitlines()
        assert "none.jsonl" in none
        assert "page.html" in nowhere

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"", "has no line, and so none a decision about a lease"),
            (b"\n\n", "has no line"),
            (b"START RequestId: 1\n\xff\xfe\x00\n", "has 2 lines, none of them a decision"),
        ],
    )
    def test_of_nothing_is_an_error(
        self, text: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        events, page = tmp_path / "events.jsonl", tmp_path / "page.html"
        events.write_bytes(text)
        assert main(["timeline", str(events), "--output", str(page)]) == 1
        shown = capsys.readouterr()
        assert said in shown.err
        assert "log format to JSON" in shown.err
        assert shown.out == ""
        assert not page.exists()

    def test_bytes_that_are_no_text_lose_nothing_else(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        events, page = tmp_path / "events.jsonl", tmp_path / "page.html"
        events.write_bytes(b"\xff\n" + self.LINE.encode())
        assert main(["timeline", str(events), "--output", str(page)]) == 0
        assert "ledger" in page.read_text()


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        "arguments", [["list"], ["show", "a"], ["watch"], ["release", "a", "--yes"]]
    )
    def test_nobody_named_a_table(
        self,
        arguments: list[str],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("SINGLETON_TABLE", raising=False)
        assert main(arguments) == 1
        shown = capsys.readouterr()
        assert shown.err.startswith("lambda-singleton: no table: set the environment variable")
        assert shown.out == ""

    def test_no_credentials(self, table: str) -> None:
        nowhere = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
        nowhere["AWS_SHARED_CREDENTIALS_FILE"] = nowhere["AWS_CONFIG_FILE"] = os.devnull
        shown = at_a_pipe("list", "--table", table, **nowhere)
        assert shown.returncode == 1
        assert shown.stderr.startswith("lambda-singleton: boto3 could not send Scan")
        assert len(shown.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["show"],
            ["list", "--state", "lost"],
            ["watch", "--interval", "0"],
            ["watch", "--interval", "nan"],
            ["watch", "--interval", "soon"],
            ["release"],
            ["timeline", "--table", "t"],
        ],
    )
    def test_what_makes_no_sense(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2

    def test_whoever_reads_has_seen_enough(self, table: str, name: str) -> None:
        take(DynamoDBStore(table), name)
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "lambda_singleton_cli", "list", "--table", table]
        variables = os.environ | {"PYTHONUNBUFFERED": ""}
        shown = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, env=variables, check=False
        )
        os.close(writing)
        assert (shown.returncode, shown.stderr) == (0, b"")

    def test_a_terminal_that_knows_no_such_letters(self, table: str) -> None:
        take(DynamoDBStore(table), "報告書")
        shown = at_a_pipe("show", "報告書", "--table", table, PYTHONIOENCODING="ascii")
        assert shown.returncode == 0
        assert shown.stdout.startswith(r"\u5831\u544a\u66f8")


class TestWhere:
    """Which Region, which account, which endpoint."""

    def test_an_endpoint(
        self, engine: Engine, table: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take(DynamoDBStore(table), name)
        where = ["--endpoint-url", engine.endpoint, "--region", "us-east-1", "--table", table]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            assert main(["show", name, *where]) == 0
            assert main(["show", name, "--table", table]) == 1
        assert name in capsys.readouterr().out

    def test_a_profile_comes_before_the_environment(
        self,
        engine: Engine,
        table: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        config = tmp_path / "config"
        config.write_text(
            f"[profile there]\nregion = eu-west-1\nendpoint_url = {engine.endpoint}\n"
            "aws_access_key_id = there\naws_secret_access_key = there\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        seen: list[Any] = []
        make = boto3.Session.client

        def client(session: boto3.Session, *args: Any, **kwargs: Any) -> Any:
            seen.append((session.get_credentials(), session.region_name))
            return make(session, *args, **kwargs)

        monkeypatch.setattr(boto3.Session, "client", client)
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        main(["list", "--table", table, "--profile", "there"])
        ((credentials, region),) = seen
        assert (credentials.access_key, region) == ("there", "eu-west-1")

    @pytest.mark.parametrize(
        "options", [["--profile", "no\x1b[2Jbody"], ["--region", "x\ny"], ["--endpoint-url", "x"]]
    )
    def test_there_is_none(
        self, options: list[str], table: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["list", "--table", table, *options]) == 1
        (shown,) = capsys.readouterr().err.splitlines()
        assert shown.startswith("lambda-singleton: boto3 could not make a client: ")
        assert shown.isprintable()

    def test_the_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"lambda-singleton {__version__}\n"


class TestHelp:
    @pytest.mark.parametrize("command", ["list", "show", "watch", "release", "timeline", "doctor"])
    def test_has_examples_and_fits(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert f"examples:\n  lambda-singleton {command}" in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_tells_the_exit_codes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["--help"])
        shown = capsys.readouterr().out
        assert re.findall(r"^  (\d)  ", shown, re.MULTILINE) == list("012345")
        assert max(map(len, shown.splitlines())) <= 80


def test_creates_a_table_for_machines(
    engine: Engine, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["create-table", "--json", "--table", name]) == 0
    assert json.loads(capsys.readouterr().out) == {"table": name, "ready": True}


def test_the_package_does_without_it() -> None:
    program = (
        "import sys, lambda_singleton;"
        "print([name for name in sys.modules if '_cli' in name or name in ('argparse', 'rich')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


class TestCompletion:
    @pytest.mark.parametrize(
        ("line", "offered"),
        [
            ("lambda-singleton pa", ["pause"]),
            ("lambda-singleton pause --f", ["--for"]),
            ("lambda-singleton run job --on", ["--on-held"]),
        ],
    )
    def test_in_bash(self, line: str, offered: list[str]) -> None:
        script = at_a_pipe("completion", "bash").stdout
        words = " ".join(f"'{word}'" for word in line.split(" "))
        ask = f"COMP_WORDS=({words}); COMP_CWORD={line.count(' ')}; _lambda_singleton"
        shown = subprocess.run(
            [str(shutil.which("bash")), "-c", f'{script}\n{ask}; echo "${{COMPREPLY[@]}}"'],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.split() == offered

    def test_every_command_and_its_options_in_each_shell(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            script = at_a_pipe("completion", shell).stdout
            for word in ("list", "watch", "resume", "run", "doctor", "interval", "min-hold"):
                assert word in script
