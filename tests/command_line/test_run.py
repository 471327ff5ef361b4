"""`lambda-singleton run`: real processes, of which neither a lease nor a child is left."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from lambda_singleton import DynamoDBStore, Lock
from lambda_singleton._protocol.record import LeaseRecord

pytestmark = pytest.mark.timeout(90)

TOOLS = Path(__file__).parents[2] / "tools"

#: Starts a grandchild in the background, says so, and waits for both: what a script does.
NESTED = "sh -c 'sleep 100 & echo $! >> {pids}; wait' & echo $! >> {pids}; echo $$ >> {pids}; wait"


class Command:
    """One `lambda-singleton run`, and the processes that its command says it has."""

    def __init__(self, process: subprocess.Popen[str], pids: Path) -> None:
        self.process = process
        self._pids = pids

    @property
    def pids(self) -> list[int]:
        return list(map(int, self._pids.read_text().split())) if self._pids.exists() else []

    def started(self, count: int = 1) -> Command:
        self.until(lambda: len(self.pids) >= count)
        return self

    def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        give_up_at = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up_at, self.process.poll()
            time.sleep(0.02)

    @property
    def alive(self) -> list[int]:
        return [pid for pid in self.pids if is_alive(pid)]

    def end(self) -> int:
        return self.process.wait(timeout=40)


def is_alive(pid: int) -> bool:
    # A zombie that nobody reaps does nothing any more.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return list(map(int, found))


@pytest.fixture
def run(
    lambda_variables: Mapping[str, str], name: str, tmp_path: Path
) -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []
    pids = tmp_path / "pids"

    def run(*options: str, script: str = "", words: list[str] | None = None) -> Command:
        shell = ["sh", "-c", script.format(pids=pids)] if words is None else words
        process = subprocess.Popen(
            [sys.executable, "-m", "lambda_singleton_cli", "run", name, *options, "--", *shell],
            env={**os.environ, **lambda_variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        commands.append(Command(process, pids))
        return commands[-1]

    yield run
    for command in commands:
        command.process.kill()
        for pid in command.alive:
            os.kill(pid, signal.SIGKILL)
        command.process.communicate()


@pytest.fixture
def row(dynamodb: DynamoDBStore, name: str) -> Callable[[], LeaseRecord]:
    def row() -> LeaseRecord:
        record = dynamodb.get(name)
        assert record is not None
        return record

    return row


Run = Callable[..., Command]
Row = Callable[[], LeaseRecord]


def test_the_command_runs_under_the_lease(run: Run, row: Row, name: str) -> None:
    command = run(script="echo $SINGLETON_TOKEN $SINGLETON_LEASE")
    out, err = command.process.communicate(timeout=40)
    assert (command.process.returncode, err) == (0, "")
    assert out.split() == [str(row().token), name]
    assert row().owner is None
    assert (row().last_run or {})["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_code_is_the_commands_own(run: Run, row: Row, script: str, code: int) -> None:
    assert run(script=script).end() == code
    assert row().owner is None


def test_a_command_that_is_not_there(run: Run, row: Row, tmp_path: Path) -> None:
    assert run(words=["no-such-command"]).end() == 127
    plain = tmp_path / "plain"
    plain.write_text("")
    assert run(words=[str(plain)]).end() == 126
    assert row().owner is None


def test_refused(run: Run, row: Row, name: str, dynamodb: DynamoDBStore) -> None:
    with Lock(name, 60, store=dynamodb) as lease:
        held = run(script="echo $$ >> {pids}")
        assert held.end() == 75
        assert f"lease '{name}' is held until" in (held.process.communicate()[1])
        skipped = run("--on-held", "skip", script="echo $$ >> {pids}")
        assert skipped.end() == 0
        assert "skipped: " in skipped.process.communicate()[1]
        assert row().owner == lease.owner
    assert held.pids == []


def test_a_minimum_hold(run: Run) -> None:
    assert run("--min-hold", "1min", script="exit 0").end() == 0
    again = run(script="exit 0")
    assert again.end() == 75
    assert "rests until" in again.process.communicate()[1]


def test_waiting(run: Run, row: Row, name: str, dynamodb: DynamoDBStore) -> None:
    with Lock(name, 60, store=dynamodb):
        waiting = run("--wait", "1min", script="echo $$ >> {pids}")
        waiting.until(lambda: row().tickets)
        assert waiting.pids == []
    assert waiting.end() == 0
    assert len(waiting.pids) == 1
    assert row().owner is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signalled_while_it_waits(
    run: Run, row: Row, name: str, dynamodb: DynamoDBStore, number: signal.Signals
) -> None:
    with Lock(name, 60, store=dynamodb) as lease:
        waiting = run("--wait", "1min", script="echo $$ >> {pids}")
        waiting.until(lambda: row().tickets)
        waiting.process.send_signal(number)
        assert waiting.end() == 128 + number
        assert row().owner == lease.owner
    assert waiting.pids == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signalled_a_nested_shell_ends_as_a_whole(
    run: Run, row: Row, number: signal.Signals
) -> None:
    # A shell has its background jobs ignore SIGINT and SIGQUIT: they are ended afterwards.
    command = run(script=NESTED).started(3)
    command.process.send_signal(number)
    assert command.end() == 128 + number
    assert command.alive == []
    assert row().owner is None


def test_a_signal_is_the_commands_to_handle(run: Run, row: Row) -> None:
    script = "trap 'echo got >&2; exit 9' USR1; echo $$ >> {pids}; while :; do sleep 0.1; done"
    command = run(script=script).started()
    command.process.send_signal(signal.SIGUSR1)
    assert command.end() == 9
    assert "got" in command.process.communicate()[1]
    assert row().owner is None


def test_one_that_does_not_obey_sigterm_is_killed_after_its_grace(run: Run, row: Row) -> None:
    script = "trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.1; done"
    command = run("--grace", "0.5", script=script).started()
    command.process.send_signal(signal.SIGTERM)
    assert command.end() == 137
    assert command.alive == []
    assert row().owner is None


def test_what_it_leaves_running_is_ended_before_the_lease_is_released(run: Run, row: Row) -> None:
    command = run(script="sleep 100 & echo $! >> {pids}")
    assert command.end() == 0
    assert len(command.pids) == 1
    assert command.alive == []
    assert row().owner is None


def test_nor_does_a_daemon_outlive_the_lease(run: Run, row: Row) -> None:
    script = "setsid sh -c 'trap : TERM; echo $$ >> {pids}; while :; do sleep 0.1; done' & sleep 1"
    command = run("--grace", "0.5", script=script)
    command.started()
    assert command.end() == 0
    assert command.alive == []
    assert row().owner is None


def test_lost(run: Run, row: Row, name: str, dynamodb: DynamoDBStore) -> None:
    command = run("--duration", "3", script=NESTED).started(3)
    token = row().token
    dynamodb.force_release(name)
    lease = Lock(name, 60, store=dynamodb).acquire()
    assert command.end() == 70
    assert "the command was stopped" in command.process.communicate()[1]
    assert command.alive == []
    assert (row().owner, row().token > token) == (lease.owner, True)


def test_killed_its_command_ends_before_anybody_else_may_start(
    run: Run, name: str, dynamodb: DynamoDBStore
) -> None:
    command = run("--duration", "3", script=NESTED).started(3)
    command.process.kill()
    with Lock(name, 30, wait=30, store=dynamodb):
        assert command.alive == []


def test_killed_one_that_does_not_obey_is_killed_before_the_leases_end(
    run: Run, name: str, dynamodb: DynamoDBStore
) -> None:
    script = "trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.1; done"
    command = run("--duration", "3", "--grace", "100", script=script).started()
    command.process.kill()
    with Lock(name, 30, wait=30, store=dynamodb):
        assert command.alive == []


def test_stopped_its_command_ends_before_anybody_else_may_start(
    run: Run, row: Row, name: str, dynamodb: DynamoDBStore
) -> None:
    command = run("--duration", "3", script=NESTED).started(3)
    command.process.send_signal(signal.SIGSTOP)
    with Lock(name, 30, wait=30, store=dynamodb) as lease:
        assert command.alive == []
        command.process.send_signal(signal.SIGCONT)
        assert command.end() == 70
        assert row().owner == lease.owner


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_its_supervisor_the_command_ends_as_well(
    run: Run, row: Row, number: signal.Signals, name: str, dynamodb: DynamoDBStore
) -> None:
    command = run("--duration", "3", "--grace", "0.5", script=NESTED).started(3)
    (supervisor,) = children(command.process.pid)
    os.kill(supervisor, number)
    command.process.send_signal(signal.SIGTERM)
    if number == signal.SIGSTOP:
        dynamodb.force_release(name)
    assert command.end() in (137, 70)
    assert command.alive == []
    assert row().owner is None


def test_a_long_command_keeps_its_lease(run: Run, row: Row) -> None:
    command = run("--duration", "6", script="echo $$ >> {pids}; sleep 10; exit 5").started()
    first = row()
    command.until(lambda: row().expires_at != first.expires_at)
    assert row().owner == first.owner
    assert command.end() == 5
    assert row().owner is None


@pytest.mark.parametrize(
    ("variables", "code"),
    [({"SINGLETON_TABLE": "no-such-table"}, 78), ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 69)],
)
def test_without_a_store_nothing_runs(
    lambda_variables: Mapping[str, str], name: str, variables: dict[str, str], code: int
) -> None:
    words = [sys.executable, "-m", "lambda_singleton_cli", "run", name, "--", "echo", "ran"]
    environment = {**os.environ, **lambda_variables, **variables}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("lambda-singleton: ")


def test_without_a_command(name: str) -> None:
    words = [sys.executable, "-m", "lambda_singleton_cli", "run", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "after `--`" in done.stderr


def test_under_itself_it_is_refused(run: Run, row: Row, name: str) -> None:
    inner = [sys.executable, "-m", "lambda_singleton_cli", "run", name, "--", "echo", "ran"]
    command = run(words=inner)
    out, err = command.process.communicate(timeout=40)
    assert (command.process.returncode, out) == (75, "")
    assert "is held until" in err
    assert row().owner is None


def test_ctrl_c_reaches_the_command_and_the_terminal_comes_back(
    lambda_variables: Mapping[str, str], name: str, tmp_path: Path, row: Row
) -> None:
    (tmp_path / "inner.sh").write_text(
        "trap 'echo stopped by ctrl-c; exit 7' INT; echo ready; while :; do sleep 0.1; done"
    )
    inner = f"{sys.executable} -m lambda_singleton_cli run {name} -- sh inner.sh"
    (tmp_path / "outer.sh").write_text(f"{inner}\necho code $?; read line; echo read $line\n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ.update(lambda_variables)
        os.execvp("bash", ["bash", "-i", "outer.sh"])  # noqa: S606, S607
    shown = until_shown(terminal, "ready")
    os.write(terminal, b"\x03")
    shown += until_shown(terminal, "code")
    os.write(terminal, b"a line\n")
    shown += until_shown(terminal, "read a line")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert "stopped by ctrl-c" in shown
    assert "code 7" in shown
    assert row().owner is None


def until_shown(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 4096).decode()
    return shown
