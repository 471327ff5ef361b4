"""What is shipped, and what it costs to import."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lambda_singleton
from lambda_singleton import LeaseStore, MemoryStore
from lambda_singleton_cli.__main__ import main

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layer" / "python" / "lambda_singleton"
COMMAND = ROOT / "tools" / "lambda_singleton_cli"
LOCAL = ROOT / "tools" / "lambda_singleton_local"
TESTKIT = ROOT / "tools" / "lambda_singleton_testkit"
#: What a function unpacks in INIT, in bytes: sources, of which a third is comments and docstrings.
MOST_ZIPPED = 140 * 1024


def test_the_names_of_the_api() -> None:
    for name in lambda_singleton.__all__:
        assert getattr(lambda_singleton, name) is not None
    assert lambda_singleton.__all__ == sorted(lambda_singleton.__all__)


def test_the_layer_holds_the_package_and_nothing_else() -> None:
    files = {path.relative_to(ROOT / "layer") for path in (ROOT / "layer").rglob("*.*")}
    outside = {
        str(path)
        for path in files
        if path.parts[:2] != ("python", "lambda_singleton") and "__pycache__" not in path.parts
    }
    assert outside == set()


def test_the_package_needs_only_the_standard_library_and_boto3_when_it_is_used() -> None:
    imports = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
    needed = {name for path in PACKAGE.rglob("*.py") for name in imports.findall(path.read_text())}
    assert needed - sys.stdlib_module_names - {"lambda_singleton"} == {
        "aws_durable_execution_sdk_python",  # for `park=`, whose users have it
        "aws_lambda_powertools",  # for metrics, where it is installed
        "boto3",
        "botocore",
        "jmespath",  # comes with boto3
        "mypy_boto3_dynamodb",  # for the type checker
        "snapshot_restore_py",  # in Lambda's runtimes, for SnapStart
    }
    heavy = (
        "{'asyncio', 'aws_lambda_powertools', 'boto3', 'botocore', 'ctypes', 'dataclasses',"
        " 'datetime', 'email', 'inspect', 'jmespath', 'json', 'logging', 'random', 'socket'}"
        " & set(sys.modules)"
    )
    program = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); before = set(sys.modules)"
    program += f"; import lambda_singleton; print({heavy} - before)"
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "set()"


def test_the_layer_is_small_and_brings_no_tools(tmp_path: Path) -> None:
    path = tmp_path / "layer.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted((ROOT / "layer").rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT / "layer"))
        names = archive.namelist()
    assert path.stat().st_size <= MOST_ZIPPED
    assert "python/lambda_singleton/__init__.py" in names
    assert [name for name in names if re.search("_cli|timeline|demo|testkit|html", name)] == []


def test_the_wheel_is_the_layers_package_the_command_and_the_testkit(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        requirements = re.findall(r"Requires-Dist: (.*)", archive.read(metadata).decode())
    shipped = {
        str(path.relative_to(package.parent))
        for package in (PACKAGE, COMMAND, LOCAL, TESTKIT)
        for path in package.rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == shipped
    assert requirements == [
        "boto3>=1.26.164; extra == 'boto3'",
        "boto3>=1.26.164; extra == 'cli'",
        "rich>=13; extra == 'cli'",
        "awslambdaric>=3; extra == 'local'",
        "boto3>=1.26.164; extra == 'local'",
        "ministack>=1.5.33; extra == 'local'",
    ]


INSTALLED = """
import lambda_singleton, lambda_singleton_cli, lambda_singleton_testkit
from importlib.resources import files
from lambda_singleton import Lock, MemoryStore
from lambda_singleton_testkit import StoreContract

class Contract(StoreContract):
    def open_store(self):
        return MemoryStore()

with Lock("job", 60, store=MemoryStore()) as lease:
    print(lease.token > 0)
Contract().test_a_held_lease_is_refused()
Contract().test_of_callers_at_once_one_gets_the_lease()
print(files(lambda_singleton).joinpath("py.typed").is_file())
print(all("site-packages" in str(module.__file__) for module in
    (lambda_singleton, lambda_singleton_cli, lambda_singleton_testkit)))
"""


def test_the_wheel_in_a_fresh_environment_gives_package_command_and_testkit(
    fresh_environment: Path, tmp_path: Path
) -> None:
    python = fresh_environment / "bin" / "python"

    def shown(*command: str | Path) -> str:
        clean = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            command, cwd=tmp_path, env=clean, check=True, capture_output=True, text=True
        ).stdout

    assert shown(python, "-c", INSTALLED).split() == ["True"] * 3
    assert "usage: lambda-singleton" in shown(
        fresh_environment / "bin" / "lambda-singleton", "--help"
    )
    assert "usage: lambda-singleton" in shown(python, "-m", "lambda_singleton_cli", "--help")


def test_the_layer_can_be_compiled_ahead() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    make = [str(shutil.which("make")), "-C", str(ROOT), "layer", f"RUNTIMES={version} 2.99"]
    path = f"{sys.base_exec_prefix}/bin{os.pathsep}{os.environ['PATH']}"
    shown = subprocess.run(
        make, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
    ).stdout
    assert "NOT COMPILED for Python 2.99" in shown
    source = PACKAGE / "__init__.py"
    compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
    # Checked by the source's hash: times are not what they were once it has been zipped.
    assert compiled[4:8] == (0b11).to_bytes(4, "little")
    assert compiled[8:16] == importlib.util.source_hash(source.read_bytes())


def test_no_bytecode_that_was_there_before_gets_into_the_layer() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    planted = [
        PACKAGE / "__pycache__" / "_lock.cpython-399.pyc",
        PACKAGE / "__pycache__" / "_lock.cpython-399.opt-1.pyc",
        PACKAGE / "_events" / "__pycache__" / "anything",
        PACKAGE / "sourceless.pyc",
        PACKAGE.parent / "boto3.pyc",
    ]
    try:
        for path in planted:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"planted")
        make = [str(shutil.which("make")), "-C", str(ROOT), "layer", f"RUNTIMES={version}"]
        subprocess.run(make, check=True, capture_output=True)
        assert not [path for path in planted if path.exists()]
    finally:
        for path in planted:
            path.unlink(missing_ok=True)


def test_a_memory_store_is_a_lease_store() -> None:
    assert isinstance(MemoryStore(), LeaseStore)


class TestCommandLine:
    def test_creates_the_table(
        self, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SINGLETON_TABLE", name)
        assert main(["create-table"]) == 0
        assert main(["create-table", "--table", name]) == 0
        assert capsys.readouterr().out == f"table {name} is ready\n" * 2

    def test_says_what_is_missing(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SINGLETON_TABLE", raising=False)
        assert main(["create-table"]) == 1
        assert "SINGLETON_TABLE" in capsys.readouterr().err

    def test_the_demo_is_not_in_the_package(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "demo.__main__", None)
        assert main(["demo"]) == 1
        assert "make demo" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [[], ["unlock"], ["create-table", "--force"]])
    def test_refuses_what_it_does_not_know(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
