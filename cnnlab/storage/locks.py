"""File locks between processes; the one module that knows of ``fcntl``."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock_path: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, is in a body with the same file, and keep others out."""
    with lock_path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
