from __future__ import annotations

import base64
import hashlib
import json
import logging
import math
import re
import shutil
import subprocess
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from html import unescape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import __main__ as demo
from lambda_singleton import LeaseEvent, LeaseStoreError
from lambda_singleton._events.logs import log
from lambda_singleton._text import plain
from lambda_singleton_cli.timeline import MOST_BYTES, write
from lambda_singleton_cli.timeline.decision import LONGEST_LINE
from lambda_singleton_cli.timeline.history import MOST_OVERLAPS, Holding, Timeline
from lambda_singleton_cli.timeline.log import MOST_DECISIONS, Log, lines_of
from proof import picture
from proof.history import Event
from proof.simulation import Weather, simulate

T = 1_795_356_000.0
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'`&<!--",
    "{{rows}}{{data}}\\1",
    "\ud800 \u2028 \u202e",
    "__proto__",
]


#: How they look on the page.
WRITTEN = [plain(name) for name in HOSTILE]


def timeline_of(lines: Iterable[str]) -> Timeline:
    return Timeline(Log(lines))


def line(decision: str, at: float, owner: str = "a", **facts: Any) -> str:
    named = {"lease": "x", "owner": owner, "request_id": f"request-{owner}"}
    return json.dumps({"decision": decision, "at": T + at} | named | facts)


def outside(decision: str, at: float, request: str, **facts: Any) -> str:
    """Said by somebody who has no lease, and so no owner."""
    facts = {"lease": "x", "requestId": request, **facts}
    return json.dumps({"decision": decision, "at": T + at, **facts})


def acquired(at: float, owner: str = "a", until: float = 10, **facts: Any) -> str:
    return line("acquired", at, owner, until=T + until, token=int(at), **facts)


def overlaps(*lines: str) -> list[tuple[float, float]]:
    return [(round(o.start - T, 3), round(o.end - T, 3)) for o in timeline_of(lines).overlaps()]


def data(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def items(page: str) -> list[dict[str, Any]]:
    return [item for lease in data(page)["leases"] for item in lease["items"]]


def real_formatters() -> Iterator[logging.Formatter]:
    """Yield Lambda's own two, and Powertools'."""
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
    from awslambdaric.lambda_runtime_log_utils import JsonFormatter

    yield JsonFormatter()
    yield LambdaPowertoolsFormatter()
    yield logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t5d0c\t%(message)s")


class TestHoldings:
    def test_all_of_one_owner_is_one_holding(self) -> None:
        timeline = timeline_of(
            [
                line("released", 5, took=0.5, outcome="succeeded"),
                acquired(0),
                line("renewed", 2, until=T + 12),
                line("write_accepted", 2.5),
                line("renewal_failed", 3, error="LeaseStoreError: no"),
                line("renewed", 4, until="2026-11-22T14:00:20Z"),
            ]
        )
        (holding,) = timeline.holdings
        assert (holding.start, holding.end, holding.token) == (T, T + 4.5, 0)
        assert (holding.ending, holding.why) == ("released", "succeeded")
        assert holding.renewed == [T + 2, T + 4]
        assert (holding.wrote, holding.not_renewed) == ([T + 2.5], [T + 3])

    def test_a_loss_ends_it_and_not_what_follows(self) -> None:
        lines = [acquired(0), line("lost", 4, reason="stolen"), line("released", 5, outcome="lost")]
        (holding,) = timeline_of(lines).holdings
        assert (holding.ending, holding.why, holding.end) == ("lost", "stolen", T + 4)
        assert {item["kind"] for item in items(write(lines))} == {"holding", "lost"}

    def test_who_gives_back_what_was_lost_has_lost_it(self) -> None:
        (holding,) = timeline_of([acquired(0), line("released", 5, outcome="lost")]).holdings
        assert holding.ending == "lost"

    def test_who_says_nothing_more_is_dead_up_to_the_end_of_the_lease(self) -> None:
        lines = [acquired(0), line("renewed", 3, until=T + 13), acquired(20, "b", until=30)]
        bar = items(write(lines))[0]
        assert ["silent", T + 3, T + 13] in bar["parts"]
        assert (bar["at"], bar["to"], bar["title"]) == (T, T + 13, "Run, no word of its end")

    def test_who_holds_it_when_the_lines_end_may_be_alive(self) -> None:
        bar = items(write([acquired(0, until=60), outside("skipped", 5, "r")]))[0]
        assert (bar["kind"], bar["to"]) == ("holding open", T + 5)

    def test_a_refusal_tells_of_a_renewal_that_nobody_logged(self) -> None:
        refusal = {"holder": {"request_id": "request-a", "log_group": "/g"}, "held_until": T + 55}
        refused = outside("skipped", 40, "r", **refusal)
        for lines in ([acquired(0)], [acquired(0), line("killed", 39)]):
            (holding,) = timeline_of([*lines, refused]).holdings
            assert holding.until == T + 55
        (holding,) = timeline_of([acquired(0), line("lost", 9), refused]).holdings
        assert holding.until == T + 10

    def test_a_failed_release_leaves_it_to_its_end(self) -> None:
        lines = [acquired(0), line("release_failed", 4, error="E"), outside("skipped", 12, "r")]
        bar = items(write(lines))[0]
        assert (bar["title"], bar["to"]) == ("Run, lease not given back", T + 10)


class TestTakeOvers:
    LINES = (acquired(0), acquired(11.5, "b", until=20, taken_from="a"))

    def test_the_dead_one_and_the_next(self) -> None:
        ((before, after),) = timeline_of(self.LINES).take_overs()
        assert (before.owner, after.owner) == ("a", "b")
        assert overlaps(*self.LINES) == []

    def test_the_gap_is_shown_from_the_end_of_the_lease(self) -> None:
        (gap,) = (item for item in items(write(self.LINES)) if item["kind"] == "take-over")
        assert (gap["at"], gap["to"]) == (T + 10, T + 11.5)
        assert gap["facts"]["Blocked for"] == "11.50 s"
        assert '<li data-of="take-over"><b>1</b> take-over</li>' in write(self.LINES)

    def test_a_dead_holder_that_no_line_is_about_counts_as_well(self) -> None:
        page = write(self.LINES[1:])
        assert '<li data-of="take-over"><b>1</b> take-over</li>' in page
        assert items(page)[0]["facts"]["Taken over from"] == "a"

    def test_a_lease_of_unknown_end_ended_when_it_was_taken(self) -> None:
        first = line("acquired", 0, until=None)
        ((before, _),) = timeline_of([first, self.LINES[1]]).take_overs()
        assert before.until == T + 11.5


class TestOverlaps:
    def test_two_holders_of_one_lease_are_found_whatever_is_between(self) -> None:
        first = [acquired(0, until=100), line("released", 50)]
        second = [acquired(1, "b"), line("released", 2, "b")]
        third = [acquired(3, "c"), line("lost", 4, "c", reason="stolen")]
        assert overlaps(*first, *second, *third) == [(1, 2), (3, 4)]
        page = write([*first, *second, *third])
        assert '<li data-of="overlap"><b>2</b> overlaps</li>' in page
        assert data(page)["leases"][0]["rows"] == 2, "side by side"

    def test_another_lease_does_not_overlap(self) -> None:
        other = acquired(1, "b").replace('"lease": "x"', '"lease": "y"')
        assert overlaps(acquired(0, until=100), other, line("released", 5)) == []

    def test_a_release_frees_it_before_it_is_told(self) -> None:
        assert overlaps(acquired(0), line("released", 5, took=0.3), acquired(4.8, "b")) == []
        assert overlaps(acquired(0), line("released", 5), acquired(4.8, "b")) == [(4.8, 5)]

    def test_who_wakes_up_past_its_lease_has_none(self) -> None:
        late = [acquired(0), acquired(12, "b", until=20), line("lost", 15, reason="expired")]
        assert overlaps(*late) == []
        assert ["late", T + 10, T + 15] in items(write(late))[0]["parts"]

    def test_a_process_that_was_killed_does_nothing(self) -> None:
        assert overlaps(acquired(0), line("killed", 3), acquired(5, "b")) == []

    def test_by_force_it_ends_for_all(self) -> None:
        forced = line("forced", 4, "operator", token=1)
        lines = [acquired(0), forced, acquired(5, "b"), line("released", 6)]
        assert overlaps(acquired(0), acquired(5, "b"), line("lost", 6)) == [(5, 6)]
        assert overlaps(acquired(0), forced, acquired(5, "b"), line("lost", 6)) == []
        assert "forced" in {item["kind"] for item in items(write(lines))}


class TestAttempts:
    def test_from_the_first_word_to_the_lease(self) -> None:
        waiting = [outside("waiting", 1, "r"), outside("waiting", 2, "r")]
        got = json.dumps({**json.loads(acquired(4, "b", waited=3.0)), "request_id": "r"})
        (attempt,) = timeline_of([*waiting, got]).attempts
        assert (attempt.start, attempt.end, attempt.outcome) == (T + 1, T + 4, "acquired")

    def test_from_how_long_it_took(self) -> None:
        lines = [acquired(3, took=2.5, waited=2.4), outside("skipped", 5, "r", took=1.5)]
        first, second = timeline_of(lines).attempts
        assert (first.start, first.end, first.outcome) == (T + 0.5, T + 3, "acquired")
        assert (second.start, second.end, second.outcome) == (T + 3.5, T + 5, "skipped")

    def test_who_got_it_at_once_did_not_wait(self) -> None:
        assert timeline_of([acquired(3, took=0.9, waited=0.0)]).attempts == []

    def test_given_up_and_failed(self) -> None:
        lines = [
            *(outside("waiting", 1, "r"), outside("skipped", 3, "r")),
            *(outside("waiting", 1.5, "s"), outside("failed", 2, "s", error="E: no")),
            outside("waiting", 2.5, "t"),
        ]
        timeline = timeline_of(lines)
        assert [a.outcome for a in timeline.attempts] == ["skipped", "failed", ""]
        assert [(a.start - T, a.end - T) for a in timeline.attempts][:2] == [(1, 3), (1.5, 2)]
        assert items(write(lines))[1]["facts"]["Error"] == "E: no"
        assert "<b>1</b> skip<" in write(lines)

    def test_many_at_once_lie_side_by_side_up_to_a_limit(self) -> None:
        skips = [outside("skipped", 5, f"r{n}", took=1.0) for n in range(20)]
        rows = [item["row"] for item in items(write(skips))]
        assert len(rows) == 20
        assert set(rows) == set(range(8))


class TestPlaces:
    """Where the page puts what it shows, in seconds and rows."""

    @pytest.mark.parametrize(("length", "margin"), [(4, 0.2), (100, 2.5), (4000, 100)])
    def test_the_picture_has_a_margin_at_both_ends(self, length: float, margin: float) -> None:
        lines = [acquired(0, until=length), line("released", length)]
        drawn = data(write(lines))
        assert (drawn["start"] - T, drawn["end"] - T) == pytest.approx((-margin, length + margin))

    def test_two_holders_in_turn_share_a_row(self) -> None:
        lines = [acquired(0), line("released", 5), acquired(5, "b"), line("released", 9, "b")]
        (lease,) = data(write(lines))["leases"]
        assert (lease["rows"], [item["row"] for item in lease["items"]]) == (1, [0, 0])

    @pytest.mark.parametrize(("apart", "rows"), [(0.9, [0, 1]), (1.1, [0, 0])])
    def test_marks_that_would_cover_each_other_lie_side_by_side(
        self, apart: float, rows: list[int]
    ) -> None:
        # Of 100 s a mark covers one.
        skips = [outside("skipped", at, f"r{at}") for at in (50, 50 + apart)]
        shown = items(write([acquired(0, until=100), *skips, line("released", 100)]))
        assert [item["row"] for item in shown if item["kind"] == "skipped"] == rows

    def test_a_bar_is_named_by_the_last_digits_of_its_token(self) -> None:
        lines = [line("acquired", 0, until=T + 9, token=1_800_000_001_042, function_name="work")]
        assert items(write(lines))[0]["label"][1] == "…1042"


def test_who_shares_a_run_is_shown_as_waiting_for_it() -> None:
    lines = [
        acquired(0),
        outside("waiting", 1, "r"),
        outside("coalesced", 5, "r", took=4.0, token=8),
    ]
    (attempt,) = timeline_of(lines).attempts
    assert (attempt.start, attempt.end, attempt.outcome) == (T + 1, T + 5, "coalesced")
    (shown,) = [item for item in items(write(lines)) if item["beside"]]
    assert (shown["kind"], shown["title"]) == ("waited", "Waited, shared another run")
    assert shown["facts"]["Shared"] == "the run with token 8"


def test_a_refused_write_is_on_its_holders_row() -> None:
    lines = [acquired(0, until=100), acquired(1, "b"), line("write_refused", 3, "b", token=1)]
    (mark,) = (item for item in items(write(lines)) if item["kind"] == "refused")
    assert mark["row"] == 1


class TestReading:
    PLAIN = acquired(0)

    @pytest.mark.parametrize(
        "text",
        [
            PLAIN,
            f"2026-11-22T14:00:00.001000+00:00 2026/11/22/[$LATEST]0a1b {PLAIN}",
            json.dumps({"timestamp": 1_795_356_000_000, "message": PLAIN}),
            json.dumps({"message": json.loads(PLAIN)}),
            json.dumps({"timestamp": 1, "message": f"{PLAIN}\n", "logStreamName": "a"}),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22T14:00:00Z"'),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22 14:00:00,000+0000"'),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22T14:00:00"'),
            PLAIN.replace('"request_id"', '"function_request_id"'),
        ],
    )
    def test_a_line_in_any_wrapping(self, text: str) -> None:
        timeline = timeline_of([text])
        (holding,) = timeline.holdings
        assert (holding.start, holding.owner, timeline.log.ignored) == (T, "a", 0)
        assert holding.caller["Request"] == "request-a"

    def test_a_time_without_a_zone_is_in_utc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = self.PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22 14:00:00"')
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            (holding,) = timeline_of([text]).holdings
        time.tzset()
        assert holding.start == T

    def test_what_is_none_is_passed_over_and_counted(self) -> None:
        odd = [
            "START RequestId: 1",
            "{",
            "[" * 100_000 + "{",
            '{"a":' * 100_000,
            "[1]",
            "null {}",
            json.dumps({"message": "started", "at": T}),
            json.dumps({"decision": "acquired", "lease": "x"}),
            json.dumps({"decision": "acquired", "lease": 5, "at": T}),
            json.dumps({"decision": "acquired", "lease": "x", "at": math.nan}),
            json.dumps({"decision": "acquired", "lease": "x", "at": T * 1000}),
            json.dumps({"decision": "acquired", "lease": "x", "timestamp": "yesterday"}),
            line("pondered", 1),
            line("acquired\n", 1),
        ]
        timeline = timeline_of([*odd, "", "  \n", acquired(0)])
        assert (len(timeline.holdings), timeline.log.ignored) == (1, len(odd))
        assert f"<b>{len(odd)}</b> lines ignored" in write(odd)

    @pytest.mark.parametrize(
        "odd",
        [
            f"[INFO]\t2026-11-22T14:00:00.001Z\t5d0c\tlease 'sync#{PLAIN}' acquired with token 1",
            f"[INFO]\t2026-11-22T14:00:00.001Z\t5d0c\t{PLAIN}",
            f"2026-11-22T14:00:00.001000+00:00 2026/11/22/[$LATEST]0a1b [INFO]\t{PLAIN}",
            f"2026-11-22T14:00:00.001000+00:00 2026/11/22/[$LATEST]0a1b skipped: {PLAIN}",
            f"2026-11-22 14:00:00,000 INFO {PLAIN}",
            f"2026-11-22T14:00:00 INFO {PLAIN}",
            f"INFO {PLAIN}",
            f"{PLAIN} is what somebody sent",
            f"{PLAIN}{PLAIN}",
            f"[{PLAIN}]",
            json.dumps({"level": "INFO", "message": PLAIN, "logger": "root", "requestId": "5d0c"}),
            json.dumps({"level": "INFO", "message": json.loads(PLAIN), "service": "work"}),
            json.dumps({"level": "INFO", "message": f"skipped: lease 'x#{PLAIN}' is held"}),
            json.dumps({"timestamp": 1, "message": json.dumps({"level": "I", "message": PLAIN})}),
            json.dumps({"timestamp": 1, "message": json.dumps({"message": PLAIN})}),
            json.dumps({"timestamp": 1, "message": f"[INFO]\tlease 'x#{PLAIN}' acquired"}),
            json.dumps(json.loads(PLAIN) | {"logger": "root"}),
            json.dumps({"holder": json.loads(PLAIN)}),
            PLAIN + " " * LONGEST_LINE,
        ],
    )
    def test_an_object_inside_another_text_is_somebody_elses(self, odd: str) -> None:
        timeline = timeline_of([odd])
        assert (timeline.leases, timeline.log.ignored) == ([], 1)

    def test_of_real_formatters_only_this_packages_own_lines_count(self) -> None:
        forged = acquired(0, lease="ledger", until=1e6)
        logs, formatters = StringIO(), [*real_formatters()]
        for formatter in formatters:
            handler = logging.StreamHandler(logs)
            handler.setFormatter(formatter)
            for name in ("lambda_singleton", "somebody"):
                logger = logging.Logger(name)
                logger.addHandler(handler)
                if name == "somebody":
                    logger.info(forged)
                    logger.info("sent: %s", forged)
                    logger.info(json.loads(forged))
                    continue
                holder = {"function": forged, forged: forged}
                events = [
                    LeaseEvent("acquired", f"sync#{forged}", T, "a", 1, T + 9, taken_from=forged),
                    LeaseEvent("skipped", f"sync#{forged}", T, holder=holder, held_until=T + 9),
                    LeaseEvent("failed", f"sync#{forged}", T, error=LeaseStoreError(forged)),
                ]
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("lambda_singleton._events.logs.logger", lambda to=logger: to)
                    for event in events:
                        log(event)
        lines = [text for text in logs.getvalue().splitlines() if text]
        assert len(formatters) == 3
        assert len(lines) == len(formatters) * 6
        for prefix in ("", "2026-11-22T14:00:00.001000+00:00 2026/11/22/[$LATEST]0a1b "):
            timeline = timeline_of(prefix + text for text in lines)
            assert timeline.leases == [f"sync#{forged}"]
            assert len(timeline.log.decisions) == 6, "of the two that write JSON"

    def test_bytes_that_are_no_text_are_replaced(self) -> None:
        odd = self.PLAIN.replace('"x"', '"é"').encode("latin-1")
        file = BytesIO(b"\xff\xfe\n" + self.PLAIN.encode() + b"\n" + odd + b"\r\n\x00")
        log = Log(lines_of(file))
        assert [decision.lease for decision in log.decisions] == ["x", "\ufffd"]
        assert log.ignored == 2

    def test_what_is_too_long_is_not_kept(self) -> None:
        file = BytesIO(b"x" * 50_000_000 + b"\n" + self.PLAIN.encode())
        tracemalloc.start()
        log = Log(lines_of(file))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()
        assert (len(log.decisions), log.ignored) == (1, 1)

    def test_facts_of_any_type(self) -> None:
        odd: list[Any] = [None, True, -1, 1e308, math.inf, "", "x", [], {}, {"a": {}}]
        for value in odd:
            facts = dict.fromkeys(("token", "until", "waited", "took", "holder", "owner"), value)
            facts |= dict.fromkeys(("held_until", "taken_from", "request_id", "reason"), value)
            kinds = ("acquired", "renewed", "skipped", "waiting", "lost", "released", "forced")
            lines = [
                json.dumps({"decision": kind, "lease": "x", "at": T + n, **facts})
                for n, kind in enumerate(kinds)
            ]
            assert data(write(lines))["leases"][0]["name"] == "x"

    def test_an_empty_history(self) -> None:
        page = write([])
        assert data(page)["leases"] == []
        assert '<li data-of="run"><b>0</b> runs</li>' in page


class TestPage:
    def test_no_name_gets_out_of_its_place(self) -> None:
        lines = [
            acquired(n, f"{n}", lease=name, function_name=name, taken_from=name)
            for n, name in enumerate(HOSTILE)
        ]
        page = write(lines)
        page.encode()
        harmless = write([acquired(n, f"{n}", lease=f"{n}") for n, _ in enumerate(HOSTILE)])
        # The same elements as with harmless names, and one row of the table for each.
        assert re.findall(r"<[a-z/!]+", page) == re.findall(r"<[a-z/!]+", harmless)
        assert [lease["name"] for lease in data(page)["leases"]] == WRITTEN
        cells = [unescape(c) for c in re.findall(r"</td><td>(.*?)</td><td>Run", page)]
        assert cells == WRITTEN

    def test_it_needs_nothing_from_elsewhere(self) -> None:
        page = write([acquired(0)])
        assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
        assert not re.search(r"<link|<img|\bsrc=|@import|url\(|fetch\(|innerHTML", page)
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page)
        rules = dict(rule.split(maxsplit=1) for rule in policy.split(";"))
        script = page.rpartition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert rules == {
            "default-src": "'none'",
            "script-src": f"'sha256-{digest}'",
            "style-src": "'unsafe-inline'",
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
        }

    def test_the_table_has_all_items(self) -> None:
        lines = [acquired(0), line("lost", 4), acquired(11, "b", taken_from="a")]
        page = write(lines)
        assert page.count("<tr><td>") == len(items(page)) == 4


def test_held_is_said_of_what_is_held() -> None:
    facts = {"holder": {"function": "f"}, "held_until": T + 9}
    lines = [
        outside("skipped", 1, "r", **facts),
        outside("skipped", 2, "s", **facts, reason="resting"),
    ]
    held, resting = (item["facts"] for item in items(write(lines)))
    assert held["Held by"] == resting["Last held by"] == "f"
    assert held["Held until"] == resting["Rests until"]
    assert not {"Held by", "Held until"} & set(resting)


class TestBounds:
    """However much there is in a log, and whatever it says."""

    def draw(self, lines: Iterable[str]) -> str:
        began = time.process_time()
        page = write(lines)
        assert time.process_time() - began < 60
        assert len(page.encode()) <= MOST_BYTES
        return page

    def test_overlaps_are_told_up_to_a_hundred(self) -> None:
        page = self.draw(acquired(n / 1000, f"{n}", until=1e6) for n in range(1000))
        assert f"<b>{MOST_OVERLAPS}</b> overlaps or more" in page
        assert data(page)["leases"][0]["rows"] <= 50

    def test_the_latest_decisions_are_drawn(self) -> None:
        page = self.draw(acquired(n, f"{n}", until=n + 0.5) for n in range(130_000))
        left = 130_000 - MOST_DECISIONS
        assert f"<b>{left:,}</b> earlier decisions left out" in page
        assert len(items(page)) == MOST_DECISIONS
        assert items(page)[0]["at"] == T + left

    def test_facts_without_end(self) -> None:
        facts = dict.fromkeys(
            ("function_name", "log_stream", "taken_from", "error"), "<'\u0301" * 999
        )
        lines = [
            line(kind, n, f"{n}", until=T + n + 2, lease=f"<'\u0301{n}" * 200, **facts)
            for n in range(2000)
            for kind in ("acquired", "failed", "lost")
        ]
        page = self.draw(lines)
        assert len(items(page)) > 1000

    @pytest.mark.parametrize("kind", ["forced", "renewed", "paused", "waiting", "write_accepted"])
    def test_many_of_one_kind(self, kind: str) -> None:
        def lines() -> Iterator[str]:
            for n in range(5000):
                yield acquired(n, f"{n}", until=1e6, taken_from=f"{n - 1}")
                yield line(kind, n + 0.5, f"{n % 3}", until=T + 1e6, request_id=f"{n}")

        self.draw(lines())

    def test_many_leases(self) -> None:
        page = self.draw(acquired(n, f"{n}", lease=f"{n}") for n in range(30_000))
        assert len(data(page)["leases"]) <= MOST_DECISIONS


class TestLengths:
    def test_no_length_is_negative(self) -> None:
        first = [acquired(0), line("lost", 128, reason="expired")]
        page = write([*first, acquired(11, "b", until=200, taken_from="a")])
        (gap,) = (item for item in items(page) if item["kind"] == "take-over")
        assert gap["title"] == "Taken over: its lease was over", "it was heard of again"
        assert "Blocked for" not in gap["facts"]
        assert gap["facts"]["At work past that for"] == "1 min 57 s"
        assert "-" not in "".join(re.findall(r"-?\d+ min|-?\d+\.\d\d s", page))

    def test_from_a_dead_holder_only_if_it_was_dead(self) -> None:
        for ending, title in (
            ([], "Taken over from a dead holder"),
            ([line("killed", 4)], "Taken over from a dead holder"),
            ([line("release_failed", 4)], "Taken over from a dead holder"),
            ([line("lost", 4)], "Taken over: its lease was over"),
            ([line("renewed", 15, until=T + 16)], "Taken over: its lease was over"),
        ):
            page = write([acquired(0), *ending, acquired(11, "b", until=20, taken_from="a")])
            assert [i["title"] for i in items(page) if i["kind"] == "take-over"] == [title]


def the_clean(seed: int) -> list[Event]:
    return list(simulate(seed, weather=Weather(freeze=0)).events)


class TestPicture:
    @pytest.mark.parametrize("seed", range(5))
    def test_of_a_clean_history_has_no_overlap(self, seed: int) -> None:
        events = the_clean(seed)
        timeline = timeline_of(picture.lines(events))
        assert timeline.log.ignored == 0
        assert len(timeline.holdings) == sum(event.kind == "started" for event in events) > 0
        assert not list(timeline.overlaps())
        refused = sum(event.kind == "refused" for event in events)
        assert sum(attempt.outcome == "skipped" for attempt in timeline.attempts) == refused

    def test_shows_what_the_judge_finds(self) -> None:
        def run(owner: str, token: int, start: float, end: float) -> Iterator[Event]:
            for at, kind in ((start, "started"), (end, "stopped"), (end, "released")):
                facts = {"token": token, "until": T + 9} if kind == "started" else {}
                yield Event(at=T + at, kind=kind, run=owner, lease="x", **facts)  # type: ignore[arg-type]

        events = [*run("a", 1, 0, 5), *run("b", 2, 4, 6)]
        assert overlaps(*picture.lines(events)) == [(4, 5)]

    def test_of_one_run(self) -> None:
        def run(*kinds: str) -> Iterator[Event]:
            for at, kind in enumerate(kinds):
                until = {"started": T + 9, "held": T + 9 + 3 * (at > 2)}.get(kind)
                yield Event(at=T + at, kind=kind, run="a", lease="x", until=until)  # type: ignore[arg-type]

        def holding(*kinds: str) -> Holding:
            (holding,) = timeline_of(picture.lines(run("attempted", "started", *kinds))).holdings
            return holding

        assert holding("held", "held", "held").renewed == [T + 3]
        assert holding("stopped", "released", "ended").ending == "released"
        assert holding("stopped", "ended").ending == "release failed"
        assert holding("stopped").ending == "released", "nothing is known of what followed"
        assert holding("told", "stopped", "ended").ending == "lost"
        assert holding("killed").ending == "killed"
        assert holding("frozen", "thawed").pauses == [(T + 2, T + 3)]

    def test_of_what_a_soak_has_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        history, page = tmp_path / "history.jsonl", tmp_path / "page.html"
        events = the_clean(1)
        history.write_text("".join(f"{event.to_json()}\n" for event in events))
        assert picture.main([str(history), "--output", str(page)]) == 0
        assert page.as_uri() in capsys.readouterr().out
        assert page.read_text() == write(picture.lines(events))


def test_a_demo_that_may_not_write_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    demo.draw_page(Console(), [])
    assert (tmp_path / demo.PAGE).as_uri() in capsys.readouterr().out.replace("\n", "")
    monkeypatch.setattr(demo, "PAGE", "nowhere/page.html")
    demo.draw_page(Console(), [])
    assert "could not be written here: No such file" in capsys.readouterr().out


def allowing(page: str, probe: str) -> str:
    """Let the page's policy allow one script more."""
    script = probe.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)


def browse(page: str, directory: Path, script: str, size: str = "1400,1000") -> tuple[Any, str]:
    """Open the page, run a script in it, and return what that made and what was there then."""
    if BROWSER is None:
        pytest.skip("no chromium or google-chrome on PATH: the page was not opened")
    probe = """<script>
    const press = (key) => document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    const all = (selector) => document.querySelectorAll(selector).length;
    document.body.append(Object.assign(document.createElement("pre"),
      { id: "seen", textContent: JSON.stringify((() => { %s })()) }));
    </script></body>"""
    path = directory / "page.html"
    probe %= script
    path.write_text(allowing(page, probe).replace("</body>", probe))
    options = ["--headless", "--no-sandbox", "--dump-dom", "--virtual-time-budget=2000"]
    options += [f"--window-size={size}", f"--user-data-dir={directory / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *options, path.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen, done.stdout[-2000:]
    return json.loads(unescape(seen[1])), done.stdout


def test_a_browser_draws_it_and_keys_move_in_it(tmp_path: Path) -> None:
    lines = [
        *(acquired(n, f"{n}", lease=name, until=50) for n, name in enumerate(HOSTILE)),
        acquired(60, "late", lease=HOSTILE[0], taken_from="0", until=70),
        acquired(61, "too", lease=HOSTILE[0], until=70),
    ]
    timeline = timeline_of(lines)
    seen, dom = browse(
        write(lines),
        tmp_path,
        """
        const focused = () => document.activeElement.getAttribute("aria-label");
        const seen = { bars: all("#plane .holding"), overlaps: all("#plane .overlap"),
                       scripts: all("script"), images: all("img"),
                       first: all(".item[tabindex='0']") };
        document.querySelector(".item[tabindex='0']").focus();
        seen.labels = [focused()];
        for (const key of ["ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "!"]) {
          press(key);
          seen.labels.push(focused());
        }
        seen.stops = [...document.querySelectorAll(".item[tabindex='0']")].map(
          (item) => item === document.activeElement);
        seen.card = document.getElementById("card").textContent;
        const width = () => document.getElementById("plane").offsetWidth;
        seen.widths = [width()];
        for (const key of ["+", "-", "+", "0"]) { press(key); seen.widths.push(width()); }
        press("?");
        seen.keys = document.getElementById("keys").open;
        document.getElementById("keys").close();
        document.getElementById("filter").value = "SCRIPT";
        document.getElementById("filter").dispatchEvent(new Event("input"));
        seen.left = all(".lease:not([hidden])");
        return seen;
        """,
    )
    assert '<p id="trouble" role="alert" hidden="">' in dom, "an error of the script is shown there"
    assert seen["bars"] == len(timeline.holdings) == 8
    assert (seen["overlaps"], seen["first"]) == (1, 1)
    assert (seen["scripts"], seen["images"]) == (3, 0), "the data, the page's and this test's"
    first, second = (f"{WRITTEN[n]}, 2026-11-22T14:00:0{n}.000Z" for n in (0, 1))
    assert [label.partition(", ")[2].partition(", ")[2] for label in seen["labels"][:5]] == [
        *(first, second),
        f"{WRITTEN[2]}, 2026-11-22T14:00:02.000Z",
        *(second, first),
    ]
    assert seen["labels"][5].startswith("OVERLAP")
    assert seen["stops"] == [True], "Tab leaves the picture, and comes back to where it was"
    assert "60 and 61" in seen["card"]
    normal, wide, *rest = seen["widths"]
    assert wide > 1.3 * normal
    assert rest == [normal, wide, normal]
    assert seen["keys"] is True
    assert seen["left"] == 1


def test_nobody_elses_script_runs(tmp_path: Path) -> None:
    page = write([acquired(0)]).replace(
        "</main>",
        "</main><p id=x onclick='this.dataset.ran=1'></p><base href='http://127.0.0.1:1/'>"
        "<script>document.getElementById('x').dataset.ran=2</script>",
    )
    script = """
    document.getElementById("x").click();
    return [document.getElementById("x").dataset.ran ?? "never", all(".holding") > 0,
            document.baseURI.slice(0, 5)];
    """
    seen, _ = browse(page, tmp_path, script)
    assert seen == ["never", True, "file:"]


def test_the_filter_also_filters_the_table(tmp_path: Path) -> None:
    lines = [
        *(acquired(n, f"{n}", lease=name, until=50) for n, name in enumerate(HOSTILE)),
        line("lost", 9, "0", lease=HOSTILE[0]),
    ]
    script = """
    const left = () => all("#rows tr:not([hidden])");
    const type = (text) => {
      document.getElementById("filter").value = text;
      document.getElementById("filter").dispatchEvent(new Event("input"));
      return left();
    };
    const seen = [left(), type("SCRIPT"), type("nowhere"), type("")];
    document.getElementById("notable").click();
    return [...seen, left()];
    """
    seen, _ = browse(write(lines), tmp_path, script)
    assert seen == [7, 2, 0, 7, 2]


def test_as_much_as_a_page_may_have_is_drawn(tmp_path: Path) -> None:
    lines = [acquired(n, f"{n}", until=n + 0.5) for n in range(MOST_DECISIONS)]
    lines += [acquired(n, f"{n}", lease=f"{n}", until=n + 0.5) for n in range(200)]
    seen, dom = browse(write(lines), tmp_path, "return all('#plane .holding');")
    assert '<p id="trouble" role="alert" hidden="">' in dom
    assert seen == MOST_DECISIONS


def test_no_label_is_cut_within_a_letter(tmp_path: Path) -> None:
    lines = [acquired(n, f"{n}", until=n + 1 + n / 4, function_name="m" * 40) for n in range(12)]
    lines += [line("released", n + 0.9, f"{n}") for n in range(12)]
    script = """
    const spans = [...document.querySelectorAll(".label span")].filter((one) => one.offsetWidth);
    const inside = (one) => one.getBoundingClientRect().right
      <= one.parentElement.getBoundingClientRect().right + 1;
    return [spans.length, spans.filter((one) => !inside(one)).length,
            spans.every((one) => getComputedStyle(one).textOverflow === "ellipsis")];
    """
    tokens = """
    return [...document.querySelectorAll(".label span + span")].filter((one) => one.offsetWidth)
      .every((one) => one.scrollWidth <= one.clientWidth);
    """
    assert browse(write(lines), tmp_path, tokens)[0] is True, "a token is whole or not there"
    (drawn, cut, dots), _ = browse(write(lines), tmp_path, script)
    assert drawn >= 8
    assert (cut, dots) == (0, True)


def test_what_is_dotted_is_in_the_legend(tmp_path: Path) -> None:
    lines = [acquired(0), line("renewal_failed", 4), acquired(12, "b", until=20, taken_from="a")]
    script = "return document.getElementById('legend').textContent;"
    seen, _ = browse(write(lines), tmp_path, script)
    assert "renewal failed" in seen
    assert "free until it was taken over" in seen


@pytest.mark.parametrize("size", ["390,800", "1600,900"])
def test_five_thousand_events_fit_a_narrow_and_a_wide_window(tmp_path: Path, size: str) -> None:
    lines = []
    for n in range(1250):
        owner, at = f"{n}", 7.0 * n
        lines += [acquired(at, owner, lease=f"tenant#{n % 250}", until=at + 9)]
        lines += [line("renewed", at + 2, owner, lease=f"tenant#{n % 250}", until=T + at + 11)]
        lines += [outside("skipped", at + 3, f"r{n}", lease=f"tenant#{n % 250}", took=0.5)]
        lines += [line("released", at + 5, owner, lease=f"tenant#{n % 250}")]
    script = """
    const page = document.documentElement, made = [];
    const make = document.createElement.bind(document);
    document.createElement = (...of) => { made.push(of[0]); return make(...of); };
    drawAxis(); zoomBy(3); page.offsetWidth;
    return { drawn: all("#plane .holding"), aside: page.scrollWidth - innerWidth,
             elements: all("*"), made: made.length };
    """
    seen, _ = browse(write(lines), tmp_path, script, size)
    assert seen["drawn"] == 1250
    assert seen["aside"] <= 0, "only the chart scrolls sideways"
    assert seen["elements"] > 20_000
    assert seen["made"] < 100, "to zoom draws the axis anew, and nothing else"
