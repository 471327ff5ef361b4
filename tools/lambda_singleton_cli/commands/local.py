"""`lambda-singleton local`: a handler of the user's own, on this machine."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lambda_singleton import DynamoDBStore
from lambda_singleton_local import Engine, EngineError, Function, Outcome, Running

from ..terminal_text import message, terminal_text

#: Exit codes.
FAILED, USAGE = 1, 2

#: The table that handlers find in the engine.
TABLE = "local-leases"

#: Has the function log its decisions as JSON: the page is drawn from that.
LOGS = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}

#: How often to look for a holder to kill, in seconds.
_LOOK = 0.02


def run(options: Namespace) -> int:
    """Run the invocations at the same time, and tell how each of them ended."""
    if find_spec("awslambdaric") is None:
        return _say("pip install 'lambda-singleton[local]': the runtime client is missing", FAILED)
    folder = Path(options.folder).resolve()
    module = options.handler.rpartition(".")[0].replace("/", ".")
    if not module or not (folder / Path(*module.split("."))).with_suffix(".py").exists():
        return _say(f"there is no module {module!r} in {folder}: give MODULE.HANDLER", USAGE)
    try:
        event = json.loads(Path(options.event).read_text("utf-8")) if options.event else {}
    except (OSError, ValueError) as error:
        return _say(f"the event cannot be read: {error}", USAGE)
    try:
        with Engine() as engine:
            engine.pin()
            outcomes, logs = _invoke(options, folder, event, engine)
    except EngineError as error:
        return _say(str(error), FAILED)
    if options.timeline:
        _draw(Path(options.timeline), logs)
    return FAILED if any(outcome.error_type for outcome in outcomes) else 0


def _invoke(
    options: Namespace, folder: Path, event: Any, engine: Engine
) -> tuple[list[Outcome], list[str]]:
    store = DynamoDBStore(TABLE)
    store.create_table()
    own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    variables = {**own, **LOGS, **engine.environment, "SINGLETON_TABLE": TABLE}
    variables["PYTHONPATH"] = os.pathsep.join(map(str, [folder, *filter(None, sys.path)]))
    settings: dict[str, Any] = {"timeout": options.timeout, "task_root": folder}
    with Function(options.handler, variables=variables, **settings) as function:
        # Environments that are there already start at the same time.
        function.prewarm(options.invocations)
        running = [function.start(event) for _ in range(options.invocations)]
        if options.kill:
            _kill(options.kill, store, running)
        outcomes = [one.outcome(options.timeout + 60) for one in running]
        for number, outcome in enumerate(outcomes, 1):
            print(f"{number:>3}  {outcome.ended - outcome.started:7.3f} s  {_told(outcome)}")
        for record in store.records():
            held = "free" if record.owner is None else f"left by {record.owner}"
            print(f"lease {terminal_text(record.name)}: token {record.token}, {held}")
        return outcomes, function.logs


def _kill(count: int, store: DynamoDBStore, running: Sequence[Running]) -> None:
    killed: set[str] = set()
    while len(killed) < count and not all(one.done for one in running):
        holders = {
            record.holder.get("request_id")
            for record in store.records()
            if record.owner is not None and record.holder
        }
        for one in running:
            request = one.environment.request_id
            if request in holders - killed and not one.done and len(killed) < count:
                one.environment.kill()
                killed.add(request)
        time.sleep(_LOOK)


def _told(outcome: Outcome) -> str:
    if outcome.error_type is None:
        return terminal_text(json.dumps(outcome.payload))
    return terminal_text(f"{outcome.error_type}: {outcome.error_message}")


def _draw(page: Path, logs: Sequence[str]) -> None:
    from ..timeline import write

    page.write_text(write(logs), encoding="utf-8")
    print(terminal_text(str(page.resolve())))


def _say(text: str, code: int) -> int:
    print(f"lambda-singleton: {message(text)}", file=sys.stderr)
    return code
