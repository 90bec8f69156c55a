"""The runs in the lab's home: made, listed, found and deleted."""

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.fine_tuning.recipe import LEAST_DIGITS, CannotFineTune, fine_tuning_recipe
from cnnlab.fine_tuning.start import FineTuning, Start
from cnnlab.models.definitions import Definition
from cnnlab.runs.folder import (
    COMMON_FORMAT,
    FORMAT,
    LOG,
    MAKER,
    MANIFEST,
    NAME,
    REFERENCE_RUNS,
    START,
    DamagedRun,
    NoSuchRun,
    UnreadableRun,
    run_ids_in,
    runs_folder,
    unreadable,
)
from cnnlab.runs.names import MAX_NAME_LENGTH, checked_name
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import DEFAULT_SNAPSHOTS, MOST_SNAPSHOTS
from cnnlab.runs.writer import RunBusy, RunWriter, require_same_network
from cnnlab.storage.checksums import sealed
from cnnlab.storage.files import identifier_after, remove_unfinished, replacing, unfinished_path
from cnnlab.storage.home import home, require_home, writing_to_home
from cnnlab.storage.learners import learners_folder
from cnnlab.storage.locks import is_locked
from cnnlab.training.recipe import InvalidConfig, TrainingConfig

_FINE_TUNED = ", fine-tuned"
# Of what somebody took for an identifier, in letters.
_LONGEST_SHOWN = 40


def create_run(
    definition: Definition,
    config: TrainingConfig,
    name: str | None = None,
    sweep_id: str | None = None,
    snapshots: int = DEFAULT_SNAPSHOTS,
    made_by: str | None = None,
    start: tuple[FineTuning, bytes] | None = None,
) -> Run:
    """Make a run in the lab's home, perhaps for a sweep. It neither trains nor waits yet.

    Parameters
    ----------
    snapshots
        Of its weights, for its film: how many it keeps, at most.
    made_by
        The name of whoever makes it, as `checked_learner` returns it.
    start
        What is said of what it begins with in place of random weights, and the file of that `Start`.

    Raises
    ------
    HomeError
        If the home cannot be written.
    InvalidName
        If the name is too long or cannot be shown.
    InvalidConfig
        If it cannot keep so many snapshots.
    """
    if not (snapshots == 0 or 2 <= snapshots <= MOST_SNAPSHOTS):
        raise InvalidConfig("snapshots", snapshots, f"0, or a whole number from 2 to {MOST_SNAPSHOTS}")
    name = checked_name(name) if name else f"{definition.title}, seed {config.seed}"
    require_home()
    with writing_to_home():
        folder = runs_folder()
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = unfinished_path(folder / "created")
        unfinished.mkdir()
        manifest = {
            "format": FORMAT if start else COMMON_FORMAT,
            "model": definition.name,
            "config": asdict(config),
            "source": definition.source,
            "created": datetime.now(UTC).isoformat(),
            "snapshots": snapshots,
        }
        if sweep_id:
            manifest["sweep"] = sweep_id
        if start:
            manifest["fine_tuning"] = start[0].to_record()
        try:
            with replacing(unfinished / MANIFEST) as path:
                path.write_text(json.dumps(sealed(manifest), indent=2) + "\n", encoding="utf-8")
            (unfinished / NAME).write_text(name, encoding="utf-8")
            (unfinished / LOG).touch()
            if start:
                with replacing(unfinished / START) as path:
                    path.write_bytes(start[1])
            sign(unfinished, made_by)
            return move_in(unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def create_fine_tuned_run(run: Run, own_digits: Sequence[MyDigit], made_by: str | None = None) -> Run:
    """Make a run that begins with another's newest weights and learns somebody's own digits beside the others.

    Raises
    ------
    CannotFineTune
        If there are too few digits, or the other run has no weights or is fine-tuned itself.
    CannotGoOn
        If its network is not here any more.
    UnreadableRun, HomeError
        If the other run cannot be read, or the home cannot be written.
    """
    if len(own_digits) < LEAST_DIGITS:
        raise CannotFineTune(
            f"Of your digits, {len(own_digits)} are there to train on; it takes {LEAST_DIGITS} or more: draw each "
            "digit three times."
        )
    if run.fine_tuning:
        raise CannotFineTune(
            f"{run.name} is fine-tuned already, and nobody could tell which of your digits it has seen: begin with the "
            f"run that it was made of, {run.fine_tuning.name}."
        )
    require_same_network(run)
    if (weights := run.load_weights()) is None:
        raise CannotFineTune(f"{run.name} has no weights yet: they come with its first epoch.")
    content = Start(weights, tuple(own_digits)).to_bytes()
    return create_run(
        run.definition,
        fine_tuning_recipe(run.config),
        f"{run.name[: MAX_NAME_LENGTH - len(_FINE_TUNED)]}{_FINE_TUNED}",
        made_by=made_by,
        start=(FineTuning.of(run.identity, run.name, len(own_digits), content), content),
    )


def sign(folder: Path, made_by: str | None) -> None:
    """Write into the folder of a run that is being made who makes it."""
    if made_by:
        (folder / MAKER).write_text(made_by, encoding="utf-8")


def delete_run(run: Run) -> None:
    """Remove a run with all that it holds.

    Raises
    ------
    RunBusy
        If it trains.
    """
    with writing_to_home(), RunWriter.claim(run):
        _remove(run.folder)


def delete_runs(runs: Sequence[Run]) -> None:
    """Remove runs with all that they hold: all of them, or none if one trains.

    Raises
    ------
    RunBusy
        If one trains.
    """
    with writing_to_home(), ExitStack() as claims:
        for run in runs:
            if run.status.is_active:  # the others have no writer, and get none unless somebody resumes them
                claims.enter_context(RunWriter.claim(run))
        for run in runs:
            with suppress(FileNotFoundError):  # deleted from another tab just now
                _remove(run.folder)


def delete_unreadable_run(run_id: str) -> None:
    """Remove a run that this version of the lab cannot read.

    Raises
    ------
    NoSuchRun
        If it is not in the lab's home.
    RunBusy
        If it trains.
    """
    folder = runs_folder() / run_id
    if run_id not in run_ids_in(runs_folder()):
        raise NoSuchRun(f"The run {run_id} is not here any more.")
    with writing_to_home(), suppress(FileNotFoundError, IsADirectoryError), (folder / LOG).open("rb") as log:
        if is_locked(log):
            raise RunBusy(f"The run {run_id} is being trained: stop it first.")
    with writing_to_home():
        _remove(folder)


def _remove(folder: Path) -> None:
    removed = unfinished_path(folder)
    folder.rename(removed)
    shutil.rmtree(removed)


def all_runs() -> list[Run]:
    """Return the runs in the lab's home, the newest first; those whose state cannot be read are left out."""
    return _runs_in(runs_folder())[0]


def unreadable_runs() -> list[UnreadableRun]:
    """Return an error for each run that `all_runs` leaves out, the newest first."""
    return _runs_in(runs_folder())[1]


def reference_runs() -> list[Run]:
    """Return the runs that ship with the lab."""
    return _runs_in(REFERENCE_RUNS)[0]


def remove_leftovers() -> None:
    """Remove temporary files of processes that were killed."""
    for folder in (
        home(),
        learners_folder(),
        runs_folder(),
        *(runs_folder() / run_id for run_id in run_ids_in(runs_folder())),
    ):
        remove_unfinished(folder)


def find_run(run_id: str) -> Run:
    """Return the run with an identifier, from the lab's home or from those that ship with it.

    Raises
    ------
    NoSuchRun
        If there is none.
    UnreadableRun
        If it cannot be read.
    """
    for folder in (runs_folder(), REFERENCE_RUNS):
        if run_id in run_ids_in(folder):
            return _readable_run(folder / run_id)
    asked = run_id if len(run_id) <= _LONGEST_SHOWN else f"{run_id[:_LONGEST_SHOWN]}…"
    raise NoSuchRun(f"There is no run {asked!r} here. It may have been deleted, or belong to another lab's home.")


def _runs_in(folder: Path) -> tuple[list[Run], list[UnreadableRun]]:
    runs, damages = [], []
    for run_id in sorted(run_ids_in(folder), reverse=True):
        try:
            runs.append(_readable_run(folder / run_id))
        except UnreadableRun as damage:
            damages.append(damage)
        except NoSuchRun:  # deleted by another process just now
            continue
    return runs, damages


def move_in(unfinished: Path) -> Run:
    """Move a run's folder in among the others, under an identifier greater than theirs."""
    folder = unfinished.parent
    while True:
        target = folder / identifier_after(run_ids_in(folder))
        try:
            unfinished.rename(target)
            return Run(target)
        except OSError:  # another process took the identifier
            if not target.exists():
                raise


def _readable_run(folder: Path) -> Run:
    """Return a run whose manifest and state can be read."""
    path = folder / MANIFEST
    try:
        manifest = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    run = _open_run(folder, manifest.st_size, manifest.st_mtime_ns)
    try:
        run.name_path.stat()
        run.last_record()
    except (FileNotFoundError, NoSuchRun) as error:
        if folder.exists():
            raise DamagedRun(run.log_path if run.name_path.exists() else run.name_path) from error
        raise run.gone() from error
    return run


@lru_cache(maxsize=16_384)
def _open_run(folder: Path, _size: int, _modified: int) -> Run:
    return Run(folder)
