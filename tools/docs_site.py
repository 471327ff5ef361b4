"""What mkdocs needs to make a site of this repository's pages: `make docs`.

The README is the home page, and what pages link to outside of `docs` (code, templates, tests) is in
the site as well: no link leads out of it, and none needs to know where the repository is.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
#: It draws in the reader's browser. The theme colours the arrows of 11.9, not those of 11.17.
MERMAID = ROOT / ".node-docs" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
DRAWING = "assets/mermaid.min.js"

LINK = re.compile(r"(!?\[(?:[^\]`]|`[^`]*`)*\]\()([^)\s]+)(\))")
#: Pages that are not in `docs`, and where the site has them.
AT_THE_ROOT = {"README.md": "index.md"} | {
    name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".tf": "terraform", ".sh": "bash"}
MOST_LINES = 1500


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in `docs`, and those that they and others link to."""
    from mkdocs.structure.files import File

    if not MERMAID.exists():
        raise SystemExit("The diagrams need mermaid, which npm installs: make docs")
    files.append(File.generated(config, DRAWING, abs_src_path=str(MERMAID)))
    waiting = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    waiting += AT_THE_ROOT
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        if is_outside(source):
            files.append(File.generated(config, place(source), content=shown(source)))
        if source.endswith(".md"):
            new = {target for target in linked(source) if is_outside(target)} - seen
            seen |= new
            waiting += new
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links to where the site has their targets, and load what draws diagrams."""
    source = source_of(page.file.src_uri)
    # What is shown in a block of code is no link.
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [LINK.sub(lambda found: pointed(found, source), part) for part in parts[::2]]
    markdown = "".join(parts)
    if "```mermaid" in markdown:
        up = "../" * page.file.dest_uri.count("/")
        markdown += f'\n\n<script src="{up}{DRAWING}"></script>\n'
    return markdown


def pointed(found: re.Match[str], source: str) -> str:
    """Return the link from a page of the repository as a link in the site."""
    target, mark, anchor = found[2].partition("#")
    if not target or "://" in target or target.startswith("mailto:"):
        return found[0]
    there = place(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
    here = posixpath.dirname(place(source))
    return f"{found[1]}{posixpath.relpath(there, here or '.')}{mark}{anchor}{found[3]}"


def linked(source: str) -> Iterable[str]:
    """Yield what a page links to, as paths from the root."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / source).read_text(), flags=re.DOTALL | re.MULTILINE)
    for found in LINK.finditer(text):
        target = found[2].partition("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def is_outside(target: str) -> bool:
    """Say whether mkdocs does not find it by itself."""
    return not target.startswith("docs/") or target.endswith(".py")


def place(source: str) -> str:
    """Return where the site has a file of the repository."""
    if source in AT_THE_ROOT:
        return AT_THE_ROOT[source]
    if not is_outside(source):
        return source.removeprefix("docs/")
    return f"source/{source}" if source.endswith((".md", ".png")) else f"source/{source}.md"


def source_of(uri: str) -> str:
    """Return the file of the repository that the site has there."""
    for source, there in AT_THE_ROOT.items():
        if uri == there:
            return source
    if not uri.startswith("source/"):
        return f"docs/{uri}"
    source = uri.removeprefix("source/")
    return source if (ROOT / source).exists() else source.removesuffix(".md")


def shown(source: str) -> str:
    """Return a file, or the names in a folder, as a page."""
    path = ROOT / source
    if path.suffix == ".md":
        return path.read_text()
    if path.is_dir():
        names = sorted(
            f"{inner.name}/" if inner.is_dir() else inner.name
            for inner in path.iterdir()
            if not inner.name.startswith((".", "__pycache__"))
        )
        text, language = "\n".join(names), "text"
    else:
        text, language = path.read_text(), LANGUAGES.get(path.suffix, "text")
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} lines more"]
    return "\n".join([f"# {source}", "", f"~~~~~{language}", *lines, "~~~~~", ""])
