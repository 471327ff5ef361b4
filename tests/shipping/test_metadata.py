"""What PyPI shows of the wheel: nothing in it leads nowhere."""

from __future__ import annotations

import email
import importlib
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from lambda_singleton import __version__

ROOT = Path(__file__).parents[2]
TWINE = ROOT / ".venv-docs" / "bin" / "twine"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_pypi_renders_it(wheel: Path) -> None:
    if not TWINE.exists():
        pytest.skip("no .venv-docs, which `make docs` makes: twine did not check the wheel")
    done = subprocess.run(
        [str(TWINE), "check", "--strict", str(wheel)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "PASSED" in done.stdout) == (0, True), done.stdout


def test_links_and_pictures_of_the_long_description_are_on_the_web(metadata: Message) -> None:
    text = metadata.get_payload(decode=True).decode()  # type: ignore[union-attr]
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []
    # It is the README nonetheless, and its code is as it was.
    code = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    assert code.findall(text) == code.findall(readme)
    assert re.findall("^#+ .*", text, re.MULTILINE) == re.findall("^#+ .*", readme, re.MULTILINE)


def test_what_stands_alone_keeps_links_to_the_web_and_names_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    tool = importlib.import_module("long_description")
    page = "![a](b.png)\n\n[`x[1]`](docs/x.md#y) [z](https://z.example/) [here](#here)\n"
    text, where = tool.standing_alone(page).split("\n\n")
    assert text == "`x[1]` (`docs/x.md`) [z](https://z.example/) here"
    assert where == f"{tool.WHERE}\n"


def test_who_wrote_it_and_for_whom(metadata: Message) -> None:
    assert metadata["Author"] == "The lambda-singleton developers"
    assert metadata["License-Expression"] == "MIT"
    assert {"aws-lambda", "dynamodb", "lock"} <= set(metadata["Keywords"].split(","))
    kinds = metadata.get_all("Classifier", [])
    assert {"Typing :: Typed", "Development Status :: 4 - Beta"} <= set(kinds)
    # No address is known that everybody can reach: none is claimed.
    assert metadata.get_all("Project-URL") is None


def test_the_version_is_the_packages_and_the_changelogs(metadata: Message, wheel: Path) -> None:
    assert metadata["Version"] == __version__
    assert f"-{__version__}-" in wheel.name
    heading = rf"^## {re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    # In one place: elsewhere it is read from there, or held to it.
    tracked = [*(ROOT / "tools").rglob("*.py"), *(ROOT / "layer").rglob("*.py")]
    named = [path.name for path in tracked if f'"{__version__}"' in path.read_text()]
    assert named == ["__init__.py"]


def test_the_source_distribution_has_the_pages_that_are_named(tmp_path: Path) -> None:
    command = ["-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    readme = (ROOT / "README.md").read_text()
    pages = set(re.findall(r"\]\(([\w/.-]+\.md)", readme))
    assert pages <= names
    assert not [name for name in names if name.endswith((".png", ".pyc"))]
