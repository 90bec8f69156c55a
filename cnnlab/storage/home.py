"""The lab's home: the one folder that the lab writes to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.storage import locks


class HomeError(LabError):
    """The lab's home cannot be read or written."""


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


def listing(folder: Path) -> list[str]:
    """Return the names in a folder of the home; none where it is not there yet.

    Raises
    ------
    HomeError
        If the system does not let the lab see them: the home may be full of runs.
    """
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = error.strerror or str(error)
        raise HomeError(
            f"The lab's home cannot be read: {folder}: {reason}. Let this user read the folder, or point CNNLAB_HOME "
            "at another one."
        ) from error


def require_home() -> None:
    """Make the home where it is not there, and check that the lab can work in it.

    Raises
    ------
    HomeError
        If it cannot.
    """
    with writing_to_home():
        home().mkdir(parents=True, exist_ok=True)
    require_readable_home()


def require_readable_home() -> None:
    """Check that the lab can see what is in its home, and lock files there. It need not be there yet.

    Raises
    ------
    HomeError
        If it cannot.
    """
    listing(home())
    if home().exists():
        _require_locks(home())


@lru_cache(maxsize=64)
def _require_locks(folder: Path) -> None:
    try:
        locks.require_locks(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HomeError(
            f"The lab's home {folder} is on a file system without file locks ({reason}), which the lab needs to keep "
            "runs safe: point CNNLAB_HOME at a folder on a disk of this machine."
        ) from error


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
        raise home_error(error) from error


def home_error(error: OSError) -> HomeError:
    """Return what to say of a failed write."""
    return HomeError(_sentence(error))


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
