"""A way around a fault of CPython 3.11 that only those who trace meet.

An asynchronous exception that was taken back (`PyThreadState_SetAsyncExc(thread, NULL)`) leaves a
flag behind, and a traced thread then spins where a function begins, for ever. Another one that
arrives, in a thread of our own, takes the flag away.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time


class Shake(BaseException):
    """What the shaker raises in itself."""


def start_shaker() -> None:
    """Start it where it is needed."""
    if sys.version_info < (3, 12):
        threading.Thread(target=_shake, name="shaker", daemon=True).start()


def _shake() -> None:
    own = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    while True:
        time.sleep(0.005)
        try:
            raise_in(own, ctypes.py_object(Shake))
            for _ in range(100):
                pass
        except Shake:
            continue
