"""What lies in the folder of the sweeps, and why a sweep may be unreadable.

ID.json    a sweep: its plans, and the names of its runs
.ID.lock   held by who changes it
"""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from cnnlab.errors import LabError
from cnnlab.storage.checksums import sealed, unsealed
from cnnlab.storage.files import identifier_after, replacing
from cnnlab.storage.home import home, listing, writing_to_home
from cnnlab.storage.learners import is_same_learner, maker_told_in
from cnnlab.storage.locks import exclusive_lock

# Of a sweep's file. 1: before December 2026, without a number.
FORMAT = 2


class NoSuchSweep(LabError):
    """No sweep has this identifier, or its file cannot be read."""


class DamagedSweep(NoSuchSweep):
    """A sweep's file is not what the lab wrote."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The sweep {path.stem} is damaged: {path} cannot be read. Put the file back from a copy, or delete it: "
            "its runs stay."
        )


class BlockedSweep(NoSuchSweep):
    """The system does not let the lab read a sweep now."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"The sweep {path.stem} cannot be read now: {path}: {error.strerror or error}.")


class NewerSweep(NoSuchSweep):
    """A sweep was made by a newer version of the lab."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The sweep {path.stem} was made by a newer version of the lab, which this one cannot read. Nothing is "
            f"wrong with it: open it with that version. Its file is {path}."
        )


@lru_cache(maxsize=256)
def content_in(path: Path, _size: int, _modified: int) -> dict[str, Any]:
    return unsealed(json.loads(path.read_text(encoding="utf-8")))


def new_path() -> Path:
    """Return where a new sweep's file goes: nobody else is given the same place."""
    with writing_to_home():
        sweeps_folder().mkdir(parents=True, exist_ok=True)
        taken = {name.removesuffix(".json") for name in names()}
        while True:
            identifier = identifier_after(taken)
            with suppress(FileExistsError):
                lock_path(identifier).touch(exist_ok=False)
                return sweeps_folder() / f"{identifier}.json"
            taken.add(identifier)  # by another process just now, or by a sweep that was deleted, whose lock stays


def lock_path(sweep_id: str) -> Path:
    return sweeps_folder() / f".{sweep_id}.lock"


def write(path: Path, content: dict[str, Any]) -> None:
    with writing_to_home(), replacing(path) as unfinished:
        unfinished.write_text(json.dumps(sealed(content)), encoding="utf-8")


def delete_file(sweep_id: str) -> None:
    """Delete a sweep's file, also one that cannot be read.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    with writing_to_home(), exclusive_lock(lock_path(sweep_id)):
        (sweeps_folder() / f"{sweep_id}.json").unlink(missing_ok=True)


def ids_told_to_be_of(learner: str) -> list[str]:
    """Return the sweeps whose files say that a learner made them, also those that cannot be read otherwise."""
    paths = [sweeps_folder() / name for name in names()]
    return [path.stem for path in paths if is_same_learner(maker_told_in(path), learner)]


def sweeps_folder() -> Path:
    return home() / "sweeps"


def names() -> list[str]:
    return [name for name in listing(sweeps_folder()) if name.endswith(".json") and not name.startswith(".")]
