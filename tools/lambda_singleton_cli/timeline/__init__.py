"""A history of leases as a picture: one page that needs nothing but a browser.

It is drawn from the log lines in which this package says what it decided. All of one acquisition
has one `owner`; who waits or skips has none yet, and is known by its request id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from .drawing import Drawing
from .history import Timeline


def write(lines: Iterable[str]) -> str:
    """Return the page for these log lines."""
    drawing = Drawing(Timeline(lines))
    data = json.dumps(drawing.data(), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "summary": "".join(drawing.summary()),
        "rows": "".join(drawing.table()),
        # Nothing in it may look like the end of the script element that it stands in.
        "data": data.replace("<", r"\u003c"),
    }
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    # A log can have halves of characters, which no file can.
    return page.encode(errors="replace").decode()
