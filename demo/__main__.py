"""`make demo`: play the scenes, draw them, and judge what happened."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import boto3
from rich.console import Console
from rich.rule import Rule

from lambda_singleton import DynamoDBStore
from lambda_singleton_cli.timeline import write
from local_lambda import Engine, EngineError
from proof import picture
from proof.history import Event, History

from .lane import Lane
from .scenes import Scene, all_scenes
from .timeline import draw, legend

#: Where the picture goes, in the current directory.
PAGE = "demo-timeline.html"
#: Has the functions log their decisions as JSON: the picture is drawn from that.
LOGS = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}


def main(arguments: Sequence[str] = ()) -> int:
    """Return 0 if everything went as promised."""
    argparse.ArgumentParser(prog="lambda-singleton demo", description=__doc__).parse_args(arguments)
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        with Engine() as engine:
            engine.pin()
            tables = create_tables()
            console.print(f"DynamoDB engine at {engine.endpoint}, handlers under awslambdaric\n")
            console.print(legend())
            variables = engine.environment | tables | LOGS
            scenes = [play(console, scene, variables) for scene in all_scenes()]
    except EngineError as error:
        console.print(f"[red]{error}[/]")
        return 2
    seconds = time.monotonic() - started
    code = judge(console, scenes, seconds)
    draw_page(console, scenes)
    return code


def create_tables() -> dict[str, str]:
    """Make the table of leases and the guarded table, and return the variables that name them."""
    suffix = str(int(time.time()))
    leases, accounts = f"demo-leases-{suffix}", f"demo-accounts-{suffix}"
    DynamoDBStore(leases).create_table()
    boto3.client("dynamodb").create_table(
        TableName=accounts,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    data = dict.fromkeys(("ACCOUNTS_TABLE", "PAGES_TABLE", "DOCUMENTS_TABLE"), accounts)
    return {"SINGLETON_TABLE": leases, **data}


def play(console: Console, scene: Scene, variables: Mapping[str, str]) -> Scene:
    """Play one scene and draw it."""
    console.print()
    console.print(Rule(f"[bold]{scene.title}", align="left", style="dim"))
    console.print(f"{scene.story}\n")
    with console.status("playing ..."):
        scene.play(scene, variables)
    draw(console, scene.lanes)
    for fulfilled, text in scene.expectations:
        console.print(f"  [green]✓[/] {text}" if fulfilled else f"  [red]✗ NOT: {text}[/]")
    return scene


def judge(console: Console, scenes: Sequence[Scene], seconds: float) -> int:
    """Check the history of all scenes together."""
    history = History(event for scene in scenes for lane in scene.lanes for event in lane.events)
    problems = history.violations()
    problems += [
        f"expected, but not so: {text}"
        for scene in scenes
        for fulfilled, text in scene.expectations
        if not fulfilled
    ]
    console.print()
    console.print(Rule("[bold]The history, checked", align="left", style="dim"))
    leases = {run.lease for run in history.runs}
    writes = sum(event.kind in ("wrote", "fenced") for event in history.events)
    console.print(
        f"{len(history.runs)} runs under {len(leases)} leases and {writes} guarded writes"
        f" in {seconds:.0f} s."
    )
    if problems:
        for problem in problems:
            console.print(f"[red bold]VIOLATED:[/] {problem}")
        return 1
    console.print("[green bold]No two handlers of one lease overlapped, and every token rose.[/]")
    return 0


def draw_page(console: Console, scenes: Sequence[Scene]) -> None:
    """Write the picture of all scenes, and say where it is."""
    page = Path(PAGE).resolve()
    lanes = [lane for scene in scenes for lane in scene.lanes]
    try:
        page.write_text(write([*logged(lanes), *picture.lines(seen(lanes))]), encoding="utf-8")
    except OSError as error:
        console.print(f"The picture could not be written here: {error.strerror}.")
    else:
        console.print(f"The same as a picture: {page.as_uri()}", soft_wrap=True)


def logged(lanes: Sequence[Lane]) -> Iterator[str]:
    """Yield the functions' own log lines about leases, with the lanes' labels."""
    labels = {outcome.request_id: lane.label for lane in lanes for outcome in lane.tries}
    # One environment may have served several lanes.
    logs = {id(lane.running.environment): lane.running.environment.logs for lane in lanes}
    for text in chain.from_iterable(logs.values()):
        line = json.loads(text) if text.startswith("{") else {}
        if "decision" in line:
            yield json.dumps(line | {"function_name": labels.get(line.get("requestId", ""))})


def seen(lanes: Sequence[Lane]) -> Iterator[Event]:
    """Yield what the log lines about leases do not tell: what was done to whom, and the writes."""
    for lane in lanes:
        for event in lane.events:
            if event.kind in ("frozen", "thawed", "killed", "wrote", "fenced"):
                yield event
            elif event.kind == "stopped" and lane.outcome.error_type == "Sandbox.Timedout":
                yield replace(event, kind="killed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
