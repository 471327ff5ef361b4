"""A child never uses its parent's connection, and never holds its parent's lease."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambda_singleton import DynamoDBStore, LeaseError, LeaseStoreError, Lock
from local_lambda import Engine
from local_lambda.tls import Tls

from . import script
from .stores import ScriptedStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def tls(engine: Engine) -> Iterator[Tls]:
    with Tls(engine.endpoint) as tls:
        yield tls


@pytest.fixture(params=["tcp", "tls"])
def variables(
    request: pytest.FixtureRequest, lambda_variables: Mapping[str, str], tls: Tls
) -> dict[str, str]:
    return {**lambda_variables, **(tls.environment if request.param == "tls" else {})}


def judge(everybody: list[list[Any]]) -> None:
    """Fail unless each round has exactly one holder, and no token is seen twice."""
    bad = []
    for number, seen in enumerate(zip(*everybody, strict=True)):
        holders = [what for what in seen if isinstance(what, list)]
        if len(holders) != 1 or seen.count("held") != len(seen) - 1:
            bad.append((number, seen))
    rounds = len(everybody[0])
    assert not bad, f"{len(bad)} of {rounds} rounds without exactly one holder: {bad[:3]}"
    owners = [what[1] for seen in everybody for what in seen if isinstance(what, list)]
    assert len(set(owners)) == len(owners)


class TestConnections:
    @pytest.mark.parametrize(
        ("how", "children", "rounds"),
        [("os.fork", 1, 10), ("os.fork", 3, 12), ("fork", 7, 6)],
    )
    def test_each_round_has_one_holder(
        self, variables: dict[str, str], name: str, how: str, children: int, rounds: int
    ) -> None:
        judge(script.run("prefork", how, children, rounds, name, variables=variables))

    def test_with_boto3s_own_session(self, variables: dict[str, str], name: str) -> None:
        judge(script.run("prefork", "os.fork", 3, 8, name, "boto3", variables=variables))

    def test_a_client_that_was_given_is_not_shared_either(
        self, variables: dict[str, str], name: str
    ) -> None:
        everybody = script.run("prefork", "os.fork", 3, 8, name, "given", variables=variables)
        # To use another one in a child, or to refuse it there: both are safe.
        refused = "LeaseConfigError"
        for seen in zip(*everybody, strict=True):
            assert sum(isinstance(what, list) for what in seen) <= 1
            assert all(isinstance(what, list) or what == "held" or refused in what for what in seen)

    @pytest.mark.parametrize("how", ["spawn", "forkserver"])
    def test_other_ways_to_start_a_process(
        self, lambda_variables: dict[str, str], name: str, how: str
    ) -> None:
        judge(script.run("prefork", how, 2, 5, name, variables=lambda_variables))

    @pytest.mark.parametrize("workers", [2, 5])
    def test_a_server_that_loads_its_application_first(
        self, variables: dict[str, str], name: str, tmp_path: Path, workers: int
    ) -> None:
        path = tmp_path / "count"
        seen = script.run("preloaded", name, workers, 4, path, variables=variables)
        assert seen["codes"] == [0] * workers
        assert seen["count"] == 4 * workers + 1
        assert len(set(seen["tokens"])) == 4 * workers + 1

    @pytest.mark.parametrize("what", ["requests", "client", "refresh", "given"])
    def test_a_fork_in_the_middle_of_anything(
        self, lambda_variables: dict[str, str], name: str, what: str
    ) -> None:
        assert script.run("fork_while_busy", what, name, variables=lambda_variables) == [0] * 5


def as_if(record: Any, **other: Any) -> Any:
    """Return the row as it would be with other attributes."""
    fields = {name: getattr(record, name) for name in type(record).__annotations__}
    return type(record)(**(fields | other))


class TestReplies:
    """A reply counts only if it is about this lease and this owner."""

    @pytest.mark.parametrize("other", [{"owner": "somebody else"}, {"name": "another"}])
    def test_an_acquire(self, other: dict[str, str]) -> None:
        class Mixed(ScriptedStore):
            def execute(self, operation: Any, *, timeout: float) -> Any:
                reply = super().execute(operation, timeout=timeout)
                if reply.applied and reply.record is not None:
                    return reply._replace(record=as_if(reply.record, **other))
                return reply

        with pytest.raises(LeaseStoreError):
            Lock("x", 30, store=Mixed()).acquire()

    def test_after_one_that_was_mixed_up_the_next_counts(self) -> None:
        class MixedOnce(ScriptedStore):
            def execute(self, operation: Any, *, timeout: float) -> Any:
                reply = super().execute(operation, timeout=timeout)
                if len(self.sent) == 1:
                    return reply._replace(record=as_if(reply.record, owner="else", token=1))
                return reply

        store = MixedOnce()
        with Lock("x", 30, store=store) as lease:
            assert lease.owner == store.owner("x")
            record = store.get("x")
            assert record is not None
            assert lease.token == record.token

    def test_on_the_wire(self, table: str, name: str) -> None:
        client = boto3.client("dynamodb")
        owner = uuid.uuid4().hex

        def mix(parsed: Any, **_: Any) -> None:
            if "Attributes" in parsed:
                parsed["Attributes"]["owner"] = {"S": owner}

        client.meta.events.register("after-call.dynamodb.UpdateItem", mix)
        with pytest.raises(LeaseError):
            Lock(name, 30, store=DynamoDBStore(table, client=client)).acquire()


CHILD_HOLDS_NOTHING = {
    "check": "LeaseLostError",
    "lost": "True",
    "remaining": "0.0",
    "current": "NoLeaseError",
    "renew": "LeaseLostError",
    "release": "None",
    "sent": [],
}


class TestTheChildOfAHolder:
    @pytest.mark.parametrize("how", ["with", "decorator", "async with"])
    @pytest.mark.parametrize(
        ("way", "left"),
        [("exit", "SystemExit"), ("error", "ValueError"), ("disaster", "Disaster")],
    )
    def test_holds_nothing_and_gives_nothing_back(
        self, tmp_path: Path, how: str, way: str, left: str
    ) -> None:
        child, parent = self.run(how, way, tmp_path)
        assert child == {**CHILD_HOLDS_NOTHING, "left": left}
        assert parent == {
            "lost": False,
            "owns": True,
            "current": "True",
            "renewed": True,
            "free": True,
        }

    @pytest.mark.parametrize("how", ["with", "decorator", "async with"])
    def test_sends_nothing_when_it_leaves_as_if_all_were_well(
        self, tmp_path: Path, how: str
    ) -> None:
        child, parent = self.run(how, "normally", tmp_path)
        assert child["sent"] == []
        assert parent["owns"]
        assert not parent["lost"]
        assert parent["free"]

    @pytest.mark.parametrize("way", ["exit", "normally"])
    def test_does_not_give_back_what_its_parent_took_by_hand(
        self, tmp_path: Path, way: str
    ) -> None:
        child, parent = self.run("hand", way, tmp_path)
        assert child["sent"] == []
        assert child["check"] == "LeaseLostError"
        assert parent == {"lost": False, "owns": True, "free": True}

    @pytest.mark.parametrize("when", ["held", "was held"])
    def test_works_under_leases_of_its_own(self, tmp_path: Path, when: str) -> None:
        facts = script.run("forked_child_works", tmp_path / "notes", when)
        expected = {"renewed": True, "held": True, "in time": True, "told": True}
        # Its copy of a store in memory knows that the parent has it.
        assert facts == ({"same name": True, **expected} if when == "held" else expected)

    @staticmethod
    def run(how: str, way: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        import json

        arguments = ["forked_holder", how, way, str(folder / "notes")]
        module = f"tests.process.scripts.{arguments[0]}"
        command = [sys.executable, "-m", module, *arguments[1:]]
        code, out, err = script.finish(command, {}, timeout=30)
        assert code == 0, err
        child, parent = (json.loads(line) for line in out.splitlines())
        return child, parent
