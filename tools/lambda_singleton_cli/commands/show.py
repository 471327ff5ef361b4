"""`lambda-singleton show`: one lease in words."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Iterator

from lambda_singleton._clock import epoch
from lambda_singleton._protocol.parking import is_parked
from lambda_singleton._protocol.store import LeaseStore

from ..renderer import renderer
from ..screen import Fact
from ..status import State, Status
from ..terminal_text import terminal_text
from ..times import at, length, relative
from .missing import missing


def run(options: Namespace, store: LeaseStore) -> int:
    """Print all that is known about one lease."""
    record = store.get(options.name)
    if record is None:
        return missing(options.name, store)
    status = Status.of(record, store)
    if options.json:
        print(json.dumps(status.as_json(), indent=2))
    else:
        renderer().facts(terminal_text(record.name), list(facts(status)))
    return 0


def facts(status: Status) -> Iterator[Fact]:
    """Say in words what the row says."""
    record, state = status.record, status.state
    yield Fact("state", f"{state}: {state.meaning}", state)
    yield from holder(status)
    if is_parked(record.owner):
        who = terminal_text(status.holder.get("execution", "unknown"))
        yield Fact("parked", f"its durable execution is suspended, and goes on with it: {who}")
    yield from _loan(status)
    if status.since is not None:
        yield Fact("since", _moment(status.since, status.now))
    if status.until is not None:
        yield Fact("until", _moment(status.until, status.now))
    if record.owner is not None:
        yield Fact("renewed", _renewed(status))
    yield Fact("free", _free(status), state)
    if status.waiting:
        yield Fact("waiting", f"{status.waiting} at most: some of them may have given up")
    yield Fact("last run", _last_run(status))
    if record.done is not None:
        yield Fact("done", terminal_text(str(record.done)))
    if record.progress is not None:
        yield Fact("progress", terminal_text(record.progress.text))
    if record.begun is not None and record.begun != record.done:
        yield Fact("begun", terminal_text(str(record.begun)))
    if record.success is not None:
        token, work = record.success
        yield Fact("succeeded", f"token {token}, {terminal_text(work)}")
    yield Fact("token", str(record.token))
    if record.owner is not None:
        yield Fact("owner", terminal_text(record.owner))


def holder(status: Status) -> Iterator[Fact]:
    """Say who has the lease or had it last, and where to read what they do."""
    known = status.holder
    label = "holder" if status.record.owner is not None else "was held by"
    version = known.get("version")
    words = [
        known.get("function")
        or known.get("host")
        or known.get("paused_by")
        or ("execution" in known and "an execution")
        or "unknown holder",
        version and f"version {version}",
        "process" in known and f"process {known['process']}",
        "region" in known and f"in {known['region']}",
    ]
    yield Fact(label, ", ".join(terminal_text(word) for word in words if word))
    for key, name in (("request_id", "request"), ("log_group", "log group")):
        if key in known:
            yield Fact(name, terminal_text(known[key]))
    if "log_stream" in known:
        yield Fact("log stream", terminal_text(known["log_stream"]))
        yield from _logs(status)


def _loan(status: Status) -> Iterator[Fact]:
    execution = status.lent_by or status.holder.get("execution")
    if execution is not None:
        yield Fact("execution", terminal_text(execution))
    loan = status.record.loan
    if status.lent_by is not None and loan is not None and loan.until is not None:
        yield Fact("lent until", f"{_moment(loan.until, status.now)}; then its execution may go on")


def _logs(status: Status) -> Iterator[Fact]:
    known = status.holder
    group = known.get("log_group", "")
    # The row's writer must not be able to give options to somebody who pastes this.
    if not group or group.startswith("-"):
        return
    since = known.get("acquired_at")
    words = ["aws", "logs", "tail", group, f"--log-stream-names={known['log_stream']}"]
    words += [f"--since={since}"] if epoch(since) is not None else []
    words += [f"--region={known['region']}"] if "region" in known else []
    command = shlex.join(words)
    # What cannot be shown as it is cannot be pasted either: AWS has no such group or stream.
    if terminal_text(command) == command:
        yield Fact("read them", command)


def _renewed(status: Status) -> str:
    duration = status.record.duration
    lasts = "" if duration is None else f", for {length(duration)} at a time"
    if status.renewed is None:
        return f"not since it was taken{lasts}"
    return f"about {relative(status.renewed, status.now)}{lasts}"


def _free(status: Status) -> str:
    moment = status.free_at
    if moment is None:
        return "now: the next caller gets it"
    when = _moment(moment, status.now)
    if status.state is State.HELD:
        return f"when its holder ends; without another renewal {when}"
    return when


def _last_run(status: Status) -> str:
    run = status.last_run
    started, ended = epoch(run.get("started")), epoch(run.get("ended"))
    words = [run.get("outcome"), ended and relative(ended, status.now), ended and at(ended)]
    if started is not None and ended is not None:
        words.append(f"took {length(ended - started)}")
    return ", ".join(terminal_text(str(word)) for word in words if word) or "none recorded"


def _moment(moment: float, now: float) -> str:
    return f"{at(moment)}, {relative(moment, now)}"
