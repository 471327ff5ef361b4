"""The local Lambda does to handlers what Lambda does, and the leases stand it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock
from lambda_singleton.testing import FakeClock
from local_lambda import Engine, EngineError, Function
from local_lambda.engine import refuse_unless_loopback

HANDLERS = Path(__file__).parents[1] / "handlers"

Deploy = Callable[..., Function]


@pytest.fixture
def deploy(lambda_variables: Mapping[str, str], name: str) -> Iterator[Deploy]:
    functions: list[Function] = []

    def deploy(handler: str, *, duration: float | None = 1.5, **options: Any) -> Function:
        variables = {**lambda_variables, "LEASE": name}
        if duration is not None:
            variables["DURATION"] = str(duration)
        function = Function(f"probe.{handler}", variables=variables, task_root=HANDLERS, **options)
        functions.append(function)
        return function

    yield deploy
    for function in functions:
        function.__exit__(None, None, None)


def wait_for_log(function: Function, text: str) -> None:
    while text not in "\n".join(function.logs):
        time.sleep(0.01)


def test_a_handler_runs_on_the_main_thread_with_lambdas_variables(deploy: Deploy) -> None:
    function = deploy("answers", name="probe", timeout=60)
    result = function.invoke({"a": 1}).result
    assert result["event"] == {"a": 1}
    assert result["main_thread"]
    assert 58_000 < result["remaining"] <= 60_000
    assert result["variables"]["AWS_LAMBDA_FUNCTION_NAME"] == "probe"
    assert result["variables"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert "AWS_LAMBDA_LOG_STREAM_NAME" in result["variables"]


def test_warm_starts_share_a_process_and_concurrent_ones_do_not(deploy: Deploy) -> None:
    function = deploy("answers")
    pids = {function.invoke({}).result["pid"] for _ in range(3)}
    assert len(pids) == 1
    function.prewarm(1)
    first, second = function.start({}), function.start({})
    assert first.environment is not second.environment
    first.outcome()
    second.outcome()


def test_errors_have_their_bare_class_name(deploy: Deploy, name: str, table: str) -> None:
    outcome = deploy("raises").invoke({})
    assert (outcome.error_type, outcome.error_message) == ("LookupError", "a bare class name")
    Lock(name, 60, store=DynamoDBStore(table)).acquire()
    assert deploy("answers").invoke({}).error_type == "LeaseHeldError"
    with pytest.raises(RuntimeError, match="LeaseHeldError"):
        _ = deploy("answers").invoke({}).result


def test_an_environment_that_dies_is_replaced(deploy: Deploy) -> None:
    function = deploy("crashes")
    outcomes = [function.invoke({}) for _ in range(2)]
    assert [outcome.error_type for outcome in outcomes] == ["Runtime.ExitError"] * 2
    assert "exit status 7" in outcomes[0].error_message
    assert len(function.environments) == 2


def test_an_import_that_fails_is_an_init_error(lambda_variables: Mapping[str, str]) -> None:
    with Function("missing.handler", variables=lambda_variables, task_root=HANDLERS) as function:
        outcome = function.invoke({})
    assert outcome.error_type == "Runtime.ImportModuleError"


def test_the_kill_comes_at_the_deadline_and_leaves_nothing_stuck(
    deploy: Deploy, dynamodb: DynamoDBStore, name: str
) -> None:
    function = deploy("sleeps", duration=60, timeout=1.0)
    outcome = function.invoke({})
    assert outcome.error_type == "Sandbox.Timedout"
    assert not function.environments[0].alive
    record = dynamodb.get(name)
    assert record is not None
    assert record.owner is not None, "nobody could release it"
    assert record.expires_at is not None
    # As long as the kill may come late; what lies between two looks at the clock is others' skew.
    assert 0 <= record.expires_at - (outcome.started + 1 + 2) + 0.001 < 1


def test_a_process_is_frozen_between_invocations(deploy: Deploy) -> None:
    function = deploy("answers")
    function.invoke({})
    pid = function.environments[0].pid
    state = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    assert state is not None
    assert state.si_status == signal.SIGSTOP
    assert function.invoke({}).error_type is None


def test_managed_instances_are_neither_frozen_nor_killed(deploy: Deploy) -> None:
    function = deploy("ticks", managed=True, timeout=0.5)
    outcome = function.invoke({})
    assert outcome.error_type == "Sandbox.Timedout"
    before = len(function.logs)
    while len(function.logs) < before + 3:
        time.sleep(0.01)
    assert function.environments[0].alive


@pytest.mark.parametrize("duration", [None, 60, 1.5])
def test_on_managed_instances_the_library_stops_the_handler_at_the_deadline(
    deploy: Deploy, dynamodb: DynamoDBStore, name: str, duration: float | None
) -> None:
    function = deploy("sleeps", duration=duration, managed=True, timeout=2.5)
    outcome = function.invoke({})
    assert outcome.error_type == "Sandbox.Timedout"
    environment = function.environments[0]
    while not environment.idle:
        time.sleep(0.01)
    assert environment.alive
    record = dynamodb.get(name)
    assert record is not None
    assert record.owner is None
    assert record.last_run is not None
    assert record.last_run["outcome"] == "lost"
    wait_for_log(function, "LeaseLostError")


@pytest.mark.parametrize("handler", ["sleeps", "waits_on_a_socket", "loops", "catches_and_goes_on"])
def test_a_lost_lease_interrupts_a_handler(
    deploy: Deploy, dynamodb: DynamoDBStore, name: str, handler: str
) -> None:
    function = deploy(handler)
    running = function.start({})
    wait_for_log(function, "at work")
    dynamodb.force_release(name)
    outcome = running.outcome()
    assert outcome.error_type == "LeaseLostError"
    assert function.environments[0].alive, "and the environment serves on"


def test_a_paused_holder_sends_nothing_and_is_interrupted(
    deploy: Deploy, dynamodb: DynamoDBStore, name: str
) -> None:
    function = deploy("sleeps")
    running = function.start({})
    wait_for_log(function, "at work")
    running.environment.pause()
    successor = Lock(name, 30, store=dynamodb).acquire(wait=10)
    before = dynamodb.get(name)
    running.environment.thaw()
    assert running.outcome().error_type == "LeaseLostError"
    assert dynamodb.get(name) == before
    successor.release()


def test_sys_exit_in_a_handler_releases_before_the_process_ends(
    deploy: Deploy, dynamodb: DynamoDBStore, name: str
) -> None:
    outcome = deploy("exits", duration=30).invoke(3)
    assert outcome.error_type == "Runtime.ExitError"
    assert "exit status 3" in outcome.error_message
    record = dynamodb.get(name)
    assert record is not None
    assert record.owner is None


def test_a_thousand_warm_invocations_keep_the_number_of_threads(deploy: Deploy) -> None:
    function = deploy("answers", duration=60)
    results = [function.invoke({}).result for _ in range(1000)]
    assert {result["pid"] for result in results} == {results[0]["pid"]}
    # The handler's own thread and the one that would renew.
    assert {result["threads"] for result in results} == {2}
    tokens = [result["token"] for result in results]
    assert tokens == list(range(tokens[0], tokens[0] + 1000))


class TestTakeOver:
    def test_a_killed_holder_blocks_for_its_lease_and_the_skew_and_no_longer(
        self, deploy: Deploy, dynamodb: DynamoDBStore, name: str, shows_refusals: bool
    ) -> None:
        """SIGKILL into a lease of 6 s, of an invocation that may take 900 s."""
        holder = deploy("sleeps", duration=6, timeout=900)
        running = holder.start({})
        wait_for_log(holder, "at work")
        running.environment.kill()
        assert running.outcome().error_type == "Runtime.ExitError"
        killed = dynamodb.get(name)
        assert killed is not None
        assert killed.expires_at is not None
        fresh = deploy("answers", duration=30)
        fresh.prewarm(1)

        with pytest.raises(LeaseHeldError) as held:
            Lock(name, 30, store=dynamodb).acquire()
        assert held.value.held_until == (killed.expires_at if shows_refusals else None)
        # A caller's clock decides: at its end, and at the end of what clocks may differ.
        for moment in (killed.expires_at, killed.expires_at + 0.999):
            then = DynamoDBStore(dynamodb.table_name, clock=FakeClock(moment))
            with pytest.raises(LeaseHeldError):
                Lock(name, 30, store=then).acquire()

        time.sleep(max(0.0, killed.expires_at + 1.001 - time.time()))
        outcome = fresh.invoke({})
        assert outcome.result["token"] == killed.token + 1, "the first request takes it"


class TestTheEngine:
    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://10.0.0.7:8000",
            "http://localhost.example:8000",
            "http://evil.example\\@127.0.0.1:8000",
            "http://127.0.0.1:8000@evil.example",
            "http://me:secret@127.0.0.1:8000",
            "http://127.0.0.1:8000\\.evil.example",
            "http://127.0.0.1.evil.example:8000",
            "http://127.0.0.1:8000/\n.evil.example",
            "http://127.0.0.1 .evil.example",
            "http://127.0.0.1:8000?@evil.example",
            "http://127.0.0.1#@evil.example",
            "http://\uff11\uff12\uff17.0.0.1:8000",
            "http://127.0.0.256",
            "file://127.0.0.1/x",
            "//127.0.0.1:8000",
            "no-url",
        ],
    )
    def test_an_endpoint_elsewhere_is_refused(self, endpoint: str) -> None:
        with pytest.raises(EngineError, match="only talk to this machine"):
            refuse_unless_loopback(endpoint)

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
    def test_one_on_this_machine_is_accepted(self, host: str) -> None:
        refuse_unless_loopback(f"http://{host}:8000")

    def test_without_one_nothing_starts(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setattr("local_lambda.engine.EMBEDDED", tmp_path / "none")
        with pytest.raises(EngineError, match="make setup"), Engine():
            pass

    def test_it_listens_on_loopback_only(self, engine: Engine) -> None:
        refuse_unless_loopback(engine.endpoint)
