"""A run on disk: the one place that knows what its folder holds.

    run.json                 what is trained, written once
    name.txt                 the name
    events.jsonl             the log: one JSON object a line, only ever appended to
    weights.safetensors      the newest weights
    predictions.safetensors  what such weights answer on the test images
    checkpoint.pt            the state from which training goes on
    stop                     there while somebody wants the run to stop
    errors.txt               what the worker wrote to its standard error
    reserve                  there while the run trains: space for the line that says how it ended

run.json and weights.safetensors hold a sum of what else is in them, and checkpoint.pt, a zip archive, has one for each
of its parts. A file that does not match its sum is never used, and never written over.

A run has one writer at a time: whoever holds the exclusive lock on the log. Its status is read off the log's last line
and that lock, and is stored nowhere. A reader that looks for a writer shares the lock for some microseconds; nothing
else that readers do is in a writer's way.
"""

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.models.definitions import definition_named
from cnnlab.runs.folder import (
    CHECKPOINT,
    LOG,
    MANIFEST,
    NAME,
    REFERENCE_RUNS,
    WEIGHTS,
    DamagedRun,
    NoSuchRun,
    read_whole,
    require_whole,
)
from cnnlab.runs.log import History, Line, Status, epochs_in, last_record_in, log_reader, status_said_by
from cnnlab.runs.names import MAX_NAME_LENGTH, as_line, checked_name
from cnnlab.storage.checksums import is_whole_tensors, is_whole_zip, unsealed
from cnnlab.storage.files import replacing
from cnnlab.storage.home import writing_to_home
from cnnlab.storage.locks import is_locked
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig


class Run:
    """One training of one definition with one recipe.

    Attributes
    ----------
    folder
        Where the run lies; its name is the run's identifier.
    id
        The identifier. Newer runs have greater ones.
    model
        The name of the definition.
    config
        The recipe.
    source
        The definition's source when the run was made.
    created
        When the run was made, in UTC.

    Raises
    ------
    DamagedRun
        If the folder's ``run.json`` cannot be read, or its name or its log is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id: str = folder.name
        manifest_path = folder / MANIFEST
        try:
            manifest = unsealed(json.loads(manifest_path.read_text(encoding="utf-8")))
            self.model: str = manifest["model"]
            self.config = TrainingConfig(**manifest["config"])
            self.source: str = manifest["source"]
            self.created = datetime.fromisoformat(manifest["created"])
            if not (isinstance(self.model, str) and isinstance(self.source, str) and self.created.tzinfo):
                raise ValueError("A run has the name and the source of a network, and a moment in a time zone.")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedRun(manifest_path) from error
        for path in (self.name_path, self.log_path):
            if not path.exists():
                raise DamagedRun(path)

    @property
    def name(self) -> str:
        """What people call the run."""
        with self.existing(), self.name_path.open(encoding="utf-8", errors="replace") as file:
            name = file.read(MAX_NAME_LENGTH)
        return as_line(name).strip() or self.id  # somebody may have written the file by hand

    def rename(self, name: str) -> None:
        """Give the run another name.

        Raises
        ------
        InvalidName
            If it is empty or too long.
        """
        name = checked_name(name)
        with self.existing():
            self.folder.stat()
        with writing_to_home(), replacing(self.name_path) as unfinished:
            unfinished.write_text(name, encoding="utf-8")

    @property
    def is_reference(self) -> bool:
        """Whether the run ships with the lab, which can be read and not changed."""
        return self.folder.parent == REFERENCE_RUNS

    @property
    def title(self) -> str:
        """What the pages call the definition; its name, if it is not registered any more."""
        try:
            return definition_named(self.model).title
        except LabError:
            return self.model

    @property
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(self.config.images_per_epoch / self.config.batch_size)

    @property
    def total_steps(self) -> int:
        """How many steps the whole run has."""
        return self.config.epochs * self.steps_per_epoch

    def seconds_left(self) -> float | None:
        """Return how much longer the run will train, at the speed of its last steps; None before there is one."""
        history = self.history()
        speed = history.steps_per_second
        return (self.total_steps - history.step) / speed if speed else None

    @property
    def status(self) -> Status:
        """What the run is doing, or how it ended."""
        if ended := status_said_by(self.last_event()):
            return ended
        if self._has_writer():
            return Status.RUNNING
        # The writer may have ended the run between the two looks.
        return status_said_by(self.last_event()) or Status.INTERRUPTED

    @property
    def is_getting_ready(self) -> bool:
        """Whether a worker has claimed the run but has not started to train."""
        return self.last_event() in (Line.STARTING, Line.STARTED)

    @property
    def can_resume(self) -> bool:
        """Whether the run can resume from its checkpoint; one that diverged would diverge again."""
        has_ended = self.status in (Status.STOPPED, Status.INTERRUPTED, Status.FAILED)
        return has_ended and not self.has_diverged and not self.has_no_checkpoint

    def history(self) -> History:
        """Return the content of the log so far, reading only what is new since the last call."""
        with self.existing():
            return log_reader(self.log_path).history()

    def epochs(self) -> tuple[EpochEvent, ...]:
        """Return the epochs that the log tells. An unchanged log is not read again, however many runs there are."""
        with self.existing():
            log = self.log_path.stat()
            return epochs_in(self.log_path, log.st_size, log.st_mtime_ns)

    def last_epoch(self) -> EpochEvent | None:
        """Return the newest epoch, or None."""
        return next(reversed(self.epochs()), None)

    def error_lines(self, count: int = 12) -> list[str]:
        """Return the last lines that the worker wrote to its standard error."""
        try:
            return self.errors_path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def request_stop(self) -> None:
        """Ask whoever trains the run to stop after the batch at hand."""
        with writing_to_home():
            self.stop_path.touch()

    @property
    def stop_requested(self) -> bool:
        """Whether somebody wants the run to stop."""
        return self.stop_path.exists()

    def damage(self) -> DamagedRun | None:
        """Return an error if one of the run's files cannot be read, else None.

        Files that were looked at before are looked at again only when they have changed.
        """
        try:
            self.last_epoch()
            if not self.status.is_active:
                self.require_whole_files()
        except DamagedRun as damage:
            return damage
        return None

    def require_whole_files(self) -> None:
        require_whole(self.weights_path, is_whole_tensors)
        require_whole(self.checkpoint_path, is_whole_zip)

    def load_weights(self) -> dict[str, Tensor] | None:
        """Return the newest weights as a ``state_dict`` on the CPU, or None before the first epoch has ended.

        Raises
        ------
        DamagedRun
            If they cannot be read.
        """
        weights = self.read_weights()
        return load(weights) if weights is not None else None

    def read_weights(self) -> bytes | None:
        """Return the bytes of the newest weights' file, or None before the first epoch has ended.

        Raises
        ------
        DamagedRun
            If it cannot be read.
        """
        return read_whole(self.weights_path, is_whole_tensors)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the checkpoint, as `TrainingState.state_dict` made it, or None.

        Raises
        ------
        DamagedRun
            If it cannot be read.
        """
        content = self.read_checkpoint()
        if content is None:
            return None
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch raises whatever a damaged file makes of its reader
            raise DamagedRun(self.checkpoint_path) from error

    def read_checkpoint(self) -> bytes | None:
        """Return the bytes of the checkpoint's file, or None.

        Raises
        ------
        DamagedRun
            If it cannot be read.
        """
        return read_whole(self.checkpoint_path, is_whole_zip)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has a checkpoint."""
        return self.checkpoint_path.exists()

    @cached_property
    def weights_path(self) -> Path:
        """The file of the newest weights; it is there once an epoch has ended."""
        return self.folder / WEIGHTS

    @cached_property
    def predictions_path(self) -> Path:
        """The file of answers on the test images, for `cnnlab.inference.test_set`; it may be missing or too old."""
        return self.folder / "predictions.safetensors"

    @cached_property
    def errors_path(self) -> Path:
        """The file that takes a worker's standard error."""
        return self.folder / "errors.txt"

    @cached_property
    def name_path(self) -> Path:
        """The file that holds what people call the run."""
        return self.folder / NAME

    @cached_property
    def log_path(self) -> Path:
        return self.folder / LOG

    @cached_property
    def checkpoint_path(self) -> Path:
        return self.folder / CHECKPOINT

    @cached_property
    def stop_path(self) -> Path:
        return self.folder / "stop"

    @cached_property
    def reserve_path(self) -> Path:
        return self.folder / "reserve"

    @contextmanager
    def existing(self) -> Iterator[None]:
        """Turn missing files into `NoSuchRun`: another tab may have deleted the run.

        Raises
        ------
        NoSuchRun
            If the body finds that a file is missing.
        DamagedRun
            If it finds one that cannot be read, being a folder or another user's.
        """
        try:
            yield
        except FileNotFoundError as error:
            raise self.gone() from error
        except OSError as error:
            raise DamagedRun(Path(error.filename or self.log_path)) from error

    def gone(self) -> NoSuchRun:
        return NoSuchRun(f"The run {self.id} is not here any more.")

    @property
    def has_diverged(self) -> bool:
        return bool((self.last_record() or {}).get("diverged"))

    @property
    def has_no_checkpoint(self) -> bool:
        """Whether the run was imported without the checkpoint that it would go on from."""
        return bool((self.last_record() or {}).get("without_checkpoint"))

    def _has_writer(self) -> bool:
        with self.existing(), self.log_path.open("rb") as log:
            return is_locked(log)

    def last_event(self) -> str | None:
        record = self.last_record()
        return record["event"] if record else None

    def last_record(self) -> dict[str, Any] | None:
        """Return the log's last whole line, or None if it has none. An unchanged log is not read again."""
        with self.existing():
            log = self.log_path.stat()
            return last_record_in(self.log_path, log.st_size, log.st_mtime_ns)
