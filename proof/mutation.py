"""What can be changed in a module, one small thing at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["number", "bound", "deletion", "comparison", "operator", "condition"]

#: Half of each sample: what tests miss most often.
MISSED_MOST: tuple[Kind, ...] = ("number", "bound", "deletion")

_BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_COMPARISONS = {
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
    "<": ">",
    "<=": ">",
    ">": "<",
    ">=": "<",
}
_SIGNS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "+"),
}


class Mutation(NamedTuple):
    """One change: `old`, at that byte of the file, becomes `new`; no line moves.

    `statement` has the first and the last line of what is executed with it; `in_function` says
    whether that is not at import.
    """

    file: str
    line: int
    at: int
    old: str
    new: str
    kind: Kind
    statement: tuple[int, int]
    in_function: bool

    def apply(self, source: bytes) -> bytes:
        """Return the source with the change."""
        old = self.old.encode()
        assert source[self.at : self.at + len(old)] == old
        return source[: self.at] + self.new.encode() + source[self.at + len(old) :]


def mutations(root: Path, file: str) -> list[Mutation]:
    """Return every change of the module."""
    source = (root / file).read_bytes()
    reader = _Reader(file, source)
    reader.read_block(ast.parse(source).body, in_function=False)
    return reader.found


class _Reader:
    """Walks through a module, past what is for people and for type checkers."""

    def __init__(self, file: str, source: bytes) -> None:
        self.found: list[Mutation] = []
        self._file = file
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._statement = (1, 1)
        self._in_function = False

    def read_block(self, body: list[ast.stmt], *, in_function: bool) -> None:
        for statement in body:
            self._in_function = in_function
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._of_defaults(statement)
                self.read_block(statement.body, in_function=True)
            elif isinstance(statement, ast.ClassDef):
                if not any("Protocol" in ast.unparse(base) for base in statement.bases):
                    self.read_block(statement.body, in_function=in_function)
            elif not _is_for_others(statement):
                self._read_statement(statement, in_function)

    def _read_statement(self, statement: ast.stmt, in_function: bool) -> None:
        blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        inner = [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
        last = next((block[0].lineno - 1 for block in blocks if block), statement.end_lineno)
        self._statement = (statement.lineno, max(statement.lineno, last or 0))
        if in_function and self._is_worth_deleting(statement):
            text = self._text(statement)
            self._add(statement, text, "pass" + "\n" * text.count("\n"), "deletion")
        if isinstance(statement, ast.If | ast.While):
            self._negated(statement.test)
        for name, value in ast.iter_fields(statement):
            for node in value if isinstance(value, list) else [value]:
                if name != "annotation" and isinstance(node, ast.expr | ast.withitem):
                    self._read_expression(node)
        for block in [*blocks, *(one.body for one in inner)]:
            self.read_block(block, in_function=in_function)

    def _of_defaults(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._statement = (function.lineno, function.body[0].lineno)
        for default in [*function.args.defaults, *filter(None, function.args.kw_defaults)]:
            self._read_expression(default)

    def _is_worth_deleting(self, statement: ast.stmt) -> bool:
        # What only a missing name would tell is no question to the tests.
        if isinstance(statement, ast.Expr):
            return isinstance(statement.value, ast.Call | ast.Await)
        if isinstance(statement, ast.Assign):
            return not isinstance(statement.targets[0], ast.Name | ast.Tuple)
        return isinstance(
            statement,
            ast.AugAssign | ast.Raise | ast.Return | ast.Break | ast.Continue | ast.Delete,
        )

    def _read_expression(self, expression: ast.AST) -> None:
        for node in self._shown(expression):
            match node:
                case ast.Constant(value=bool() as value):
                    self._add(node, str(value), str(not value), "condition")
                case ast.Constant(value=int() | float() as value):
                    self._number(node, value)
                case ast.Compare():
                    self._compared(node)
                case ast.BoolOp(op=op, values=values):
                    old, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                    self._between(values[0], values[1], old, new, "operator")
                case ast.BinOp(op=op) if type(op) in _ARITHMETIC and not _is_text(node):
                    old, new = _ARITHMETIC[type(op)]
                    self._between(node.left, node.right, old, new, "operator")
                case ast.UnaryOp(op=ast.Not()):
                    self._add(node, self._text(node), self._text(node)[3:].lstrip(), "condition")
                case ast.IfExp(test=test):
                    self._negated(test)

    def _shown(self, node: ast.AST) -> Iterator[ast.AST]:
        # Texts with holes in them are messages.
        if isinstance(node, ast.JoinedStr):
            return
        yield node
        for child in ast.iter_child_nodes(node):
            yield from self._shown(child)

    def _number(self, node: ast.Constant, value: float) -> None:
        text = self._text(node)
        # Fractions are often part of a second: one more of those would be seen by anybody.
        by_one = isinstance(value, int) or value == 0
        for changed in (value + 1, value - 1) if by_one else (value * 2, value / 2):
            self._add(node, text, repr(changed) if changed >= 0 else f"({changed!r})", "number")

    def _compared(self, node: ast.Compare) -> None:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            sign = _SIGNS[type(op)]
            self._between(left, right, sign, _COMPARISONS[sign], "comparison")
            if sign in _BOUNDS:
                self._between(left, right, sign, _BOUNDS[sign], "bound")
            left = right

    def _negated(self, test: ast.expr) -> None:
        text = self._text(test)
        if not isinstance(test, ast.Compare | ast.UnaryOp):
            self._add(test, text, f"not ({text})", "condition")

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str, kind: Kind) -> None:
        start, end = self._offset(left.end_lineno, left.end_col_offset), self._start(right)
        at = self._source.find(old.encode(), start, end)
        if at >= 0:
            self._append(left.end_lineno or 0, at, old, new, kind)

    def _add(self, node: ast.expr | ast.stmt, old: str, new: str, kind: Kind) -> None:
        self._append(node.lineno, self._start(node), old, new, kind)

    def _append(self, line: int, at: int, old: str, new: str, kind: Kind) -> None:
        self.found.append(
            Mutation(self._file, line, at, old, new, kind, self._statement, self._in_function)
        )

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _text(self, node: ast.expr | ast.stmt) -> str:
        end = self._offset(node.end_lineno, node.end_col_offset)
        return self._source[self._start(node) : end].decode()

    def _offset(self, line: int | None, column: int | None) -> int:
        return self._lines[(line or 1) - 1] + (column or 0)


def _is_for_others(statement: ast.stmt) -> bool:
    """Whether it is for people, for type checkers, or done when it is there."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If):
        return "TYPE_CHECKING" in ast.unparse(statement.test)
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0]) == "__all__"
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert)


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr | ast.List)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )
