"""Every code block of README and docs is run, parsed or type-checked; every link leads on.

What kind of block it is, its info string says. Two kinds are exempt: `python before` is the code of
others, which is only compiled, and `text output` is what some command has printed.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote

import botocore.session
import pytest
import yaml
from botocore import xform_name

from lambda_singleton.testing import FakeContext, hold, use_store
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
    "README.md": "from typing import Any\nfrom lambda_singleton import Lease\n",
    "docs/deploy.md": "from typing import Any\nfrom lambda_singleton import Lease\n",
    "docs/fencing.md": "from unittest.mock import Mock\ntable = Mock()\nlease = 7\n",
    "SECURITY.md": "from typing import Any\nfrom lambda_singleton import singleton\n"
    "def sync(account: str) -> None: ...\n",
}
#: Shortened in the page, and complete here.
COMPLETED: Mapping[str, str] = {
    "def handler(event, context, lease):": "def handler(event: Any, context: Any, lease: Lease)"
    " -> dict[str, Any]:",
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
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: found.start()].count("\n") + 1
            # A block of no kind is for a shell.
            yield Block(page, line, found[1] or "bash", found[2])


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=str)


#: What is checked by a test in here, or by the one that is named.
CHECKED = {
    "python", "yaml", "json", "mermaid", "sql", "bash", "text requirements", "text crontab",
    "text insights",  # test_the_runbook_has_each_of_them
}  # fmt: skip
EXEMPT = {"python before", "text output"}


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    # The expressions in there are compared with those that are sent: test_vectors.py.
    kinds = {block.language for block in BLOCKS if block.page != "docs/wire-protocol.md"}
    assert kinds == CHECKED | EXEMPT
    assert {block.language for block in BLOCKS if block.page == "docs/wire-protocol.md"} == {"text"}
    assert len(BLOCKS) > 80
    assert sum(block.language in EXEMPT for block in BLOCKS) == 2


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
    assert re.search(r"^6 passed", done.stdout, re.MULTILINE), done.stdout


@of("python before")
def test_the_code_of_others_is_python(block: Block) -> None:
    assert ast.parse(block.text).body


def module_of(page: str, name: str) -> ModuleType:
    """Run the block of a page that begins with the name of a file."""
    (text,) = (
        block.text
        for block in BLOCKS
        if block.page == page and block.text.startswith(f"# {name}.py\n")
    )
    module = ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)  # noqa: S102
    return module


def test_of_a_batch_only_what_is_held_comes_again() -> None:
    with use_store(), hold("order#2"):
        orders = module_of("docs/events.md", "orders")
        messages = [{"messageId": f"m-{n}", "body": json.dumps({"order": n})} for n in "123"]
        result = orders.handler({"Records": messages}, FakeContext())
    assert result == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}


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


@of("text requirements")
def test_requirements_are_met_by_this_package(block: Block) -> None:
    (name,) = (line for line in block.text.splitlines() if not line.startswith("#"))
    assert name == "lambda-singleton"


def is_sequence(block: Block) -> bool:
    return block.text.startswith("sequenceDiagram\n")


@pytest.mark.parametrize("block", [*filter(is_sequence, BLOCKS)], ids=str)
def test_the_arrows_of_a_sequence_lead_from_participant_to_participant(block: Block) -> None:
    participants = re.findall(r"^ +participant (\w+) as ", block.text, re.MULTILINE)
    arrows = re.findall(r"^ +(\w+)-?-(?:>>|x)(\w+): \S", block.text, re.MULTILINE)
    known = r" +participant .*| +\w+-?-(>>|x)\w+: .*| +Note over \w+: .*| +loop .*| +end"
    assert arrows
    assert {end for arrow in arrows for end in arrow} == set(participants)
    assert all(re.fullmatch(known, line) for line in block.text.splitlines()[1:])


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "mermaid" and not is_sequence(block)]
)
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
    (block, command)
    for block in BLOCKS
    if block.language in ("bash", "text crontab")
    for command in commands(block)
]


@of("bash")
def test_a_shell_can_read_it(block: Block) -> None:
    read = subprocess.run(
        ["/bin/bash", "-n"], input=block.text, text=True, capture_output=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")


def lines_of_shell(block: Block) -> list[str]:
    return [
        line.partition("  #")[0].strip() for line in block.text.replace("\\\n", " ").splitlines()
    ]


@of("bash")
def test_each_line_calls_what_is_known(block: Block) -> None:
    called = r"lambda-singleton |make |pip install '|sam |aws |export |echo |PYTHONPATH="
    known = called + r"|out\(\) |\}|--|\| |$"
    assert [line for line in lines_of_shell(block) if not re.match(known, line)] == []


def test_packages_have_the_extras_that_pages_install() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        found
        for path in PAGES
        for found in re.findall(r"pip install '(?:lambda-singleton|\.)\[(\w+)\]'", path.read_text())
    }
    assert named == {"cli", "local", "boto3"} == metadata["optional-dependencies"].keys()


AWS = [
    command
    for block in BLOCKS
    if block.language == "bash"
    for command in re.findall(r"aws ([a-z-]+) ([a-z-]+)( [^;|)]*)", block.text.replace("\\\n", ""))
]


@pytest.mark.parametrize(("service", "verb", "rest"), AWS)
def test_commands_of_aws_exist_and_have_these_options(service: str, verb: str, rest: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(operations[verb]).input_shape
    assert shape is not None
    options = {f"--{xform_name(name, '-')}" for name in shape.members} | {"--query", "--output"}
    assert set(re.findall(r" (--[a-z-]+)", rest)) <= options


SAM = sorted(
    {
        line
        for block in BLOCKS
        if block.language == "bash"
        for line in re.findall(r"\bsam [^#&\n]*[^#&\s]", block.text)
    }
)


@pytest.mark.parametrize("line", SAM)
def test_commands_of_sam_exist_and_have_these_options(line: str) -> None:
    sam = ROOT / ".venv-sam" / "bin" / "sam"
    if not sam.exists():
        pytest.skip("no .venv-sam: `make setup` makes it")
    verbs = re.match(r"sam ((?:remote )?[a-z]+)", line)
    assert verbs
    words = [str(sam), *verbs[1].split(), "--help"]
    variables = os.environ | {"SAM_CLI_TELEMETRY": "0"}
    told = subprocess.run(words, capture_output=True, text=True, check=True, env=variables)
    assert set(re.findall(r" (--[a-z-]+)", line)) <= set(re.findall(r"--[a-z-]+", told.stdout))


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
