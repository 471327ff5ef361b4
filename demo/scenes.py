"""The eight scenes. Each plays real invocations and returns its lanes for the timeline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from local_lambda import Function

from .lane import Lane

EVENTS = Path(__file__).resolve().parent.parent / "events"
LEASE_SECONDS = 3.0


@dataclass
class Scene:
    """A story with its lanes and what was expected of it."""

    title: str
    story: str
    play: Callable[[Scene, Mapping[str, str]], None]
    lanes: list[Lane] = field(default_factory=list)
    expectations: list[tuple[bool, str]] = field(default_factory=list)

    def lane(self, label: str) -> Lane:
        """Add a lane."""
        self.lanes.append(Lane(label))
        return self.lanes[-1]

    def expect(self, fulfilled: bool, text: str) -> None:
        """Note something that must be true at the end of the scene."""
        self.expectations.append((fulfilled, text))


def event(name: str) -> Any:
    """Read a sample event."""
    return json.loads((EVENTS / f"{name}.json").read_text())


def sample(
    name: str,
    variables: Mapping[str, str],
    *,
    work: float,
    lease: float = LEASE_SECONDS,
    timeout: float = 900.0,
) -> Function:
    """Deploy one of the sample handlers of `src/`."""
    return Function(
        f"{name}.handler",
        timeout=timeout,
        variables={
            **variables,
            "LEASE_SECONDS": str(lease),
            "WORK_SECONDS": str(work),
            "MIN_HOLD_SECONDS": "0",
        },
    )


def one_schedule(scene: Scene, variables: Mapping[str, str]) -> None:
    """Eight at once: one runs."""
    with sample("nightly_report", variables, work=2.0) as report:
        report.prewarm(8)
        for number in range(1, 9):
            scene.lane(f"run {number}").start(report, event("nightly_report"))
        for lane in scene.lanes:
            lane.finish()
    skipped = sum(lane.skipped for lane in scene.lanes)
    ran = sum(lane.run is not None for lane in scene.lanes)
    scene.expect((ran, skipped) == (1, 7), f"{ran} ran, {skipped} were skipped")


def two_tenants(scene: Scene, variables: Mapping[str, str]) -> None:
    """A lease for each tenant."""
    with sample("tenant_sync", variables, work=2.0) as sync:
        sync.prewarm(3)
        for label, tenant in (("north", "north"), ("south", "south"), ("north again", "north")):
            tenant_event = event("tenant_sync")
            tenant_event["detail"]["tenant"] = tenant
            lane = scene.lane(label)
            lane.start(sync, tenant_event)
            lane.wait_until_started()
        for lane in scene.lanes:
            lane.finish()
    north, south, again = scene.lanes
    side_by_side = bool(north.run and south.run and north.run.span.overlaps(south.run.span))
    scene.expect(side_by_side, "two tenants ran side by side")
    scene.expect(again.skipped, "a second run for the first tenant was skipped")


def killed_holder(scene: Scene, variables: Mapping[str, str]) -> None:
    """SIGKILL, and the next one takes over."""
    with (
        sample("reindex_task", variables, work=60.0) as first,
        sample("reindex_task", variables, work=1.5) as second,
    ):
        second.prewarm(1)
        holder, successor = scene.lane("holder"), scene.lane("successor")
        holder.start(first, event("reindex_task"))
        holder.wait_until_started()
        successor.start(second, event("reindex_task"))
        successor.finish()
        time.sleep(1.0)
        holder.kill()
        holder.finish()
        successor.retry_while_held(second, event("reindex_task"))
    refused = [outcome for outcome in successor.tries if outcome.error_type == "LeaseHeldError"]
    scene.expect(bool(refused), f"the successor was refused {len(refused)} times meanwhile")
    scene.expect(successor.outcome.error_type is None, "then it took over by itself")


def timed_out_holder(scene: Scene, variables: Mapping[str, str]) -> None:
    """Lambda kills at the deadline; the lease ends with it."""
    with (
        sample("reindex_task", variables, work=60.0, lease=60.0, timeout=3.0) as first,
        sample("reindex_task", variables, work=1.5) as second,
    ):
        second.prewarm(1)
        holder, successor = scene.lane("too slow"), scene.lane("successor")
        holder.start(first, event("reindex_task"))
        holder.wait_until_started()
        successor.retry_while_held(second, event("reindex_task"))
        holder.finish()
    scene.expect(holder.outcome.error_type == "Sandbox.Timedout", "Lambda killed the first one")
    scene.expect(
        successor.outcome.error_type is None,
        "its lease, 60 s long, ended with the invocation and not with the minute",
    )


def paused_holder(scene: Scene, variables: Mapping[str, str]) -> None:
    """SIGSTOP past the lease, a successor, SIGCONT."""
    with (
        sample("ledger", variables, work=9.0) as first,
        sample("ledger", variables, work=1.5) as second,
    ):
        second.prewarm(1)
        paused, successor = scene.lane("paused"), scene.lane("successor")
        paused.start(first, event("ledger"))
        paused.wait_until_started()
        time.sleep(1.0)
        paused.pause()
        successor.retry_while_held(second, event("ledger"))
        paused.resume()
        paused.finish()
    scene.expect(paused.outcome.error_type == "LeaseLostError", "the paused holder was interrupted")
    scene.expect(
        paused.writes == [False],
        "the write that it sent nevertheless was refused by the token",
    )
    scene.expect(successor.writes == [True], "the new one wrote")


def one_slot(scene: Scene, variables: Mapping[str, str]) -> None:
    """A slot whose first run dies, and which is delivered twice more."""
    with (
        sample("hourly_rollup", variables, work=60.0) as first,
        sample("hourly_rollup", variables, work=1.0) as second,
    ):
        second.prewarm(1)
        dies, again = scene.lane("dies"), scene.lane("again")
        dies.start(first, event("hourly_rollup"))
        dies.wait_until_started()
        time.sleep(0.5)
        dies.kill()
        dies.finish()
        again.retry_while_held(second, event("hourly_rollup"))
        twice = scene.lane("and again")
        twice.start(second, event("hourly_rollup"))
        twice.finish()
    scene.expect(again.outcome.error_type is None, "the slot of the dead one was done")
    scene.expect(twice.result.get("reason") == "done", "and is not done once more")


def many_pages(scene: Scene, variables: Mapping[str, str]) -> None:
    """A job of twenty pages whose first run dies."""
    with (
        sample("many_pages", variables, work=5.0) as first,
        sample("many_pages", variables, work=2.0) as second,
    ):
        second.prewarm(1)
        dies, goes_on = scene.lane("dies"), scene.lane("goes on")
        dies.start(first, event("many_pages"))
        dies.wait_until_started()
        time.sleep(2.0)
        dies.kill()
        dies.finish()
        goes_on.retry_while_held(second, event("many_pages"))
    table = boto3.client("dynamodb")
    key: Any = {"id": {"S": event("many_pages")["job"]}}
    counted = table.get_item(TableName=variables["PAGES_TABLE"], Key=key)["Item"]["pages"]["N"]
    scene.expect(goes_on.outcome.error_type is None, "the second run finished the job")
    scene.expect(counted == "20", f"{counted} of 20 pages were counted")


def one_more_rebuild(scene: Scene, variables: Mapping[str, str]) -> None:
    """Events arrive during a run: one more run covers them."""
    with sample("search_index", variables, work=2.0) as index:
        index.prewarm(6)
        for number in range(1, 7):
            lane = scene.lane(f"event {number}")
            lane.start(index, event("search_index"))
            if number == 1:
                lane.wait_until_started()
        for lane in scene.lanes:
            lane.finish()
    ran = sum(lane.run is not None for lane in scene.lanes)
    shared = sum(lane.shared for lane in scene.lanes)
    scene.expect((ran, shared) == (2, 4), f"{ran} ran, {shared} shared the second run")


def all_scenes() -> list[Scene]:
    """Return the scenes in the order of the programme."""
    return [
        Scene(
            "Eight invocations of one schedule, at the same moment",
            "The schedule is delivered eight times. One runs; the others return a skip, no error.",
            one_schedule,
        ),
        Scene(
            "Two tenants, side by side",
            "With a key each tenant has a lease of its own.",
            two_tenants,
        ),
        Scene(
            "A holder is killed in the middle",
            f"Its lease is {LEASE_SECONDS:g} s long. Nobody tells the successor: it tries again"
            " and again, as a state machine would, and gets in 1 s after that lease's end.",
            killed_holder,
        ),
        Scene(
            "An invocation runs into its timeout",
            "The function may run for 3 s and wants a minute, with a lease of a minute.",
            timed_out_holder,
        ),
        Scene(
            "A holder is paused past its lease, and wakes up",
            "Its process is stopped; meanwhile another takes over and writes. Then it goes on.",
            paused_holder,
        ),
        Scene(
            "A slot of a schedule is done once",
            "Its first run dies; the next delivery does it, and the one after that finds it done.",
            one_slot,
        ),
        Scene(
            "A job goes on where it stopped",
            "Twenty pages, each counted together with the progress. The first run dies.",
            many_pages,
        ),
        Scene(
            "Five events arrive while an index is rebuilt",
            "None of them may rely on the run that is under way. They share the next one.",
            one_more_rebuild,
        ),
    ]
