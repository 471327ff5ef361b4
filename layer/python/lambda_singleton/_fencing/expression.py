"""DynamoDB's expressions, as far as one has to read them to add something to them.

There are no quotes and no comments in them: a placeholder, a name, a number or a sign is all that
there is, so that a parenthesis always is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# ASCII only, as in DynamoDB's own grammar: no other blank or letter is one there.
_TOKEN = re.compile(
    r"[ \t\r\n]*(?:([#:][A-Za-z0-9_]+|[A-Za-z][A-Za-z0-9_]*|[0-9]+|<>|<=|>=|[=<>+\-.,()\[\]])|$)"
)
_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")
_BEGINS = re.compile(r"[#:A-Za-z(]").match
_ENDS = re.compile(r"[A-Za-z0-9_)\]]\Z").search


class UnreadableError(Exception):
    """The expression is none of DynamoDB's; the text says why."""


class Condition:
    """A ConditionExpression, whose parentheses are known to be its own."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.tokens = [token for token, _ in _tokens(text)]
        self._is_one_group = _matching(self.tokens)

    def also(self, condition: str) -> str:
        """Return the text that requires this one and the other."""
        # DynamoDB refuses parentheses around what has some already.
        own = self._text if self._is_one_group else f"({self._text})"
        return f"{own} AND {condition}"


class Update:
    """An UpdateExpression: clauses, of which each word begins one at most."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._after_set: int | None = None
        tokens = _tokens(text)
        self.tokens = [token for token, _ in tokens]
        _matching(self.tokens)
        clauses: dict[str, list[str]] = {}
        for token, end in tokens:
            word = token.upper()
            if word not in _CLAUSES and not clauses:
                raise UnreadableError(f"it begins with {token!r}")
            if word in clauses:
                raise UnreadableError(f"it has {word} twice")
            if word in _CLAUSES:
                clauses[word] = []
                self._after_set = end if word == "SET" else self._after_set
            else:
                clauses[next(reversed(clauses))].append(token)
        for word, operands in clauses.items():
            if not (operands and _BEGINS(operands[0]) and _ENDS(operands[-1])):
                raise UnreadableError(f"its {word} is not complete")

    def also_set(self, assignment: str) -> str:
        """Return the text that does this and the assignment."""
        if self._after_set is None:
            return f"SET {assignment} {self._text}"
        return f"{self._text[: self._after_set]} {assignment},{self._text[self._after_set :]}"

    def names(self) -> Iterator[str]:
        """Yield where its paths begin, among other words."""
        for before, token in zip(["", *self.tokens], self.tokens, strict=False):
            if before != ".":
                yield token


def _tokens(text: str) -> list[tuple[str, int]]:
    """Return each token with its end."""
    tokens: list[tuple[str, int]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UnreadableError(f"DynamoDB knows no {text[at : at + 10].strip()!r}")
        at = found.end()
        if found[1]:
            tokens.append((found[1], at))
    if not tokens:
        raise UnreadableError("it is empty")
    return tokens


def _matching(tokens: list[str]) -> bool:
    """Refuse parentheses that do not match; say whether the first and the last one do."""
    depth, closed_at = 0, -1
    for number, sign in enumerate(tokens):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
        if depth == 0 and closed_at < 0:
            closed_at = number
    if depth != 0:
        raise UnreadableError("its parentheses do not match")
    return tokens[0] == "(" and closed_at == len(tokens) - 1
