"""Text from outside: one line, of bounded length, in which every sign can be seen."""

from __future__ import annotations

import logging
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_singleton import LeaseEvent, LeaseStoreError
from lambda_singleton._events.logs import log
from lambda_singleton._text import ERROR, FACT, fact, in_words, plain, quoted, told

#: Unicode's Default_Ignorable_Code_Point, and other signs that nothing is seen of.
INVISIBLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0100, 0xE01F0),
    *(0xA0, 0x1680, 0x2000, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x1D159),
]
ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])")


def test_every_sign_that_cannot_be_seen_is_an_escape() -> None:
    for sign in map(chr, INVISIBLE):
        assert plain(f"a{sign}b").isascii(), hex(ord(sign))
    for number in range(sys.maxunicode + 1):
        sign = chr(number)
        if not sign.isprintable() or unicodedata.category(sign) in ("Mn", "Me"):
            assert plain(sign).isascii(), hex(number)


def test_what_looks_alike_is_told_apart() -> None:
    alike = ["a\\nb", "a\nb", "é", "e\u0301", "x", "x\u200b", "x\u3164", "\\u3164", "\u3164"]
    assert len({plain(text) for text in alike}) == len(alike)
    assert len(plain("x" + "\u0301" * 600, 50)) <= 50


def test_what_can_be_seen_is_left_alone() -> None:
    for text in ("nightly-report", "報告書#東京 é", "it's", "a b", ""):
        assert plain(text) == text


@given(st.text(), st.integers(10, 300))
def test_any_text_is_one_line_of_bounded_length(text: str, most: int) -> None:
    shown = plain(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    shown.encode()
    left = shown.replace("…", "")
    assert "\\" not in ESCAPE.sub("", left), "no escape is cut"


@given(st.text(min_size=1))
def test_a_quoted_text_ends_where_its_quotes_do(text: str) -> None:
    shown = quoted(text)
    assert shown[0] == shown[-1] == "'"
    assert not re.search(r"(?<!\\)(\\\\)*'", shown[1:-1])


def test_a_fact_that_is_no_word_is_quoted() -> None:
    facts = {"function": "report", "host": "x held by nobody", "process": "7, region us"}
    assert in_words(facts) == "function report, host 'x held by nobody', process '7, region us'"
    assert fact("") == "''"


@pytest.mark.parametrize(
    "text",
    [
        "A" * 10_000_000,
        "A" * 65_000 + " B" * 100_000,
        ("A" * 199 + "!") * 50_000,
        "//" * 5_000_000,
        "//a@" * 2_500_000,
        "\n" * 10_000_000,
    ],
)
def test_a_text_of_ten_megabytes_is_cut_at_once(text: str) -> None:
    assert len(told(ValueError(text))) <= ERROR
    assert len(plain(text)) <= FACT


@pytest.mark.parametrize(
    "secret",
    ["FwoGZXIvYXdzE" * 40, "IQoJb3JpZ2luX2VjE//////////wEaCXVzLWVhc3QtMSJ" * 10 + "=="],
)
def test_no_credential_is_repeated(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    said = told(
        ValueError(
            f"no {secret} at http://me:pass@word@example/x with"
            " wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        )
    )
    assert said == "no [secret] at http://[secret]@example/x with [secret]"


def test_no_name_or_holder_or_error_forges_a_line(caplog: pytest.LogCaptureFixture) -> None:
    forged = "x\n[ERROR] lease 'y' is lost\x1b[2J\u202e" * 20_000
    holder = {"function": forged, "region": forged}
    events = [
        LeaseEvent("skipped", forged, 0.0, holder=holder, held_until=9.0),
        LeaseEvent("failed", forged, 0.0, error=LeaseStoreError(forged)),
        LeaseEvent("acquired", forged, 0.0, token=1, taken_from=forged),
        *(
            LeaseEvent(kind, forged, 0.0, error=LeaseStoreError(forged), reason=forged)
            for kind in ("waiting", "renewal_failed", "lost", "release_failed", "forced")
        ),
    ]
    with caplog.at_level(logging.DEBUG, "lambda_singleton"):
        for event in events:
            log(event)
    assert len(caplog.messages) == len(events)
    for message in caplog.messages:
        assert message.isprintable()
        assert len(message) < 4000


def test_held_is_said_of_what_is_held(caplog: pytest.LogCaptureFixture) -> None:
    holder = {"function": "report"}
    with caplog.at_level(logging.DEBUG, "lambda_singleton"):
        for reason in (None, "resting"):
            log(LeaseEvent("skipped", "x", 0.0, holder=holder, held_until=9.0, reason=reason))
        log(LeaseEvent("waiting", "x", 0.0, holder=holder, held_until=9.0))
        log(LeaseEvent("acquired", "x", 0.0, token=7, taken_from="4f3a"))
    assert caplog.messages == [
        "skipped: lease 'x' is held until 1970-01-01T00:00:09.000Z by function report",
        "skipped: lease 'x' rests until 1970-01-01T00:00:09.000Z, last held by function report",
        "waiting for lease 'x', which is held until 1970-01-01T00:00:09.000Z by function report",
        "lease 'x' taken over after owner 4f3a let it expire, with token 7",
    ]
