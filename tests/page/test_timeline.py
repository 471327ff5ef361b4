from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import __main__ as demo
from lambda_singleton_cli.timeline import write
from lambda_singleton_cli.timeline.history import Holding, Timeline
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


#: How they look in a file, which cannot have half a character.
WRITTEN = [name.encode(errors="replace").decode() for name in HOSTILE]


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
    return [(round(o.start - T, 3), round(o.end - T, 3)) for o in Timeline(lines).overlaps()]


def data(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def items(page: str) -> list[dict[str, Any]]:
    return [item for lease in data(page)["leases"] for item in lease["items"]]


class TestHoldings:
    def test_all_of_one_owner_is_one_holding(self) -> None:
        timeline = Timeline(
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
        (holding,) = Timeline(lines).holdings
        assert (holding.ending, holding.why, holding.end) == ("lost", "stolen", T + 4)
        assert {item["kind"] for item in items(write(lines))} == {"holding", "lost"}

    def test_who_gives_back_what_was_lost_has_lost_it(self) -> None:
        (holding,) = Timeline([acquired(0), line("released", 5, outcome="lost")]).holdings
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
            (holding,) = Timeline([*lines, refused]).holdings
            assert holding.until == T + 55
        (holding,) = Timeline([acquired(0), line("lost", 9), refused]).holdings
        assert holding.until == T + 10

    def test_a_failed_release_leaves_it_to_its_end(self) -> None:
        lines = [acquired(0), line("release_failed", 4, error="E"), outside("skipped", 12, "r")]
        bar = items(write(lines))[0]
        assert (bar["title"], bar["to"]) == ("Run, lease not given back", T + 10)


class TestTakeOvers:
    LINES = (acquired(0), acquired(11.5, "b", until=20, taken_from="a"))

    def test_the_dead_one_and_the_next(self) -> None:
        ((before, after),) = Timeline(self.LINES).take_overs()
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
        ((before, _),) = Timeline([first, self.LINES[1]]).take_overs()
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
        (attempt,) = Timeline([*waiting, got]).attempts
        assert (attempt.start, attempt.end, attempt.outcome) == (T + 1, T + 4, "acquired")

    def test_from_how_long_it_took(self) -> None:
        lines = [acquired(3, took=2.5, waited=2.4), outside("skipped", 5, "r", took=1.5)]
        first, second = Timeline(lines).attempts
        assert (first.start, first.end, first.outcome) == (T + 0.5, T + 3, "acquired")
        assert (second.start, second.end, second.outcome) == (T + 3.5, T + 5, "skipped")

    def test_who_got_it_at_once_did_not_wait(self) -> None:
        assert Timeline([acquired(3, took=0.9, waited=0.0)]).attempts == []

    def test_given_up_and_failed(self) -> None:
        lines = [
            *(outside("waiting", 1, "r"), outside("skipped", 3, "r")),
            *(outside("waiting", 1.5, "s"), outside("failed", 2, "s", error="E: no")),
            outside("waiting", 2.5, "t"),
        ]
        timeline = Timeline(lines)
        assert [a.outcome for a in timeline.attempts] == ["skipped", "failed", ""]
        assert [(a.start - T, a.end - T) for a in timeline.attempts][:2] == [(1, 3), (1.5, 2)]
        assert items(write(lines))[1]["facts"]["Error"] == "E: no"
        assert "<b>1</b> skip<" in write(lines)

    def test_many_at_once_lie_side_by_side_up_to_a_limit(self) -> None:
        skips = [outside("skipped", 5, f"r{n}", took=1.0) for n in range(20)]
        rows = [item["row"] for item in items(write(skips))]
        assert len(rows) == 20
        assert set(rows) == set(range(8))


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
            json.dumps({"message": f"INFO {PLAIN}\n"}),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22T14:00:00Z"'),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22 14:00:00,000+0000"'),
            PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22T14:00:00"'),
            PLAIN.replace('"request_id"', '"function_request_id"'),
        ],
    )
    def test_a_line_in_any_wrapping(self, text: str) -> None:
        timeline = Timeline([text])
        (holding,) = timeline.holdings
        assert (holding.start, holding.owner, timeline.passed_over) == (T, "a", 0)
        assert holding.caller["Request"] == "request-a"

    def test_a_time_without_a_zone_is_in_utc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = self.PLAIN.replace(f'"at": {T}', '"timestamp": "2026-11-22 14:00:00"')
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            (holding,) = Timeline([text]).holdings
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
        timeline = Timeline([*odd, "", "  \n", acquired(0)])
        assert (len(timeline.holdings), timeline.passed_over) == (1, len(odd))
        assert f"<b>{len(odd)}</b> lines passed over" in write(odd)

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
        assert "default-src 'none'" in page

    def test_the_table_has_all_items(self) -> None:
        lines = [acquired(0), line("lost", 4), acquired(11, "b", taken_from="a")]
        page = write(lines)
        assert page.count("<tr><td>") == len(items(page)) == 4


def the_clean(seed: int) -> list[Event]:
    return list(simulate(seed, weather=Weather(freeze=0)).events)


class TestPicture:
    @pytest.mark.parametrize("seed", range(5))
    def test_of_a_clean_history_has_no_overlap(self, seed: int) -> None:
        events = the_clean(seed)
        timeline = Timeline(picture.lines(events))
        assert timeline.passed_over == 0
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
            (holding,) = Timeline(picture.lines(run("attempted", "started", *kinds))).holdings
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
    path.write_text(page.replace("</body>", probe % script))
    options = ["--headless", "--no-sandbox", "--dump-dom", "--virtual-time-budget=2000"]
    options += [f"--window-size={size}", f"--user-data-dir={directory / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *options, path.as_uri()], capture_output=True, text=True, timeout=30, check=True
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
    timeline = Timeline(lines)
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
    const page = document.documentElement, began = performance.now();
    drawAxis(); zoomBy(3); page.offsetWidth;
    return { drawn: all("#plane .holding"), aside: page.scrollWidth - innerWidth,
             took: performance.now() - began };
    """
    seen, _ = browse(write(lines), tmp_path, script, size)
    assert seen["drawn"] == 1250
    assert seen["aside"] <= 0, "only the chart scrolls sideways"
    assert seen["took"] < 2000
