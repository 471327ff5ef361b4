"""A history as a picture: the events, said as the package's own log lines would say them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_singleton_cli.timeline import write

from .history import Event, History, Kind, Run

#: What is said in the same way by everybody.
SAID: Mapping[Kind, str] = {
    "frozen": "paused",
    "thawed": "resumed",
    "killed": "killed",
    "wrote": "write_accepted",
    "fenced": "write_refused",
    "told": "lost",
}
#: A sign of life that moves the believed end by more than this tells of a renewal (seconds).
RENEWED = 0.2


def lines(events: Iterable[Event]) -> Iterator[str]:
    """Yield a log line for each decision."""
    history = History(events)
    # A history without an "ended" does not tell whether a lease was given back.
    dead = {
        after.id: before.id
        for before, after in history.take_overs()
        if before.when("ended", "killed") is not None
    }
    by_run: dict[str, list[Event]] = {}
    for event in history.events:
        by_run.setdefault(event.run, []).append(event)
    for run in history.runs:
        facts = {"lease": run.lease, "owner": run.id, "request_id": run.id}
        for decision in _decisions(run, sorted(by_run[run.id], key=lambda e: e.at), dead):
            yield json.dumps(facts | decision)


def _decisions(
    run: Run, events: Iterable[Event], dead: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    attempted, until = run.when("attempted"), 0.0
    for event in events:
        said: dict[str, Any] = {"at": event.at, "token": run.token or None}
        waited = {"waited": 0.0 if attempted is None else event.at - attempted}
        if event.kind == "started":
            taken_from = {"taken_from": dead[run.id]} if run.id in dead else {}
            yield said | {"decision": "acquired", "until": event.until} | waited | taken_from
        elif event.kind == "refused":
            holder = {"request_id": event.holder} if event.holder else None
            yield said | {"decision": "skipped", "holder": holder} | waited
        elif event.kind == "held" and (event.until or 0.0) > max(until, event.at) + RENEWED:
            yield said | {"decision": "renewed", "until": event.until}
        elif event.kind in SAID:
            yield said | {"decision": SAID[event.kind]}
        elif event.kind == "stopped":
            given_back = run.when("released") or run.when("ended") is None
            yield said | {"decision": "released" if given_back else "release_failed"}
        until = max(until, event.until or 0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a history that `python -m proof.soak --history` has written."""
    parser = argparse.ArgumentParser(prog="python -m proof.picture", description=main.__doc__)
    parser.add_argument("history", type=Path, help="the history, as JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="where to write the page")
    options = parser.parse_args(arguments)
    with options.history.open(encoding="utf-8") as history:
        page = write(lines(map(Event.from_json, history)))
    options.output.write_text(page, encoding="utf-8")
    print(f"written: {options.output.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
