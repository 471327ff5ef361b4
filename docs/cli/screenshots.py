"""Draw the terminal's pictures beside this file: what the commands print, rich, headless Chromium.

`list`, `show` and `watch` look at leases in memory; `demo` is played: it takes half a minute.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from itertools import count
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lambda_singleton import MemoryStore
from lambda_singleton._clock import utc
from lambda_singleton._protocol.operations import Acquire, Release, Renew
from lambda_singleton_cli.commands.show import facts
from lambda_singleton_cli.commands.watch import Watch, remember
from lambda_singleton_cli.rich_renderer import RichRenderer
from lambda_singleton_cli.screen import Picture

HERE = Path(__file__).parent
NOW = 1_800_004_337.0

# Seconds before NOW, what happens, to which lease, and for how many seconds: in the order of time.
BEFORE = (
    (172_830, "acquire", "archive-invoices", 600),
    (172_411, "failed", "archive-invoices", 0),
    (86_737, "acquire", "quota-reset", 60),
    (86_729, "succeeded", "quota-reset", 0),
    (7_214, "acquire", "reindex", 900),
    (5_102, "succeeded", "reindex", 0),
    (652, "acquire", "ledger", 640),
    (601, "acquire", "tenant-sync#b07", 30),
    (571, "succeeded", "tenant-sync#b07", 0),
    (262, "acquire", "nightly-report", 60),
    (171, "succeeded", "nightly-report", 209),
    (95, "acquire", "tenant-sync#c19", 30),
    (70, "acquire", "expire-sessions", 60),
    (41, "acquire", "reindex", 900),
    (18, "renew", "ledger", 60),
    (12, "acquire", "tenant-sync#a41", 30),
)
WATCHED = (
    (9, "renew", "ledger", 60),
    (8, "succeeded", "tenant-sync#a41", 0),
    (7, "acquire", "tenant-sync#b07", 30),
    (5, "acquire", "tenant-sync#c19", 30),
    (3, "failed", "tenant-sync#b07", 0),
    (1, "acquire", "tenant-sync#a41", 30),
    (0, "renew", "ledger", 60),
)


class Clock:
    """Moved by hand."""

    now = NOW

    def time(self) -> float:
        """Return the moment."""
        return self.now

    def monotonic(self) -> float:
        """Return the same."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Move on."""
        self.now += seconds


class World:
    """A store, and what happens in it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(clock=self.clock)
        self._owners: dict[str, str] = {}
        self._numbers = count(0x9E3779B97F4A7C15, 0x1D872B41C2A91E55)

    def step(self, ago: float, verb: str, name: str, lasts: float) -> None:
        """Let it happen."""
        self.clock.now = NOW - ago
        now, end = round(self.clock.now * 1000), round((self.clock.now + lasts) * 1000)
        moment = utc(self.clock.now)
        if verb == "acquire":
            owner = self._owners[name] = f"{next(self._numbers):016x}"[-16:]
            holder = {"function": name.partition("#")[0], "request_id": owner}
            holder["acquired_at"] = moment
            holder["log_group"] = f"/aws/lambda/{holder['function']}"
            holder["log_stream"] = f"2027/01/15/[$LATEST]{owner}"
            holder["region"] = "eu-central-1"
            taking = Acquire(name, owner, holder, now, end, round(lasts * 1000), 1000)
            self.store.execute(taking, timeout=1)
        elif verb == "renew":
            self.store.execute(Renew(name, self._owners[name], end), timeout=1)
        else:
            record = self.store.get(name)
            assert record is not None
            assert record.holder is not None
            run = {"started": record.holder["acquired_at"], "ended": moment, "outcome": verb}
            given = Release(name, self._owners[name], now, end if lasts else None, run)
            self.store.execute(given, timeout=1)


def draw() -> None:
    """Play, and take both pictures."""
    world = World()
    for step in BEFORE:
        world.step(*step)
    watch = Watch(world.store, ())
    kept = watch.look()
    console = terminal()
    RichRenderer(console).table([*watch.statuses.values()])
    save(console, "list")
    wide = Console(width=1000, force_terminal=True, color_system="truecolor", file=StringIO())
    with wide.capture() as told:
        RichRenderer(wide).facts("reindex", list(facts(watch.statuses["reindex"])))
    console = terminal()
    for line in Text.from_ansi(told.get()).split():
        # As a terminal does with a line that is longer than itself.
        for start in range(0, len(line), console.width):
            console.print(line[start : start + console.width])
    save(console, "show")
    for step in WATCHED:
        world.step(*step)
        kept = remember(kept, watch.look())
    title = f"DynamoDBStore('leases') at {utc(NOW)[11:19]} UTC, every 1 s, Ctrl-C ends"
    console = terminal()
    console.print(RichRenderer(console).picture(Picture.of(title, watch.statuses.values(), kept)))
    save(console, "watch")


def draw_demo() -> None:
    """Play `make demo`, and show the first scenes of what it prints."""
    command = [sys.executable, "-m", "demo"]
    coloured = os.environ | {"FORCE_COLOR": "1", "COLUMNS": "92", "TERM": "xterm-256color"}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=coloured).stdout  # noqa: S603
    # What turns while a scene is played has many pictures.
    told = re.sub(r"(\n[^\n]*playing \.\.\.[^\n]*)+\n+", "\n\n", told)
    heading = re.compile(r"^.*─{9}.*$", re.MULTILINE)
    starts = [found.start() for found in heading.finditer(told)]
    chosen = [told[starts[0] : starts[1]], told[starts[2] : starts[3]]]
    console = terminal(92)
    for scene in chosen:
        console.print(Text.from_ansi(scene.strip()), "\n")
    save(console, "demo")


def terminal(columns: int = 100) -> Console:
    """Return one that records what it is given."""
    return Console(record=True, width=columns, height=30, force_terminal=True, file=StringIO())


def save(console: Console, name: str) -> None:
    """Write what the terminal shows as a picture."""
    svg = console.export_svg(title=f"lambda-singleton {name}")
    _, _, width, height = re.findall(r'viewBox="(.*?)"', svg)[0].split()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, f"{name}.html")
        page.write_text(f"<body style='margin:0'>{svg}", encoding="utf-8")
        size = f"--window-size={ceil(float(width))},{ceil(float(height))}"
        picture = f"--screenshot={HERE / name}.png"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", size, picture]
        command = ["chromium", *options, page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603


if __name__ == "__main__":
    draw()
    draw_demo()
