"""Every code block of README and docs is run, parsed or type-checked; every link leads on."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
import yaml

from lambda_singleton.testing import use_store
from lambda_singleton_cli.parser import parsers
from local_lambda import Engine

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

#: What a page's Python is about, and does not say itself.
GIVEN: Mapping[str, str] = {
    "README.md": "from typing import Any\nfrom unittest.mock import Mock\n"
    "from lambda_singleton import Lease\ntable = Mock()\nlease = 7\n",
    "SECURITY.md": "from typing import Any\nfrom lambda_singleton import singleton\n"
    "def sync(account: str) -> None: ...\n",
}
#: Shortened in the page, and complete here.
COMPLETED: Mapping[str, str] = {
    "def handler(event, context, lease): ...": "def handler(event: Any, context: Any, lease: Lease)"
    " -> None: ...",
    "def account(event, context):": "def account(event: Any, context: Any) -> str:",
    "def handler(event, context):": "def handler(event: Any, context: Any) -> None:",
}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        text = path.read_text()
        for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: found.start()].count("\n") + 1
            yield Block(page, line, found[1], found[2])


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=str)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {block.language for block in BLOCKS}
    assert kinds <= {"python", "yaml", "json", "mermaid", "sql", "text", ""}
    assert len(BLOCKS) > 40


# ---- Python ----


def modules() -> dict[str, str]:
    """Each block of Python as a module, by the name of its file or of its place."""
    found = {}
    for block in BLOCKS:
        if block.language != "python":
            continue
        # The page on testing has modules that import each other.
        named = block.page == "docs/testing.md" and re.match(r"# (\w+)\.py\n", block.text)
        place = re.sub(r"\W", "_", f"{block.page}_{block.line}")
        text = block.text
        for short, complete in COMPLETED.items():
            text = text.replace(short, complete)
        found[named[1] if named else place] = GIVEN.get(block.page, "") + text
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in modules().items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_python_is_right_for_the_type_checker(folder: Path) -> None:
    paths = os.pathsep.join([str(ROOT / "layer" / "python"), str(ROOT / "tools")])
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "."],
        cwd=folder,
        env={**os.environ, "MYPYPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == ("", "", 0)
    assert len(list(folder.glob("*.py"))) > 10


@pytest.mark.parametrize("name", [name for name in modules() if not name.startswith("test_")])
def test_python_runs(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    text = (folder / f"{name}.py").read_text()
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    with use_store():
        exec(compile(text, f"{name}.py", "exec"), {"__name__": name})  # noqa: S102


def test_the_tests_of_the_page_on_testing_pass(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nightly_report.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"^5 passed", done.stdout, re.MULTILINE), done.stdout


# ---- data ----


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


Template.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


@of("yaml")
def test_yaml_is_yaml(block: Block) -> None:
    # A loader that knows no more than SafeLoader and tags.
    assert yaml.load(block.text, Template)  # noqa: S506


@of("json")
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@of("mermaid")
def test_a_graphs_arrows_lead_from_node_to_node(block: Block) -> None:
    nodes = set(re.findall(r"(\w+)\[", block.text))
    arrows = [line for line in block.text.splitlines() if "-->" in line]
    ends = {end.strip() for line in arrows for end in re.split("-->|&", line)}
    assert arrows
    assert ends <= nodes


@of("sql")
def test_sql_is_sql(block: Block) -> None:
    statement = re.sub(r"%\((\w+)\)s", r":\1", block.text)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE report (id TEXT, total INTEGER, fence INTEGER)")
        database.execute("INSERT INTO report VALUES ('report', 0, 6)")
        written = [
            database.execute(statement, {"total": 1, "token": token}).rowcount for token in (7, 5)
        ]
    assert written == [1, 0]


# ---- commands ----


def commands(block: Block) -> Iterator[str]:
    """The lines that call this package's command, without what a shell does with them."""
    for line in block.text.replace("\\\n", " ").splitlines():
        found = re.search(r"(?:^|\| |\d \* \* \*  )(lambda-singleton .*)", line)
        if found:
            yield re.split(r" < | > |  #|#  | \| ", found[1])[0].rstrip()


COMMANDS = [
    (block, command) for block in BLOCKS if block.language == "" for command in commands(block)
]


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=[str(block) for block, _ in COMMANDS])
def test_a_command_line_is_one(block: Block, command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    given = words[: words.index("--")] if "--" in words else words
    options = parsers()[0].parse_args(given)
    assert options.command == words[0]
    assert ("--" in words) is (options.command == "run")


def test_commands_in_the_running_text_are_there() -> None:
    known = parsers()[1]
    named = {
        found
        for path in PAGES
        for found in re.findall(r"`lambda-singleton ([a-z][a-z-]*)", path.read_text())
    }
    assert named <= known.keys()
    assert {"run", "pause", "resume", "local", "doctor"} <= named


def test_every_target_of_make_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        found
        for path in PAGES
        for found in re.findall(r"(?:^|`|&& )make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
    }
    assert named <= targets


# ---- links ----


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = path if not target else path.parent / unquote(target)
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)
    assert broken == []


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
