"""Which renderer draws a command's answer."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

from .plain_renderer import PlainRenderer
from .screen import Renderer, is_screen


def renderer() -> Renderer:
    """Return rich's where it is installed and somebody looks; or else the plain one."""
    if is_screen() and find_spec("rich") is not None:
        from .rich_renderer import RichRenderer

        return RichRenderer()
    return PlainRenderer(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
