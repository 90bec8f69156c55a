"""What lies in a run's folder, and what it is called."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cnnlab.errors import LabError
from cnnlab.storage.home import home

REFERENCE_RUNS = Path(__file__).parents[1] / "assets" / "runs"
# The reference run that was trained for digits that people draw.
DRAWING_RUN = "reference-drawing"
MANIFEST, NAME, LOG = "run.json", "name.txt", "events.jsonl"
WEIGHTS, CHECKPOINT = "weights.safetensors", "checkpoint.pt"
EXPORTED_FILES = (MANIFEST, NAME, LOG, WEIGHTS, CHECKPOINT)


class NoSuchRun(LabError):
    """No run has this identifier."""


class DamagedRun(LabError):
    """A file of a run is not what the lab wrote, or is gone.

    Attributes
    ----------
    run_id
        The run's identifier.
    file
        The file's name.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The run {path.parent.name} is damaged: {path} cannot be read. Put the file back from a copy, or delete "
            "the run's folder."
        )
        self.run_id = path.parent.name
        self.file = path.name


_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{3}|reference-[a-z]+")


def runs_folder() -> Path:
    return home() / "runs"


def run_ids_in(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if _ID.fullmatch(name)}
    except OSError:
        return set()


def read_whole(path: Path, is_whole: Callable[[bytes], bool]) -> bytes | None:
    """Return what a file holds, or None if it is not there."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRun(path) from error
    if not is_whole(content):
        raise DamagedRun(path)
    return content


def require_whole(path: Path, is_whole: Callable[[bytes], bool]) -> None:
    with suppress(FileNotFoundError):
        file = path.stat()
        if not _was_whole(path, is_whole, file.st_size, file.st_mtime_ns):
            raise DamagedRun(path)


@lru_cache(maxsize=16_384)
def _was_whole(path: Path, is_whole: Callable[[bytes], bool], _size: int, _modified: int) -> bool:
    with suppress(DamagedRun):
        read_whole(path, is_whole)
        return True
    return False
