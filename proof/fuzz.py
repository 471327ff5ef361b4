"""`make fuzz`: broken and hostile input of three kinds, 100,000 cases of each.

Replies of DynamoDB, log lines given to the timeline, rows given to the command line. Whatever they
are: no exception but a `LeaseError`, nobody else's lease taken for one's own, no decision forged,
nothing shown that cannot be seen, and bounds of time and memory.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, get_args
from unittest import mock

from lambda_singleton import DynamoDBStore, LeaseError, LeaseEvent, LeaseStoreError
from lambda_singleton._events import logs
from lambda_singleton._events.event import Kind
from lambda_singleton._protocol.operations import Acquire, Release, Renew, TakeTicket
from lambda_singleton._protocol.record import LeaseRecord
from lambda_singleton._stores.connection import Connections, HTTPReply
from lambda_singleton_cli.changes import changes
from lambda_singleton_cli.columns import grid
from lambda_singleton_cli.commands.show import facts
from lambda_singleton_cli.status import Status
from lambda_singleton_cli.timeline import MOST_BYTES, draw
from lambda_singleton_cli.timeline.history import Timeline
from lambda_singleton_cli.timeline.log import Log, lines_of

from .answers import Answer, Server

NOW = 1_800_000_000_000
DATE = {"date": "Fri, 15 Jan 2027 08:00:00 GMT"}
ROW: dict[str, Any] = {
    "id": {"S": "x"},
    "token": {"N": "5"},
    "owner": {"S": "me"},
    "expires_at_ms": {"N": f"{NOW + 30_000}"},
    "duration_ms": {"N": "30000"},
    "holder": {"M": {"function": {"S": "f"}, "acquired_at": {"S": "2027-01-15T08:00:00Z"}}},
    "last_run": {"M": {"started": {"S": "2027-01-15T08:00:00Z"}, "outcome": {"S": "lost"}}},
    "taken_from": {"S": "me"},
    "tickets": {"N": "1"},
    "served": {"N": "1"},
}
OPERATIONS = (
    Acquire("x", "me", {"function": "f"}, NOW, NOW + 30_000, 30_000, 1000),
    Renew("x", "me", NOW + 60_000),
    Release("x", "me", NOW, None, {"outcome": "succeeded"}),
    TakeTicket("x", NOW),
)

#: What a case may take, in seconds of CPU, and all cases together, in bytes beyond the first ones.
LONGEST_CASE, MOST_MEMORY = 5.0, 300_000_000
LONGEST_ERROR = 2500
LINES_OF_A_PAGE, ROWS_OF_A_SCAN = 500, 50

TEXTS = (
    *("", "x", "\x1b]0;owned\x07\x1b[2J", "a\nb\r\nc", "\u202eab\u2066", "e\u0301" * 300, "\u3164"),
    *("</script><script>alert(1)</script>", "' or '1'='1", "\\x1b\\", "{{data}}", "\ud800"),
    *("__proto__", "x" * 5000, "\U0001d54f" * 500, "0001-01-01T00:00:00+14:00", "-" * 9, "NaN"),
    *("9999-12-31T23:59:59.999999-14:00", "1e400", "9" * 5000, "\u0663", "-1", "[bold red]"),
    *("2027-01-15T08:00:00Z", "$(reboot)"),
)


class Broken(Exception):  # noqa: N818
    """A promise that did not hold, with the case that broke it."""


def odd_value(dice: random.Random, depth: int = 0) -> Any:
    """Return something that JSON can say."""
    if depth < 3 and dice.random() < 0.3:
        keys = dice.choices((*ROW, "S", "N", "M", "L", "NULL", *TEXTS[:6]), k=dice.randrange(4))
        return {key: odd_value(dice, depth + 1) for key in keys}
    numbers = (0, 1, -1, 2**63, 10**30, 1e308, -0.0, 253_402_300_799.999, float("nan"))
    return dice.choice((None, True, [], [None], {}, *numbers, *TEXTS))


def changed(dice: random.Random, value: Any) -> Any:
    """Return the value with one member of it, wherever that is, replaced, left out or renamed."""
    if not isinstance(value, dict) or not value or dice.random() < 0.2:
        return None if dice.random() < 0.3 else odd_value(dice)
    key = dice.choice(list(value))
    if dice.random() < 0.1:
        return {name: inner for name, inner in value.items() if name != key}
    if dice.random() < 0.05:
        return {dice.choice(TEXTS) if name == key else name: v for name, v in value.items()}
    return {**value, key: changed(dice, value[key])}


def spoilt(dice: random.Random, body: bytes) -> bytes:
    """Return the bytes cut, with some exchanged, left out, repeated or put in."""
    at, length = dice.randrange(len(body) + 1), dice.choice((0, 1, 1, 2, 8, 64))
    put_in = dice.choice((b"", b"\xff", b"\0", b"{", b"]", b'"', b"9" * 400, dice.randbytes(4)))
    if dice.random() < 0.3:
        return body[:at]
    return body[:at] + put_in + body[at + length :] + (body if dice.random() < 0.05 else b"")


# Replies.


def replies(dice: random.Random, cases: int) -> Iterator[Callable[[], None]]:
    """Each as the answer to one of the operations, read by boto3."""
    server = Server(Answer(200, DATE, b""))
    return _replies(dice, cases, server, DynamoDBStore("leases", client=server.client))


def direct(dice: random.Random, cases: int) -> Iterator[Callable[[], None]]:
    """The same without boto3."""
    server = Server(Answer(200, DATE, b""))
    pinned = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

    def post(*_: object) -> HTTPReply:
        return HTTPReply(*server.answer)

    with (
        mock.patch.dict(os.environ, pinned | keys),
        mock.patch.object(Connections, "post", post),
    ):
        yield from _replies(dice, cases, server, DynamoDBStore("leases", transport="direct"))


def _replies(
    dice: random.Random, cases: int, server: Server, store: DynamoDBStore
) -> Iterator[Callable[[], None]]:
    logging.getLogger("lambda_singleton").setLevel(logging.ERROR)
    for number in range(cases):
        refused = {"__type": "x#ConditionalCheckFailedException", "message": "m", "Item": ROW}
        status, whole = dice.choice(((200, {"Attributes": ROW}), (400, refused)))
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            whole = changed(dice, whole)
        body = json.dumps(whole).encode()
        if number % 2:
            body = spoilt(dice, body)
        headers = dict(DATE) if dice.random() < 0.8 else {"date": dice.choice(TEXTS)}
        answer = Answer(dice.choice((status, status, status, 500, 302)), headers, body)

        def case(answer: Answer = answer, number: int = number) -> None:
            server.answer = answer
            operation = OPERATIONS[number % len(OPERATIONS)]
            try:
                reply = store.execute(operation, timeout=600)
            except LeaseError as error:
                # Whoever sent it, it was sent: another try may help, and something may be applied.
                require("stray characters" not in str(error), "no request", answer)
                require(len(str(error)) < LONGEST_ERROR, "a longer error", answer)
                require(str(error).isprintable(), "an error of several lines", answer)
                return
            if reply.record is not None:
                require(reply.record.name == "x", "another lease's row", answer)
            if reply.applied and isinstance(operation, Acquire):
                mine = reply.record is not None and reply.record.owner == "me"
                require(mine, "somebody else's lease", answer)

        yield case


# Log lines.


def lines(dice: random.Random, cases: int) -> Iterator[Callable[[], None]]:
    """Many at a time, as the log of functions that log what somebody sends."""
    formatters = list(_formatters())
    for _ in range(0, cases, LINES_OF_A_PAGE):
        written = [_line(dice, dice.choice(formatters)) for _ in range(LINES_OF_A_PAGE)]
        genuine = sum(counts for _, counts in written)
        whole = "\n".join(text for text, _ in written).encode(errors="surrogatepass")
        some = [text.encode(errors="replace") for text, _ in written[:200]]
        broken = b"\n".join(spoilt(dice, text) for text in some)

        def case(genuine: int = genuine, whole: bytes = whole, broken: bytes = broken) -> None:
            log = Log(lines_of(io.BytesIO(whole)))
            for decision in log.decisions:
                require(decision.lease.startswith("mine#"), "a forged decision", decision)
            require(len(log.decisions) == genuine, "not each of one's own", len(log.decisions))
            list(Timeline(log).overlaps())
            for text in (whole, broken):
                page = draw(Log(lines_of(io.BytesIO(text))))
                require(len(page.encode()) <= MOST_BYTES, "a larger page", text)
                require(page.count("<script") == 2, "a script of somebody's", text)
                data = page.partition('id="data">')[2].partition("</script>")[0]
                require(_is_seen(json.loads(data)), "what cannot be seen", text)

        yield case


def _formatters() -> Iterator[logging.Formatter]:
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
    from awslambdaric.lambda_runtime_log_utils import JsonFormatter

    yield JsonFormatter()
    yield LambdaPowertoolsFormatter()
    yield logging.Formatter("[%(levelname)s]\t%(asctime)s\t5d0c\t%(message)s")


def _line(dice: random.Random, formatter: logging.Formatter) -> tuple[str, bool]:
    """Return a line, and whether it is a decision of this package in a form that counts."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    own = dice.random() < 0.5
    logger = logging.Logger("lambda_singleton" if own else "work")
    logger.addHandler(handler)
    at = NOW / 1000 + dice.random() * 60
    said = {"decision": "acquired", "at": at, "lease": "forged", "owner": "a", "token": 1}
    forged = json.dumps(changed(dice, said) if dice.random() < 0.3 else said)
    text = dice.choice((forged, *TEXTS))
    if own:
        with mock.patch("lambda_singleton._events.logs.logger", return_value=logger):
            logs.log(_event(dice, at, text))
    else:
        logger.info(dice.choice((forged, f"sent: {text}", json.loads(forged))))
    prefix = dice.choice(("", "2027-01-15T08:00:00.001000+00:00 2027/01/15/[$LATEST]0a1b "))
    line = out.getvalue().strip("\n")
    is_json = line.startswith("{")
    if is_json and not prefix and dice.random() < 0.3:
        line = json.dumps({"timestamp": NOW, "message": line})
    return prefix + line, own and is_json


def _event(dice: random.Random, at: float, text: str) -> LeaseEvent:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return LeaseEvent(
        dice.choice(kinds),
        f"mine#{text[:1000]}",
        at,
        dice.choice(TEXTS),
        1,
        dice.choice((None, at + 9)),
        taken_from=dice.choice((None, text)),
        reason=text,
        holder={"function": text, text: text},
        held_until=at + 5,
        error=LeaseStoreError(text),
    )


# Rows.


def rows(dice: random.Random, cases: int) -> Iterator[Callable[[], None]]:
    """Many at a time, as a table that everybody may write to."""
    server = Server(Answer(200, DATE, b""))
    store = DynamoDBStore("leases", client=server.client)
    logging.getLogger("lambda_singleton").setLevel(logging.ERROR)
    before: dict[str, Status] = {}
    for _ in range(0, cases, ROWS_OF_A_SCAN):
        items = [_row(dice, number) for number in range(ROWS_OF_A_SCAN)]
        # A row of nobody's choice among them: it must be seen whatever the others are.
        items.insert(dice.randrange(len(items)), {**ROW, "id": {"S": "good"}})
        body = json.dumps({"Items": items}).encode(errors="replace")

        def case(body: bytes = body) -> None:
            server.answer = Answer(200, DATE, body)
            found = {record.name: Status.of(record, store) for record in store.records()}
            require("good" in found, "others blinded", body)
            for status in found.values():
                _show(status)
            for change in changes(before, found):
                require(_is_seen([*change.texts]), "what cannot be seen", change)
                json.dumps(change.as_json())
            for width in (None, 40, 120):
                for shown in grid(list(found.values()), width).rows:
                    require(_is_seen(shown.texts), "what cannot be seen", shown)
            before.clear()
            before.update(found)

        yield case


def _row(dice: random.Random, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {**ROW, "id": {"S": f"{dice.choice(TEXTS)[:500]}{number % 7}"}}
    for _ in range(dice.randrange(4)):
        name = dice.choice(list(ROW)[1:])
        if name in ("holder", "last_run"):
            text = {key: {"S": dice.choice(TEXTS)} for key in (*LeaseRecord._fields, *TEXTS[:3])}
            times = ("acquired_at", "started", "ended", "log_group", "log_stream", "region")
            row[name] = {"M": text | {key: {"S": dice.choice(TEXTS)} for key in times}}
        else:
            row[name] = dice.choice(({"S": dice.choice(TEXTS)}, {"N": dice.choice(TEXTS)}))
        if dice.random() < 0.2:
            del row[name]
    return row


def _show(status: Status) -> None:
    for fact in facts(status):
        require(_is_seen([fact.text]), "what cannot be seen", fact)
        require(len(fact.text) < LONGEST_ERROR * 2, "a longer fact", fact)
    json.dumps(status.as_json())


def _is_seen(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_seen(key) and _is_seen(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_seen, value))
    return not isinstance(value, str) or value.isprintable()


def require(holds: object, what: str, case: object) -> None:
    """Raise `Broken` if it does not hold."""
    if not holds:
        raise Broken(f"{what}: {case!r:.2000}")


class Result(NamedTuple):
    """What one kind of input came to."""

    cases: int
    seconds: float
    slowest: float
    memory: int


INPUTS = {
    "replies": (replies, 1),
    "direct": (direct, 1),
    "lines": (lines, LINES_OF_A_PAGE),
    "rows": (rows, ROWS_OF_A_SCAN),
}


def fuzz(name: str, cases: int, seed: int) -> Result:
    """Run so many cases of one input. Raises `Broken`, or whatever should not have been raised."""
    source, at_once = INPUTS[name]
    began, slowest, memory, tried = time.process_time(), 0.0, 0, 0
    for number, case in enumerate(source(random.Random(seed), cases)):  # noqa: S311
        started = time.process_time()
        case()
        slowest = max(slowest, time.process_time() - started)
        tried += at_once
        if number == 20:
            memory = _memory()
    grown = _memory() - memory if memory else 0
    require(slowest < LONGEST_CASE, "a case that took longer", slowest)
    require(grown < MOST_MEMORY, "memory that is not given back", grown)
    return Result(tried, time.process_time() - began, slowest, grown)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m proof.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--only", choices=INPUTS, action="append", help="repeatable")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    for name in options.only or INPUTS:
        try:
            result = fuzz(name, options.cases, options.seed)
        except Broken as broken:
            print(f"{name}: {broken}", file=sys.stderr)
            return 1
        print(
            f"{name}: {result.cases:,} cases in {result.seconds:.0f} s of CPU, the slowest at once"
            f" {result.slowest:.2f} s, {result.memory / 1e6:.0f} MB more at the end",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
