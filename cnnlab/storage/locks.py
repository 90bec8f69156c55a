"""File locks between processes; the one module that knows of ``fcntl``.

A lock belongs to an open file. It is held until the last process that has this file open closes it, however that ends.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_LOOK_SECONDS = 0.005


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive file lock, after waiting for whoever holds it now in this process or another."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(file: IO[Any], patience_seconds: float) -> bool:
    """Take the exclusive lock of an open file, and return whether it could be had.

    Parameters
    ----------
    patience_seconds
        How long to try. Readers that call `is_locked` hold a shared lock for some microseconds.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)


def is_locked(file: IO[Any]) -> bool:
    """Return whether somebody holds the exclusive lock of a file, opened here for this question."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
