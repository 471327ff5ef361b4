"""A share of one core for a process, as a function of little memory has it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
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
        self._group = _make_group(pid)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def means(self) -> str:
        """Say how it is done."""
        return "a duty cycle" if self._group is None else "a control group"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._group is not None:
            # Empty as soon as the process is gone.
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    self._group.folder.rmdir()
                    break
                time.sleep(0.01)

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
        self.folder = folder
        self._write = write

    def limit(self, share: float) -> None:
        period = round(PERIOD * 1e6)
        self._write(self.folder, round(period * share), period)


def _make_group(pid: int) -> _Group | None:
    name = f"lambda-singleton-bench-{pid}"
    for parent, write in ((_CGROUP, _write_v2), (_CGROUP / "cpu", _write_v1)):
        folder = parent / name
        try:
            folder.mkdir()
            try:
                write(folder, -1, round(PERIOD * 1e6))
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError:
                folder.rmdir()
                raise
        except OSError:
            continue
        return _Group(folder, write)
    return None


def _write_v2(folder: Path, quota: int, period: int) -> None:
    (folder / "cpu.max").write_text(f"{quota if quota > 0 else 'max'} {period}")


def _write_v1(folder: Path, quota: int, period: int) -> None:
    (folder / "cpu.cfs_period_us").write_text(str(period))
    (folder / "cpu.cfs_quota_us").write_text(str(quota))
