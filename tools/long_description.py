"""The README as PyPI shows it: a page without a repository around it.

A link to another page of the repository would lead nowhere there, and so would a picture. Until the
repository has an address that everybody can reach, they are text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.metadata.plugin.interface import MetadataHookInterface
else:
    try:
        from hatchling.metadata.plugin.interface import MetadataHookInterface
    except ImportError:  # a test reads it without the builder
        MetadataHookInterface = object

LINK = re.compile(r"\[((?:[^\]`]|`[^`]*`)*)\]\(([^)\s]+)\)")
#: A paragraph that is a picture of the repository.
PICTURE = re.compile(r"^!\[[^\]]*\]\((?!https://)[^)\s]+\)\n\n", re.MULTILINE)
WHERE = "The pages that are named here are in the source distribution."


class LongDescription(MetadataHookInterface):
    """What hatchling asks while it builds."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Give the README, as it is to be shown."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": standing_alone(text)}


def standing_alone(text: str) -> str:
    """Return a page in which every link is one to the web, and every picture is left out or is."""
    text = LINK.sub(_alone, PICTURE.sub("", text))
    return f"{text.rstrip()}\n\n{WHERE}\n"


def _alone(found: re.Match[str]) -> str:
    text, target = found.groups()
    if target.startswith("https://"):
        return found[0]
    return text if target.startswith("#") else f"{text} (`{target.partition('#')[0]}`)"
