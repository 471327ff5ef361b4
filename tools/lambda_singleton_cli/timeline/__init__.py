"""A history of leases as a picture: one page that needs nothing but a browser.

It is drawn from the log lines in which this package says what it decided. All of one acquisition
has one `owner`; who waits or skips has none yet, and is known by its request id.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from .drawing import Drawing
from .history import Timeline
from .log import Log

#: What a page may have, in bytes: until it has no more, half of the decisions are left out.
MOST_BYTES = 16_000_000


def write(lines: Iterable[str]) -> str:
    """Return the page for these log lines."""
    return draw(Log(lines))


def draw(log: Log) -> str:
    """Return the page for a log, or for as many of its latest decisions as a page takes."""
    page = _page(log)
    while len(page.encode()) > MOST_BYTES:
        log.keep(len(log.decisions) // 2)
        page = _page(log)
    return page


def _page(log: Log) -> str:
    drawing = Drawing(Timeline(log))
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    data = json.dumps(drawing.data(), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "script": _hash(template.partition("<script>")[2].partition("</script>")[0]),
        "summary": "".join(drawing.summary()),
        "rows": "".join(drawing.table()),
        # Nothing in it may look like the end of the script element that it stands in.
        "data": data.replace("<", r"\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _hash(script: str) -> str:
    # The page's policy allows this script, and no other, nor a handler in an attribute.
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
