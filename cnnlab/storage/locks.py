"""File locks between processes; the one module that knows of ``fcntl``.

A lock belongs to an open file. It is held until the last process that has this file open closes it, however that ends.
"""

import errno
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cnnlab.errors import UnsupportedSystem

try:
    import fcntl
except ModuleNotFoundError as error:
    raise UnsupportedSystem(
        "CNN Lab runs on Linux and macOS. On Windows, install it in the Windows Subsystem for Linux (WSL)."
    ) from error

_LOOK_SECONDS = 0.005
# What file systems say that have no locks: network drives, above all.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def require_locks(folder: Path) -> None:
    """Check that files in a folder can be locked. One that cannot be written is left to who writes to it.

    Raises
    ------
    OSError
        If its file system has no locks.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise


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
