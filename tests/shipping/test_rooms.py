"""The package's rooms: who may import whom, and what stays inside a room.

    ground  <-  _protocol, _events  <-  _stores, _holding  <-  what users write

A room is a file or a folder at the top of the package. An arrow may only point to the left; of the
rooms that stand together, none imports the other, but for files of the ground and of the top.
Function-level imports and those for the type checker are arrows like any other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sloc

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layer" / "python" / "lambda_singleton"

GROUND = {"_backoff", "_clock", "_errors", "_switch", "_text"}
MIDDLE = {"_protocol", "_events"}
SIDES = {"_stores", "_holding"}
MOST_ROOMS = 18
LONGEST_FUNCTION = 40
#: Public names of a NamedTuple, whatever they begin with.
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
#: The package itself imports its rooms, and no room imports it.
TOP = "__init__"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imported(module: str) -> Iterator[str]:
    """The modules of this package that a module imports, anywhere in it."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = absolute(module, node)
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inner = name.partition(".")
            if package == "lambda_singleton":
                # `from . import x` is an arrow to the module x, if there is one.
                yield inner if inner in MODULES else inner.rpartition(".")[0] or TOP


def absolute(module: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return str(node.module)
    here = MODULES[module].relative_to(PACKAGE.parent).parent.parts
    return ".".join([*here[: len(here) + 1 - node.level], *([node.module] if node.module else [])])


def arrows() -> dict[str, set[str]]:
    return {module: set(imported(module)) for module in MODULES}


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def may_import(room: str, other: str) -> bool:
    if room == other or other in GROUND:
        return True
    if room in GROUND or other == TOP:
        return False
    if room in MIDDLE:
        return False
    if room in SIDES:
        return other in MIDDLE
    return True


def test_a_room_imports_only_what_the_rule_allows() -> None:
    wrong = [
        f"{module} -> {other}"
        for module, others in arrows().items()
        for other in sorted(others)
        if not may_import(room(module), room(other))
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_the_rules_floors_are_rooms_that_exist() -> None:
    assert {room(module) for module in MODULES} >= GROUND | MIDDLE | SIDES | {TOP}


def test_every_arrow_of_a_known_module_is_read() -> None:
    """At module level, in a function, for the type checker, and of a module by its name."""
    assert "_errors" in arrows()["_clock"]
    assert "_stores.rows" in arrows()["_stores.table"]
    assert {"_events.logs", "_events.metrics", "_events.traces"} <= arrows()["_events.observers"]


def test_the_package_has_few_rooms() -> None:
    rooms = {room(module) for module in MODULES}
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


def test_the_map_in_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {room(module) for module in MODULES} - {TOP}
    assert [room for room in sorted(rooms) if room not in text] == []


def private_names(module: str) -> Iterator[str]:
    """What begins with an underscore and is neither this object's nor defined in this module."""
    own = set(defined(tree(module)))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level:
            yield from (alias.name for alias in node.names if is_private(alias.name))
        if (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and node.attr not in own
            and ast.unparse(node.value) not in {"self", "cls"} | sys.stdlib_module_names
        ):
            yield ast.unparse(node)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMED_TUPLES


def defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr


def test_no_module_uses_a_private_name_of_another() -> None:
    # A module is private to the package; what it calls private is private to the module.
    used = {module: sorted(set(private_names(module)) - set(MODULES)) for module in MODULES}
    assert {module: names for module, names in used.items() if names} == {}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from its first statement on, without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_no_function_is_long() -> None:
    long: Mapping[str, int] = {
        name: length(function)
        for name, function in functions()
        if length(function) > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_property_changes_its_object() -> None:
    writing = [
        name
        for name, function in functions()
        if "property" in map(ast.unparse, function.decorator_list)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]
    assert writing == []


def test_mutual_exclusion_needs_little_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert sloc.main([]) == 0, capsys.readouterr().out
