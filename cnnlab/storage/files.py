"""Atomic writes: a reader, or a crash, finds a file whole or not at all."""

import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: readers, and crashes, see either the old one or the new one, whole.

    Yields
    ------
    Path
        Where to write. It takes the place of `path` when the body has ended without an error.
    """
    unfinished = unfinished_path(path)
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def unfinished_path(path: Path) -> Path:
    """Return a temporary path, beside the final one, for a file or folder that takes a while to write.

    The name is this thread's alone, and tells which process will remove it.
    """
    return path.with_name(f".{path.name}{unfinished_suffix()}")


def unfinished_suffix() -> str:
    """Return the suffix of such a temporary name; it begins with a dot."""
    return f".{os.getpid()}.{threading.get_ident()}"


def identifier_after(taken: Iterable[str]) -> str:
    """Return the current time as an identifier greater than those taken, even if the clock was set back."""
    now = datetime.now(UTC)
    for identifier in sorted(taken, reverse=True):
        with suppress(ValueError, OverflowError):  # no time, or the last there is
            last = datetime.strptime(f"{identifier}000", _IDENTIFIER).replace(tzinfo=UTC)
            now = max(now, last + timedelta(milliseconds=1))
            break
    return now.strftime(_IDENTIFIER)[:-3]


_IDENTIFIER = "%Y%m%d-%H%M%S-%f"  # less the last three digits: milliseconds


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files whose process ended without removing them."""
    with suppress(OSError):  # a folder that is gone, or that cannot be written
        for name in os.listdir(folder):
            match = _UNFINISHED.fullmatch(name)
            if match and not _is_alive(int(match["process"])):
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()


_UNFINISHED = re.compile(r"\..+\.(?P<process>[0-9]{1,9})\.[0-9]+")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
