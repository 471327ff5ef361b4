"""A share of one core for a process, as a function of little memory has it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Self

#: How long one turn is, in seconds: Lambda's own, by what has been measured of it.
PERIOD = 0.02

_CGROUP = Path("/sys/fs/cgroup")


class Quota:
    """Lets a process have a share of one core: from 0 to 1, which is no limit.

    By a control group where this user may make one, or else by stopping the process and letting it
    go on again, which is less even.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._group = _make_group(pid) if _groups_are_kept() else None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._group is not None:
            self._group.remove()

    def limit(self, share: float) -> None:
        """Begin; can be said once."""
        if share >= 1:
            return
        if self._group is not None:
            self._group.limit(share)
            return
        self._thread = threading.Thread(target=self._pace, args=(share,), daemon=True)
        self._thread.start()

    def _pace(self, share: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            while not self._over.is_set():
                os.kill(self._pid, signal.SIGCONT)
                time.sleep(PERIOD * share)
                os.kill(self._pid, signal.SIGSTOP)
                time.sleep(PERIOD * (1 - share))
            os.kill(self._pid, signal.SIGCONT)


class _Group:
    """A control group with one process, of either version."""

    def __init__(self, folder: Path, write: Callable[[Path, int, int], None]) -> None:
        self._folder = folder
        self._write = write

    def limit(self, share: float) -> None:
        period = round(PERIOD * 1e6)
        self._write(self._folder, round(period * share), period)

    def remove(self) -> None:
        # Empty as soon as the process is gone.
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.01)


@cache
def _groups_are_kept() -> bool:
    """Try it out: a sandbox may take every setting of a group, and do nothing about it."""
    busy = "import time\nprint(flush=True)\ninput()\nwhile time.process_time() < 0.2: pass"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        group = _make_group(process.pid)
        if group is not None:
            group.limit(0.1)
        started = time.monotonic()
        process.stdin.write(b"\n")
        process.stdin.close()
        process.wait()
        took = time.monotonic() - started
    if group is not None:
        group.remove()
    return group is not None and took > 1.5


def _make_group(pid: int) -> _Group | None:
    name = f"lambda-singleton-bench-{pid}"
    for parent, write in ((_CGROUP, _write_v2), (_CGROUP / "cpu", _write_v1)):
        folder = parent / name
        try:
            folder.mkdir()
            try:
                write(folder, -1, round(PERIOD * 1e6))
                _set(folder / "cgroup.procs", str(pid))
            except OSError:
                folder.rmdir()
                raise
        except OSError:
            continue
        return _Group(folder, write)
    return None


def means() -> str:
    """Say how it is done here."""
    return "a control group" if _groups_are_kept() else "a duty cycle"


def _write_v2(folder: Path, quota: int, period: int) -> None:
    _set(folder / "cpu.max", f"{quota if quota > 0 else 'max'} {period}")


def _write_v1(folder: Path, quota: int, period: int) -> None:
    _set(folder / "cpu.cfs_period_us", str(period))
    _set(folder / "cpu.cfs_quota_us", str(quota))


def _set(file: Path, value: str) -> None:
    # Of a folder that is no group the file would be a new one, and mean nothing.
    with file.open("r+") as setting:
        setting.write(value)
