"""The lab's home: the one folder that the lab writes to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnnlab.errors import LabError


class HomeError(LabError):
    """The lab's home cannot be written."""


def home() -> Path:
    """Return the lab's home: ``CNNLAB_HOME``, or ``.cnnlab`` in the working directory.

    Returns
    -------
    Path
        An absolute path; a ``~`` stands for the user's own folder. The folder need not exist yet.
    """
    path = Path(os.environ.get("CNNLAB_HOME") or ".cnnlab")
    with suppress(RuntimeError):  # there is no user of that name
        path = path.expanduser()
    return path.absolute()


@contextmanager
def writing_to_home() -> Iterator[None]:
    """Turn a failed write's `OSError` into a sentence.

    Raises
    ------
    HomeError
        If the body raises an `OSError`: the home is full, read-only or not a folder.
    """
    try:
        yield
    except OSError as error:
        raise HomeError(_sentence(error)) from error


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
