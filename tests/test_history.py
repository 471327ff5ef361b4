"""The demo's judge has to find what it is there for."""

from __future__ import annotations

from demo.history import History, Run, Span, Write


def run(token: int, start: float, end: float, *pauses: Span, lease: str = "x") -> Run:
    return Run(lease, token, Span(start, end), pauses)


def test_a_clean_history_is_clean() -> None:
    history = History(
        runs=[run(1, 0, 2), run(2, 2, 3), run(1, 0, 9, lease="y")],
        writes=[Write(1, "r", 1, True), Write(2.5, "r", 2, True), Write(2.7, "r", 1, False)],
    )
    assert history.violations() == []


def test_an_overlap_is_found() -> None:
    assert History([run(1, 0, 2), run(2, 1.9, 3)]).violations() == [
        "two handlers of x at the same time: tokens 1 and 2"
    ]


def test_a_long_run_overlaps_also_what_is_not_its_neighbour() -> None:
    assert len(History([run(1, 0, 9), run(2, 1, 2), run(3, 3, 4)]).violations()) == 2


def test_a_stopped_process_does_not_count_as_running() -> None:
    paused = run(1, 0, 9, Span(1, 8))
    assert History([paused, run(2, 2, 7)]).violations() == []
    assert len(History([paused, run(2, 2, 8.5)]).violations()) == 1


def test_a_falling_token_is_found() -> None:
    assert History([run(7, 0, 1), run(7, 2, 3)]).violations() == ["the token of x fell from 7 to 7"]
    assert len(History([run(7, 0, 1), run(6, 2, 3)]).violations()) == 1


def test_an_accepted_stale_write_is_found() -> None:
    writes = [Write(1, "r", 2, True), Write(2, "r", 1, True)]
    assert History(writes=writes).violations() == ["r accepted a write with the old token 1"]
