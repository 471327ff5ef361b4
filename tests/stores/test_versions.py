"""A rolling deployment: holders of the version before, beside those of this one, on one row."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambda_singleton import (
    DynamoDBStore,
    Lease,
    LeaseHeldError,
    LeaseLostError,
    Lock,
    observe,
    singleton,
)
from proof.history import Event, History

from ..execution import Execution

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "scripts" / "either_version.py"


class Holder:
    """A process with one version of the package, which does what it is told."""

    def __init__(self, package: Path, variables: Mapping[str, str], name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SCRIPT, name],
            env={**variables, "PYTHONPATH": str(package)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self.ask("tell")
        assert Path(told["file"]).is_relative_to(package)
        self.is_before = not told["shares"]

    def tell(self, verb: str) -> None:
        assert self._process.stdin is not None
        print(verb, file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, verb: str) -> dict[str, Any]:
        self.tell(verb)
        return self.answer()

    def end(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture
def holder(lambda_variables: Mapping[str, str], name: str) -> Iterator[Callable[[Path], Holder]]:
    holders: list[Holder] = []

    def start(package: Path) -> Holder:
        holders.append(Holder(package, lambda_variables, name))
        return holders[-1]

    yield start
    for each in holders:
        each.end()


@pytest.fixture
def old(holder: Callable[[Path], Holder], released: Path) -> Holder:
    old = holder(released)
    assert old.is_before
    return old


def row(store: DynamoDBStore, name: str) -> Any:
    record = store.get(name)
    assert record is not None
    return record


def test_holders_of_both_versions_never_overlap(
    old: Holder,
    holder: Callable[[Path], Holder],
    released: Path,
    name: str,
) -> None:
    new = ROOT / "layer" / "python"
    holders = [old, holder(released), holder(new), holder(new)]
    for each in holders:
        each.tell("compete")
    events = [event for each in holders for event in each.answer()["events"]]
    history = History(Event.from_json(json.dumps(event)) for event in events)
    assert len(history.runs) == 60
    assert history.violations() == []


def test_each_version_refuses_and_fences_the_other(
    old: Holder, dynamodb: DynamoDBStore, name: str
) -> None:
    token = old.ask("take")["token"]
    with pytest.raises(LeaseHeldError):
        Lock(name, 30, store=dynamodb).acquire()
    old.ask("renew")
    old.ask("give")
    with Lock(name, 30, store=dynamodb) as lease:
        assert lease.token == token + 1
        lease.checkpoint("page 1")
        assert "is held until" in old.ask("take")["refused"]
        lease.renew()
    assert old.ask("take")["token"] == token + 2


class TestOnce:
    @pytest.fixture
    def slot(self, name: str) -> str:
        return f"{name}#slot"

    @pytest.fixture
    def old(
        self, holder: Any, lambda_variables: Any, released: Path, slot: str
    ) -> Iterator[Holder]:
        old = Holder(released, lambda_variables, slot)
        yield old
        old.end()

    def test_a_slot_stays_done_but_the_version_before_does_not_look(
        self, old: Holder, dynamodb: DynamoDBStore, name: str, slot: str
    ) -> None:
        guard = singleton(name, 30, key=lambda event, context: "slot", once=True, store=dynamodb)
        handler: Any = guard(lambda event, context: "written")
        assert old.ask("run") == {"result": "done"}
        assert handler({}, None) == "written", "nobody has recorded the run before"
        assert old.ask("run") == {"result": "done"}, "as documented: all holders have to know it"
        assert handler({}, None)["reason"] == "done"
        assert row(dynamodb, slot).done == 1

    def test_who_is_under_way_excludes_the_version_before(
        self, old: Holder, dynamodb: DynamoDBStore, name: str
    ) -> None:
        guard = singleton(name, 30, key=lambda event, context: "slot", once=True, store=dynamodb)
        handler: Any = guard(lambda event, context: old.ask("take"))
        old.ask("take")
        with pytest.raises(LeaseHeldError):
            handler({}, None)
        old.ask("give")
        assert "is held until" in handler({}, None)["refused"]


class TestOrder:
    def test_what_has_begun_and_is_done_outlasts_the_version_before(
        self, old: Holder, dynamodb: DynamoDBStore, name: str
    ) -> None:
        guard = singleton(name, 30, order="version", store=dynamodb)
        handler: Any = guard(lambda event, context: "written")
        assert handler({"version": 7}, None) == "written"
        assert old.ask("run") == {"result": "done"}
        assert handler({"version": 6}, None)["reason"] == "done"
        assert handler({"version": 8}, None) == "written"


class TestCoalesce:
    @pytest.fixture
    def handler(self, dynamodb: DynamoDBStore, name: str) -> Any:
        def rebuild(event: object, context: object) -> str:
            return "rebuilt"

        return singleton(name, 30, on_held="coalesce", wait=60, store=dynamodb)(rebuild)

    def test_a_run_of_the_version_before_is_not_shared(
        self, old: Holder, dynamodb: DynamoDBStore, name: str, handler: Any
    ) -> None:
        assert handler({}, None) == "rebuilt"
        before = row(dynamodb, name).success
        token = old.ask("take")["token"]
        results: list[Any] = []
        is_waiting = threading.Event()
        end = observe(lambda event: is_waiting.set() if event.kind == "waiting" else None)
        waiter = threading.Thread(target=lambda: results.append(handler({}, None)))
        waiter.start()
        assert is_waiting.wait(30)
        old.ask("give")
        waiter.join(timeout=60)
        end()
        assert results == ["rebuilt"], "it ran itself: nobody has said that it need not"
        assert before.token < token
        assert row(dynamodb, name).success == (token + 1, before.work)

    def test_the_version_before_keeps_what_others_may_share(
        self, old: Holder, dynamodb: DynamoDBStore, name: str, handler: Any
    ) -> None:
        assert handler({}, None) == "rebuilt"
        shared = row(dynamodb, name).success
        assert old.ask("run") == {"result": "done"}
        assert row(dynamodb, name).success == shared


class TestCheckpoint:
    def test_progress_outlasts_a_success_of_the_version_before(
        self, old: Holder, dynamodb: DynamoDBStore, name: str
    ) -> None:
        lock = Lock(name, 30, store=dynamodb)

        def fails_half_way() -> None:
            with lock as lease:
                lease.checkpoint("page 1")
                raise LookupError

        with pytest.raises(LookupError):
            fails_half_way()
        assert old.ask("run") == {"result": "done"}
        with lock as lease:
            assert lease.progress == "page 1", "as documented: the value names its unit"

    def test_a_lost_run_writes_no_progress_over_the_version_before(
        self, old: Holder, dynamodb: DynamoDBStore, name: str
    ) -> None:
        lease = Lock(name, 30, store=dynamodb).acquire()
        dynamodb.force_release(name)
        assert "token" in old.ask("take")
        with pytest.raises(LeaseLostError):
            lease.checkpoint("page 1")
        assert row(dynamodb, name).progress is None


class TestBorrow:
    """A baton means nothing to the version before, which raises the token all the same."""

    def test_the_version_before_is_kept_out_and_ends_a_loan_by_taking_over(
        self, old: Holder, dynamodb: DynamoDBStore, name: str
    ) -> None:
        execution = Execution(dynamodb, name, lasts=1)
        tokens: list[int] = []

        def work(event: object, context: object, lease: Lease) -> None:
            tokens.append(lease.token)
            assert "is held until" in old.ask("take")["refused"]

        guard: Any = singleton(name, 1, borrow="execution", park=3, store=dynamodb)
        task = guard(work)
        assert execution.take()
        for _ in range(2):
            task({"execution": execution.id}, None)
        # Between two tasks as well; and once nobody has come back for the park, it is taken.
        assert "is held until" in old.ask("take")["refused"]
        time.sleep(3 + 1.5)
        tokens.append(old.ask("take")["token"])
        with pytest.raises(LeaseLostError):
            task({"execution": execution.id}, None)
        old.ask("give")
        with pytest.raises(LeaseLostError):
            task({"execution": execution.id}, None)
        assert not execution.keep()
        assert not execution.give_up()
        assert tokens == [tokens[0], tokens[0] + 1, tokens[0] + 2]
