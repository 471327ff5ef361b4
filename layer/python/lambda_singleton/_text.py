"""Text from outside, as people get to see it: in errors, log lines, skips, tables and pages.

Whoever writes a row, sends an event or answers a request chooses what some of it says. In here it
becomes text of one line and of bounded length, in which every sign can be seen: none moves a
cursor, turns the direction of reading, forges a line of its own, or looks like another. What
cannot be seen becomes an escape, and so does a backslash, so that an escape always is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache

from ._errors import LeaseError

#: What is shown of one text at most, in signs: of a name or another fact, and of an error.
FACT, ERROR = 200, 1000

# Printable for Python, but blank: DynamoDB and filters tell them apart, nobody else can.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159")
_MARKS = ("Mn", "Me")

# How much of an error is read at all, the least of a secret, and the least of a session token.
_READ, _SECRET, _TOKEN = 65_536, 16, 200

_CREDENTIALS = ("AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN")


def plain(text: str, most: int = FACT, *, is_escaped: bool = False) -> str:
    """Return the text in signs that can be seen, with its middle left out beyond `most` of them.

    The backslashes of a text that `is_escaped`, such as an error's of this package, stay as they
    are.
    """
    if len(text) <= most and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return _shown(text, most, _escape_but_backslashes if is_escaped else _escape)


def quoted(text: object, most: int = FACT) -> str:
    """Return the text in quotes, for a sentence that is not its own."""
    if not isinstance(text, str):
        return plain(repr(text), most)
    shown = _shown(text, most, _escape_in_quotes) if "'" in text else plain(text, most)
    return f"'{shown}'"


def fact(text: str, most: int = FACT) -> str:
    """Return a single word as it is, and anything else in quotes."""
    shown = plain(text, most)
    is_word = shown == text and text and not set(text) & set(" ,;'\"")
    return text if is_word else quoted(text, most)


def in_words(facts: Mapping[str, str]) -> str:
    """Return facts as `function report, request_id 8a70d3c7`."""
    return ", ".join(f"{plain(key)} {fact(value)}" for key, value in facts.items())


def told(error: BaseException) -> str:
    """Return what an error says, without credentials."""
    return plain(without_secrets(str(error)), ERROR, is_escaped=isinstance(error, LeaseError))


def without_secrets(text: str) -> str:
    """Leave out known credentials, a URL's user, and what is as long as a session token."""
    import re

    if len(text) > _READ:
        # Half a secret at the end would not be found.
        text = "".join(text[:_READ].rsplit(None, 1)[:-1]) + " …"
    for name in _CREDENTIALS:
        secret = os.environ.get(name, "")
        # A dummy of a few letters, as tests use, may be a word of the text.
        if len(secret) >= _SECRET:
            text = text.replace(secret, "[secret]")
    text = re.sub(r"(?<=//)[^/\s'\"]*@", "[secret]@", text)
    return re.sub(r"[\w+/=%-]+", lambda run: "[secret]" if len(run[0]) >= _TOKEN else run[0], text)


def _shown(text: str, most: int, escape: Callable[[str], str]) -> str:
    whole = _fitting(text, most, escape)
    if len(whole) == len(text):
        return "".join(whole)
    # Keys differ at their ends.
    head = _fitting(text, most // 2, escape)
    tail = _fitting(text[: -most - 1 : -1], most - most // 2 - 1, escape)
    return "".join([*head, "…", *tail[::-1]])


def _fitting(text: str, room: int, escape: Callable[[str], str]) -> list[str]:
    """Return as many signs as fit, as they are shown: none of them is cut."""
    signs: list[str] = []
    for sign in text:
        shown = escape(sign)
        room -= len(shown)
        if room < 0:
            break
        signs.append(shown)
    return signs


@lru_cache(maxsize=1024)
def _escape(sign: str) -> str:
    return r"\\" if sign == "\\" else _escape_but_backslashes(sign)


def _escape_in_quotes(sign: str) -> str:
    return r"\'" if sign == "'" else _escape(sign)


@lru_cache(maxsize=1024)
def _escape_but_backslashes(sign: str) -> str:
    from unicodedata import category

    is_seen = sign.isprintable() and sign not in _BLANK and category(sign) not in _MARKS
    return sign if is_seen else sign.encode("unicode_escape").decode()
