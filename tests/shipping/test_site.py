"""The pages as a site: `make docs`. Without what builds it, these tests are skipped and say so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".venv-docs" / "bin" / "mkdocs"
MERMAID = ROOT / ".node-docs" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


def build(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if not (MKDOCS.exists() and MERMAID.exists()):
        pytest.skip("no .venv-docs or no .node-docs, which `make docs` makes: no site was built")
    return subprocess.run(
        [str(MKDOCS), "build", "--site-dir", str(folder), *options],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_every_page_is_in_it_and_reached_from_the_navigation(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    home = (site / "index.html").read_text()
    places = [str(page.with_suffix(".html")).replace("README", "index") for page in pages]
    assert [place for place in places if f'href="{place}"' not in home] == []
    assert len(pages) > 25


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    kinds = "stylesheet|icon|preconnect|preload"
    loading = re.compile(
        r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//[^>]*>|'
        rf'<link[^>]* rel="?(?:{kinds})"?[^>]* href="?(?:https?:)?//[^>]*>|'
        r"@import[^;]*//|url\([\"\']?https?:"
    )
    found = set()
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = re.sub(r"<pre.*?</pre>", "", path.read_text(), flags=re.DOTALL)
        found |= {(path.name, match) for match in loading.findall(text)}
    assert found == set()


def test_no_link_leads_out_of_it_but_to_the_web(site: Path) -> None:
    broken = []
    for path in site.rglob("*.html"):
        for link in re.findall(r'<a [^>]*href="([^"#]*)', path.read_text()):
            if link and "://" not in link and not link.startswith(("mailto:", "/")):
                there = (path.parent / unescape(link)).resolve()
                if not there.exists():
                    broken.append((str(path.relative_to(site)), link))
    assert broken == []


def test_the_reference_is_made_from_docstrings(site: Path) -> None:
    page = (site / "api.html").read_text()
    for name in ("singleton", "Lock", "Lease.check", "fenced", "testing.use_store", "stores.Reply"):
        assert f'id="lambda_singleton.{name}"' in page
    assert "Raise <code>LeaseLostError</code> unless the lease is provably held" in page


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    configuration = yaml.unsafe_load(
        (ROOT / "mkdocs.yml").read_text().replace("!!python/name:", "name:")
    )
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[nowhere](nowhere.md)\n")
    kept = ("site_name", "strict", "validation")
    (tmp_path / "mkdocs.yml").write_text(yaml.dump({key: configuration[key] for key in kept}))
    built = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr


def test_every_diagram_is_drawn(site: Path, tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.skip("no chromium or google-chrome on PATH: no diagram was drawn")
    page = (site / "sequences.html").read_text()
    diagrams = re.findall(r'<pre class="mermaid"><code>(.*?)</code></pre>', page, re.DOTALL)
    assert len(diagrams) == 6
    (script,) = re.findall(r'<script src="(assets/mermaid[^"]*)">', page)
    drawn = tmp_path / "drawn.html"
    drawn.write_text(
        f"<body>{''.join(f'<pre class=mermaid>{text}</pre>' for text in diagrams)}"
        f'<script src="{(site / script).as_uri()}"></script><script>'
        "mermaid.initialize({startOnLoad: false});"
        "mermaid.run().then(() => document.body.dataset.done = 'drawn',"
        " (error) => document.body.dataset.done = error.str || error);</script>"
    )
    options = ["--headless", "--no-sandbox", "--dump-dom", "--virtual-time-budget=10000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *options, drawn.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    assert re.findall(r'<body data-done="(.*?)"', done.stdout) == ["drawn"]
    assert len(re.findall(r'<svg [^>]*aria-roledescription="sequence"', done.stdout)) == 6
