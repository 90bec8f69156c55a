"""The lab's home: the one folder that the lab writes to."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnlab.errors import LabError


class HomeError(LabError):
    """The lab's home cannot be written."""


def home() -> Path:
    """Return the lab's home: ``CNNLAB_HOME``, or ``.cnnlab`` in the working directory.

    Returns
    -------
    Path
        An absolute path. The folder need not exist yet.
    """
    return Path(os.environ.get("CNNLAB_HOME") or ".cnnlab").absolute()


@contextmanager
def writing_to_home() -> Iterator[None]:
    """Turn what the operating system says of a failed write into a sentence.

    Raises
    ------
    HomeError
        If the body raises an `OSError`: the home is full, read-only or not a folder.
    """
    try:
        yield
    except OSError as error:
        raise HomeError(_sentence(error)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that a reader, or a crash, meets either the old one or the new one, whole.

    Yields
    ------
    Path
        Where to write. It takes the place of `path` when the body has ended without an error.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _sentence(error: OSError) -> str:
    elsewhere = "point CNNLAB_HOME at a folder that can be written"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The lab's home {home()} is full: free some space, or {elsewhere}."
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return f"The lab's home {home()} cannot be written: change its permissions, or {elsewhere}."
        case _:
            reason = error.strerror or str(error)
            return f"The lab's home {home()} cannot be used ({reason}): {elsewhere}."
