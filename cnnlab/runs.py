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

import errno
import fcntl
import io
import json
import math
import os
import re
import shutil
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Self
from uuid import uuid4

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition, definition_named
from cnnlab.storage.checksums import is_whole_tensors, is_whole_zip, sealed, sealed_tensors, unsealed
from cnnlab.storage.files import identifier_after, remove_unfinished, replacing, unfinished_path
from cnnlab.storage.home import home, writing_to_home
from cnnlab.training.events import BatchEvent, EpochEvent, Event
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

REFERENCE_RUNS = Path(__file__).parent / "assets" / "runs"
# The reference run that was trained for digits that people draw.
DRAWING_RUN = "reference-drawing"
MAX_NAME_LENGTH = 80
_MANIFEST, _NAME, _LOG = "run.json", "name.txt", "events.jsonl"
_WEIGHTS, _CHECKPOINT = "weights.safetensors", "checkpoint.pt"
EXPORTED_FILES = (_MANIFEST, _NAME, _LOG, _WEIGHTS, _CHECKPOINT)
# Of a log, in bytes; the lab's own are much shorter.
_LONGEST_LINE = 65_536
# Of what somebody took for an identifier, in letters.
_LONGEST_SHOWN = 40
# Enough steps that the speed is steady, few enough that it follows when the machine gets busy.
_SPEED_STEPS = 200


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


class RunBusy(LabError):
    """Another process writes this run."""


class RunFinished(LabError):
    """The run has nothing left to train."""


class UnfitRun(LabError):
    """A run from elsewhere cannot be one of this lab."""


class InvalidName(LabError):
    """A run cannot be called this."""


class Status(StrEnum):
    """What a run is doing, or how it ended."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"  # by a person
    INTERRUPTED = "interrupted"  # by a crash, or by the end of the server
    FAILED = "failed"
    FINISHED = "finished"

    @property
    def is_active(self) -> bool:
        """Whether the run trains, or will without anyone doing anything."""
        return self in (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True)
class History:
    """What a run's log says so far.

    Attributes
    ----------
    batches
        A row for each step: step, loss, seconds (of training, since the run began).
    epochs
        A row for each epoch, with the fields of `EpochEvent`; those of validation only if there are any.
    starts
        The steps that were done each time a worker began or went on; empty while the run waits or gets ready.
    reason
        Why the run ended, where the log says so.
    kernels, kernels_reason
        As `TrainingState` has them, of the last start; None before it.
    """

    batches: pd.DataFrame
    epochs: pd.DataFrame
    starts: list[int]
    reason: str | None
    kernels: str | None = None
    kernels_reason: str | None = None

    @property
    def step(self) -> int:
        """The steps that are done."""
        return int(self.batches["step"].iloc[-1]) if len(self.batches) else 0

    @property
    def steps_per_second(self) -> float | None:
        """How fast training went over the last steps; None before there are two."""
        recent = self.batches.tail(_SPEED_STEPS)
        if len(recent) < 2:
            return None
        return float((len(recent) - 1) / (recent["seconds"].iloc[-1] - recent["seconds"].iloc[0]))


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
        manifest_path = folder / _MANIFEST
        try:
            manifest = unsealed(json.loads(manifest_path.read_text()))
            self.model: str = manifest["model"]
            self.config = TrainingConfig(**manifest["config"])
            self.source: str = manifest["source"]
            self.created = datetime.fromisoformat(manifest["created"])
            if not (isinstance(self.model, str) and isinstance(self.source, str) and self.created.tzinfo):
                raise ValueError("A run has the name and the source of a network, and a moment in a time zone.")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedRun(manifest_path) from error
        for path in (self.name_path, self._log_path):
            if not path.exists():
                raise DamagedRun(path)

    @classmethod
    def create(cls, definition: Definition, config: TrainingConfig, name: str | None = None) -> "Run":
        """Make a run in the lab's home. It neither trains nor waits yet.

        Raises
        ------
        HomeError
            If the home cannot be written.
        InvalidName
            If the name is too long or cannot be shown.
        """
        name = checked_name(name) if name else f"{definition.title}, seed {config.seed}"
        with writing_to_home():
            folder = _runs_folder()
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = unfinished_path(folder / "created")
            unfinished.mkdir()
            manifest = {
                "model": definition.name,
                "config": asdict(config),
                "source": definition.source,
                "created": datetime.now(UTC).isoformat(),
            }
            try:
                with replacing(unfinished / _MANIFEST) as path:
                    path.write_text(json.dumps(sealed(manifest), indent=2) + "\n")
                (unfinished / _NAME).write_text(name)
                (unfinished / _LOG).touch()
                return _move_in(unfinished)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    @property
    def name(self) -> str:
        """What people call the run."""
        with self._existing(), self.name_path.open(errors="replace") as file:
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
        with self._existing():
            self.folder.stat()
        with writing_to_home(), replacing(self.name_path) as unfinished:
            unfinished.write_text(name)

    def delete(self) -> None:
        """Remove the run with all that it holds.

        Raises
        ------
        RunBusy
            If it trains.
        """
        with writing_to_home(), RunWriter.claim(self):
            removed = unfinished_path(self.folder)
            self.folder.rename(removed)
            shutil.rmtree(removed)

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
        if ended := _status_said_by(self._last_event()):
            return ended
        if self._has_writer():
            return Status.RUNNING
        # The writer may have ended the run between the two looks.
        return _status_said_by(self._last_event()) or Status.INTERRUPTED

    @property
    def is_getting_ready(self) -> bool:
        """Whether a worker has the run and has not begun to train."""
        return self._last_event() in ("starting", "started")

    @property
    def can_resume(self) -> bool:
        """Whether the run can go on from its checkpoint; one that diverged would diverge again."""
        has_ended = self.status in (Status.STOPPED, Status.INTERRUPTED, Status.FAILED)
        return has_ended and not self._has_diverged and not self._has_no_checkpoint

    def history(self) -> History:
        """Return what the log says so far. Only what is new since the last call is read."""
        with self._existing():
            return _log_reader(self._log_path).history()

    def epochs(self) -> tuple[EpochEvent, ...]:
        """Return the epochs that the log tells. An unchanged log is not read again, however many runs there are."""
        with self._existing():
            log = self._log_path.stat()
            return _epochs_in(self._log_path, log.st_size, log.st_mtime_ns)

    def last_epoch(self) -> EpochEvent | None:
        """Return the newest epoch, or None."""
        return next(reversed(self.epochs()), None)

    def error_lines(self, count: int = 12) -> list[str]:
        """Return the last lines that the worker wrote to its standard error."""
        try:
            return self.errors_path.read_text(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def enqueue(self) -> None:
        """Put the run at the end of the queue; one that has begun will go on from its checkpoint.

        Raises
        ------
        RunBusy
            If it trains.
        RunFinished
            If nothing is left to train.
        DamagedRun
            If a file of it cannot be read.
        """
        for refusal in enqueue_all([self]):
            raise refusal

    def request_stop(self) -> None:
        """Ask whoever trains the run to stop after the batch at hand."""
        with writing_to_home():
            self._stop_path.touch()

    @property
    def stop_requested(self) -> bool:
        """Whether somebody wants the run to stop."""
        return self._stop_path.exists()

    def damage(self) -> DamagedRun | None:
        """Return what is wrong with the run's files where one of them cannot be read.

        Files that were looked at before are looked at again only when they have changed.
        """
        try:
            self.last_epoch()
            if not self.status.is_active:
                self._require_whole_files()
        except DamagedRun as damage:
            return damage
        return None

    def _require_whole_files(self) -> None:
        _require_whole(self.weights_path, is_whole_tensors)
        _require_whole(self._checkpoint_path, is_whole_zip)

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
        """Return the file of the newest weights, as it lies there, or None before the first epoch has ended.

        Raises
        ------
        DamagedRun
            If it cannot be read.
        """
        return _read_whole(self.weights_path, is_whole_tensors)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the state from which training goes on, as `TrainingState.state_dict` made it, or None.

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
            raise DamagedRun(self._checkpoint_path) from error

    def read_checkpoint(self) -> bytes | None:
        """Return the file of that state, as it lies there, or None.

        Raises
        ------
        DamagedRun
            If it cannot be read.
        """
        return _read_whole(self._checkpoint_path, is_whole_zip)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a state from which training goes on."""
        return self._checkpoint_path.exists()

    @cached_property
    def weights_path(self) -> Path:
        """The file of the newest weights; it is there once an epoch has ended."""
        return self.folder / _WEIGHTS

    @cached_property
    def predictions_path(self) -> Path:
        """The file of answers on the test images, which `cnnlab.predictions` writes; it may be missing or too old."""
        return self.folder / "predictions.safetensors"

    @cached_property
    def errors_path(self) -> Path:
        """The file that takes a worker's standard error."""
        return self.folder / "errors.txt"

    @cached_property
    def name_path(self) -> Path:
        """The file that holds what people call the run."""
        return self.folder / _NAME

    @cached_property
    def _log_path(self) -> Path:
        return self.folder / _LOG

    @cached_property
    def _checkpoint_path(self) -> Path:
        return self.folder / _CHECKPOINT

    @cached_property
    def _stop_path(self) -> Path:
        return self.folder / "stop"

    @cached_property
    def _reserve_path(self) -> Path:
        return self.folder / "reserve"

    @contextmanager
    def _existing(self) -> Iterator[None]:
        """Say that the run is gone where its files are missing: another tab may have deleted it.

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
            raise self._gone() from error
        except OSError as error:
            raise DamagedRun(Path(error.filename or self._log_path)) from error

    def _gone(self) -> NoSuchRun:
        return NoSuchRun(f"The run {self.id} is not here any more.")

    @property
    def _has_diverged(self) -> bool:
        return bool((self._last_record() or {}).get("diverged"))

    @property
    def _has_no_checkpoint(self) -> bool:
        """Whether the run was imported without the checkpoint that it would go on from."""
        return bool((self._last_record() or {}).get("without_checkpoint"))

    def export(self, *, checkpoint: bool) -> dict[str, bytes]:
        """Return the files from which `adopt` makes the run again, by name: those of `EXPORTED_FILES` that it has.

        Raises
        ------
        DamagedRun, NoSuchRun
            If one of them cannot be read, or the run is gone.
        """
        # The log last: while the run trains, it must reach as far as the checkpoint.
        files: dict[str, bytes | None] = {_WEIGHTS: self.read_weights()}
        if checkpoint:
            files[_CHECKPOINT] = self.read_checkpoint()
        self.history()  # a log that is damaged is not exported
        with self._existing():
            log = self._log_path.read_bytes()
            files |= {_MANIFEST: (self.folder / _MANIFEST).read_bytes(), _NAME: self.name.encode()}
            files[_LOG] = log[: log.rfind(b"\n") + 1]
        return {name: content for name in EXPORTED_FILES if (content := files.get(name)) is not None}

    def _has_writer(self) -> bool:
        with self._existing(), self._log_path.open("rb") as log:
            try:
                fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _last_event(self) -> str | None:
        record = self._last_record()
        return record["event"] if record else None

    def _last_record(self) -> dict[str, Any] | None:
        """Return the log's last whole line, or None if it has none. An unchanged log is not read again."""
        with self._existing():
            log = self._log_path.stat()
            return _last_record(self._log_path, log.st_size, log.st_mtime_ns)


class RunWriter:
    """The right to write a run, held by one process at a time.

    The right is an exclusive lock on the log, and belongs to the open file: it can be handed to a child process with
    the file's descriptor, and ends with the last process that has it open, however that ends.
    """

    def __init__(self, run: Run, log: BinaryIO) -> None:
        self.run = run
        self._log = log

    @classmethod
    def claim(cls, run: Run) -> Self:
        """Become the writer of a run.

        Raises
        ------
        RunBusy
            If the run has one.
        """
        try:
            log = run._log_path.open("a+b", buffering=0)
        except FileNotFoundError as error:
            raise run._gone() from error
        # A reader that looks whether there is a writer is in the way for some microseconds.
        deadline = time.monotonic() + 0.5
        while True:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    log.close()
                    raise RunBusy(f"{run.name} is being trained: stop it first.") from None
                time.sleep(0.005)
        _drop_torn_line(log)
        return cls(run, log)

    @classmethod
    def inherit(cls, run: Run, descriptor: int) -> Self:
        """Become the writer with the open file that the parent process claimed."""
        return cls(run, os.fdopen(descriptor, "a+b", buffering=0))

    def fileno(self) -> int:
        """Return the descriptor to hand to a child process."""
        return self._log.fileno()

    def close(self) -> None:
        """Give the right up, unless a child process has it too."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare_to_train(self) -> None:
        """See that something is left to train, and forget an earlier wish to stop.

        Raises
        ------
        RunFinished
            If nothing is left to train.
        DamagedRun
            If a file of the run cannot be read.
        """
        self.run.history()
        self.run._require_whole_files()
        if self.run.status is Status.FINISHED:
            raise RunFinished(f"{self.run.name} is finished: there is nothing left to train.")
        if self.run._has_diverged:
            raise RunFinished(f"{self.run.name} would diverge again: start a new run with a smaller learning rate.")
        if self.run._has_no_checkpoint:
            raise RunFinished(
                f"{self.run.name} was imported without a checkpoint to go on from: export it with one, or start a new "
                "run."
            )
        self.run._stop_path.unlink(missing_ok=True)
        self.run.errors_path.unlink(missing_ok=True)

    def append(self, event: str, **fields: Any) -> None:
        """Add a line to the log, with the time of day. There is space for one that ends the run on a full disk, too."""
        if event == "started":
            self.run._reserve_path.write_bytes(bytes(_RESERVE_BYTES))
        elif event in _SETTLED:
            self.run._reserve_path.unlink(missing_ok=True)
        self._append({"event": event, "at": datetime.now(UTC).isoformat(), **fields})

    def append_training(self, event: Event) -> None:
        """Add what the training loop told to the log."""
        kind = "batch" if isinstance(event, BatchEvent) else "epoch"
        told = {name: value for name, value in asdict(event).items() if value is not None}
        self._append({"event": kind, **told})

    def save(self, state: TrainingState, *, weights: bool) -> None:
        """Write a checkpoint, and the weights if asked, each in place of the one before."""
        if weights:
            self.save_weights(state.model.state_dict())
        self.save_checkpoint(checkpoint_of(state))

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Write a checkpoint, as `checkpoint_of` makes it, in place of the one before."""
        os.fsync(self._log.fileno())  # after a power cut, the log must reach as far as the checkpoint
        with replacing(self.run._checkpoint_path) as unfinished:
            unfinished.write_bytes(checkpoint)

    def save_weights(self, weights: dict[str, Tensor]) -> None:
        """Write the weights in place of those before."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
        with replacing(self.run.weights_path) as unfinished:
            unfinished.write_bytes(sealed_tensors(tensors))

    def end_at_checkpoint(self, event: str, **fields: Any) -> None:
        """Add the line that ends a run whose training was cut off: what there is of it is the last checkpoint."""
        if checkpoint := self.run.load_checkpoint():
            self.save_weights(checkpoint["model"])
        self.append(event, **fields)

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        before = self._log.seek(0, os.SEEK_END)
        if self._log.write(line) < len(line):
            self._log.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def checkpoint_of(state: TrainingState) -> bytes:
    """Return the state from which training goes on as the content of a file."""
    content = io.BytesIO()
    torch.save(state.state_dict(), content)
    return content.getvalue()


def all_runs() -> list[Run]:
    """Return the runs in the lab's home, the newest first; those whose state cannot be read are left out."""
    return _runs_in(_runs_folder())[0]


def damaged_runs() -> list[DamagedRun]:
    """Return what is wrong with those that `all_runs` leaves out, the newest first."""
    return _runs_in(_runs_folder())[1]


def reference_runs() -> list[Run]:
    """Return the runs that ship with the lab."""
    return _runs_in(REFERENCE_RUNS)[0]


def adopt(files: dict[str, bytes]) -> Run:
    """Make a new run in the lab's home of files that may come from anywhere.

    Parameters
    ----------
    files
        What `Run.export` returns.

    Raises
    ------
    DamagedRun
        If one of them is missing, or not what the lab writes.
    UnfitRun
        If what they say is not of one run, or not of a network that is registered here.
    """
    folder = _runs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # Never the same place twice: what was read in a place is remembered.
    unfinished = unfinished_path(folder / f"imported-{uuid4().hex}")
    unfinished.mkdir()
    try:
        for name in EXPORTED_FILES:
            if name in files:
                (unfinished / name).write_bytes(files[name])
        run = _checked(Run(unfinished))
        _seal(run)
        _settle(run)
        return _move_in(unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _checked(run: Run) -> Run:
    """Return a run from elsewhere if all that it says can be true here.

    Raises
    ------
    DamagedRun, UnfitRun
        If it cannot.
    """
    if any(len(line) > _LONGEST_LINE for line in io.BytesIO(run._log_path.read_bytes())):
        raise DamagedRun(run._log_path)
    try:
        definition = definition_named(run.model)
    except LabError as error:
        raise UnfitRun(str(error)) from error
    if definition.source != run.source:
        raise UnfitRun(
            f"its network, {definition.title}, is written differently in this lab's cnnlab/models/definitions.py."
        )
    history = _LogReader(run._log_path).history()
    numbers = history.epochs.to_numpy(dtype=float), history.batches.to_numpy(dtype=float)
    if not all(np.isfinite(each).all() for each in numbers):
        raise DamagedRun(run._log_path)
    epochs = history.epochs["epoch"]
    if history.step > run.total_steps or not epochs.between(1, run.config.epochs).all():
        raise UnfitRun("its log is longer than its recipe allows.")
    run._last_record()
    if (weights := run.load_weights()) is not None:
        _require_fitting(weights, definition)
    if (checkpoint := run.load_checkpoint()) is not None:
        _require_checkpoint(checkpoint, definition, run, history.step)
    return run


def _require_fitting(weights: object, definition: Definition) -> None:
    """See that weights have the names, the shapes and the types of a definition's, and are numbers."""
    expected = definition.build(seed=0).state_dict()
    unfit = UnfitRun(f"its weights are not those of {definition.title}.")
    if not isinstance(weights, dict) or weights.keys() != expected.keys():
        raise unfit
    for name, tensor in weights.items():
        like = expected[name]
        if not isinstance(tensor, Tensor) or (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
            raise unfit
        if not tensor.isfinite().all():
            raise UnfitRun(f"its weights hold numbers in {name} that are infinite or none.")


def _require_checkpoint(checkpoint: Any, definition: Definition, run: Run, steps_told: int) -> None:
    """See that training can go on from a checkpoint, on another definition's network that is thrown away."""
    unfit = UnfitRun("its checkpoint is not one that its training can go on from.")
    try:
        _require_fitting(checkpoint["model"], definition)
        with torch.random.fork_rng(devices=[]):
            config = replace(run.config, device="cpu", threads=1, kernels="torch")
            state = TrainingState(definition.build(seed=0), config)
            if checkpoint["position"]["step"]:
                state.optimizer.step()  # which makes its memory
            new = state.state_dict()
            if not (
                _is_like(checkpoint["optimizer"]["state"], new["optimizer"]["state"])
                and _settings_in(checkpoint) == _settings_in(new)
                and _is_like(checkpoint["position"], new["position"])
            ):
                raise unfit
            state.load_state_dict(checkpoint)
        step = (state.epoch - 1) * run.steps_per_epoch + state.batch
        if not (state.epoch >= 1 and 0 <= state.batch <= run.steps_per_epoch and step == state.step <= steps_told):
            raise unfit
    except UnfitRun:
        raise
    except Exception as error:  # whatever a checkpoint that is none makes of the code that reads it
        raise unfit from error


def _is_like(found: Any, like: Any) -> bool:
    """Return whether two values have the same structure, names, types and shapes, and the first sound numbers."""
    if type(found) is not type(like):
        return False
    match like:
        case dict():
            return found.keys() == like.keys() and all(_is_like(found[name], like[name]) for name in like)
        case list() | tuple():
            return len(found) == len(like) and all(map(_is_like, found, like))
        case Tensor():
            is_alike = (found.shape, found.dtype, found.stride()) == (like.shape, like.dtype, like.stride())
            return is_alike and bool(found.isfinite().all())
        case float():
            return math.isfinite(found)
        case _:
            return True


def _settings_in(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an optimizer's settings, without the learning rate, which each step sets anew."""
    groups = checkpoint["optimizer"]["param_groups"]
    return [{name: group[name] for name in group.keys() - {"lr"}} for group in groups]


def _seal(run: Run) -> None:
    """Give the files of a run that an earlier version has written the sums that they lack."""
    path = run.folder / _MANIFEST
    path.write_text(json.dumps(sealed(unsealed(json.loads(path.read_text()))), indent=2) + "\n")
    if (weights := run.load_weights()) is not None:
        run.weights_path.write_bytes(sealed_tensors(weights))


def _settle(run: Run) -> None:
    """Let the log's last line say how the run ended, so that nobody trains it before a person wants it."""
    last = run._last_record() or {}
    status = _status_said_by(last.get("event"))
    is_settled = status not in (None, Status.QUEUED)
    has_begun = run.history().step > 0
    with RunWriter.claim(run) as writer:
        writer.append(
            status if is_settled and status else Status.INTERRUPTED,
            reason=last.get("reason") if is_settled else "It was exported before it ended.",
            diverged=bool(last.get("diverged")),
            without_checkpoint=has_begun and status is not Status.FINISHED and not run.has_checkpoint,
        )


def waiting_runs() -> list[Run]:
    """Return the queue: the runs that wait to be trained, first come, first served."""
    return [run for _, run in sorted(_queue(), key=lambda entry: (entry[0], entry[1].id))]


def enqueue_all(runs: Iterable[Run]) -> list[LabError]:
    """Put runs at the end of the queue, in this order, and return why some, as `Run.enqueue` has it, are not there."""
    refusals: list[LabError] = []
    # Not by the time of day, which can be set back.
    last_place = max((place for place, _ in _queue()), default=0)
    with writing_to_home():
        for place, run in enumerate(runs, start=last_place + 1):
            try:
                with RunWriter.claim(run) as writer:
                    writer.prepare_to_train()
                    if run._last_event() != "queued":
                        writer.append("queued", place=place)
            except (RunBusy, RunFinished, DamagedRun, NoSuchRun) as refusal:
                refusals.append(refusal)
    return refusals


def _queue() -> list[tuple[int, Run]]:
    """Return the runs that wait, each with its place."""
    last_records = [(run._last_record(), run) for run in all_runs()]
    return [(record.get("place", 0), run) for record, run in last_records if record and record["event"] == "queued"]


def remove_leftovers() -> None:
    """Remove what processes that were killed had not finished writing."""
    for folder in (home(), _runs_folder(), *(_runs_folder() / run_id for run_id in _run_ids(_runs_folder()))):
        remove_unfinished(folder)


def find_run(run_id: str) -> Run:
    """Return the run with an identifier, from the lab's home or from those that ship with it.

    Raises
    ------
    NoSuchRun
        If there is none.
    DamagedRun
        If it cannot be read.
    """
    for folder in (_runs_folder(), REFERENCE_RUNS):
        if run_id in _run_ids(folder):
            return _readable_run(folder / run_id)
    asked = run_id if len(run_id) <= _LONGEST_SHOWN else f"{run_id[:_LONGEST_SHOWN]}…"
    raise NoSuchRun(f"There is no run {asked!r} here. It may have been deleted, or belong to another lab's home.")


def checked_name(name: str) -> str:
    """Return a name for a run, without the space around it.

    Raises
    ------
    InvalidName
        If nothing is left, it is too long, or it has a character that cannot be shown.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or as_line(name) != name:
        raise InvalidName(
            f"A run's name is one line of 1 to {MAX_NAME_LENGTH} characters that can be printed; this one has "
            f"{len(name):,}, or one that cannot be."
        )
    return name


def as_line(text: str) -> str:
    """Return a text in which a sign (\ufffd) stands for each character that has no place in a line."""
    return "".join(sign if sign.isprintable() or sign == _JOINER else "\ufffd" for sign in text)


# Of emoji: a family is made of persons.
_JOINER = "\u200d"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{3}|reference-[a-z]+")
# What a file system takes for the longest line that tells how a run ended.
_RESERVE_BYTES = 16_384
# A loss of more could not be squared; no step, and no time, comes near.
_GREATEST = 1e150


def _runs_folder() -> Path:
    return home() / "runs"


def _runs_in(folder: Path) -> tuple[list[Run], list[DamagedRun]]:
    runs, damages = [], []
    for run_id in sorted(_run_ids(folder), reverse=True):
        try:
            runs.append(_readable_run(folder / run_id))
        except DamagedRun as damage:
            damages.append(damage)
        except NoSuchRun:  # deleted by another process just now
            continue
    return runs, damages


def _move_in(unfinished: Path) -> Run:
    """Give a run's folder its place among the others, under an identifier that is greater than theirs."""
    folder = unfinished.parent
    while True:
        target = folder / identifier_after(_run_ids(folder))
        try:
            unfinished.rename(target)
            return Run(target)
        except OSError:  # another process took the identifier
            if not target.exists():
                raise


def _readable_run(folder: Path) -> Run:
    """Return a run whose manifest and state can be read."""
    path = folder / _MANIFEST
    try:
        manifest = path.stat()
    except OSError as error:
        raise DamagedRun(path) from error
    run = _open_run(folder, manifest.st_size, manifest.st_mtime_ns)
    try:
        run.name_path.stat()
        run._last_record()
    except (FileNotFoundError, NoSuchRun) as error:
        if folder.exists():
            raise DamagedRun(run._log_path if run.name_path.exists() else run.name_path) from error
        raise run._gone() from error
    return run


def _run_ids(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if _ID.fullmatch(name)}
    except OSError:
        return set()


_SETTLED = {Status.QUEUED, Status.STOPPED, Status.INTERRUPTED, Status.FAILED, Status.FINISHED}


def _status_said_by(event: str | None) -> Status | None:
    """Return the status that a log's last event settles alone; the others leave it to the lock."""
    return Status(event) if event in _SETTLED else None


def _read_whole(path: Path, is_whole: Callable[[bytes], bool]) -> bytes | None:
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


def _require_whole(path: Path, is_whole: Callable[[bytes], bool]) -> None:
    with suppress(FileNotFoundError):
        file = path.stat()
        if not _was_whole(path, is_whole, file.st_size, file.st_mtime_ns):
            raise DamagedRun(path)


@lru_cache(maxsize=16_384)
def _was_whole(path: Path, is_whole: Callable[[bytes], bool], _size: int, _modified: int) -> bool:
    with suppress(DamagedRun):
        _read_whole(path, is_whole)
        return True
    return False


@lru_cache(maxsize=16_384)
def _epochs_in(log_path: Path, _size: int, _modified: int) -> tuple[EpochEvent, ...]:
    return _log_reader(log_path).epochs()


@lru_cache(maxsize=16_384)
def _last_record(log_path: Path, _size: int, _modified: int) -> dict[str, Any] | None:
    with log_path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        span = 4096
        while True:
            log.seek(max(0, size - span))
            lines = log.read().split(b"\n")
            # The first piece may be the end of a longer line, the last one is what is still being written.
            whole = lines[1:-1] if span < size else lines[:-1]
            if whole:
                return _record_of(whole[-1], log_path)
            if span >= size:
                return None
            span *= 4


def _record_of(line: bytes, log_path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record["event"], str):
            return record
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedRun(log_path) from error
    raise DamagedRun(log_path)


def _drop_torn_line(log: BinaryIO) -> None:
    """Cut off what a writer that died left of its last line."""
    size = log.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 4096)
        log.seek(start)
        newline = log.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        log.truncate(end)


class _LogReader:
    """Follows a log: what was read once is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self._steps, self._losses, self._seconds = array("q"), array("d"), array("d")
        self._epochs: dict[int, EpochEvent] = {}
        self._epochs_told: tuple[EpochEvent, ...] = ()
        self._starts: list[int] = []
        self._reason: str | None = None
        self._kernels: str | None = None
        self._kernels_reason: str | None = None
        self._history: History | None = None  # of all that was read, until there is more

    def history(self) -> History:
        with self._lock:
            self._read_on()
            if self._history is None:
                batches = pd.DataFrame(
                    {"step": np.array(self._steps), "loss": np.array(self._losses), "seconds": np.array(self._seconds)}
                )
                epochs = pd.DataFrame(list(self._epochs.values()), columns=list(EpochEvent.__dataclass_fields__))
                if epochs["validation_accuracy"].isna().all():
                    epochs = epochs.drop(columns=["validation_loss", "validation_accuracy"])
                self._history = History(
                    batches, epochs, list(self._starts), self._reason, self._kernels, self._kernels_reason
                )
            return self._history

    def epochs(self) -> tuple[EpochEvent, ...]:
        with self._lock:
            self._read_on()
            epochs = tuple(self._epochs.values())
            if epochs != self._epochs_told:  # else the same object: who keeps it for each length of the log keeps one
                self._epochs_told = epochs
            return self._epochs_told

    def _read_on(self) -> None:
        with self._path.open("rb") as log:
            if log.seek(0, os.SEEK_END) < self._offset:
                self._begin()  # somebody put an older log in its place
            log.seek(self._offset)
            text = log.read()
        if end := text.rfind(b"\n") + 1:  # a line that is still being written is left for the next time
            self._history = None
        self._offset += end
        try:
            for line in io.BytesIO(text[:end]):
                self._take(_record_of(line, self._path))
        except (DamagedRun, KeyError, TypeError, ValueError, OverflowError) as error:
            self._begin()
            raise DamagedRun(self._path) from error

    def _take(self, record: dict[str, Any]) -> None:
        match record.pop("event"):
            case "batch":
                _require_numbers(record["step"], record["loss"], record["seconds"])
                if self._steps and record["step"] <= self._steps[-1]:
                    raise ValueError("A step is told twice.")
                self._steps.append(record["step"])
                self._losses.append(record["loss"])
                self._seconds.append(record["seconds"])
            case "epoch":
                _require_numbers(*record.values())
                epoch = EpochEvent(**record)
                # The same one again, where training went on between an epoch's last step and its end.
                if self._epochs and (epoch.epoch, epoch.step) < (self._last_epoch().epoch, self._last_epoch().step):
                    raise ValueError("Epochs are told in their order.")
                if not (epoch.test_accuracy <= 1 and (epoch.validation_accuracy or 0) <= 1):
                    raise ValueError("An accuracy lies between 0 and 1.")
                self._epochs[epoch.epoch] = epoch
            case "started":
                _require_numbers(record["step"])
                self._forget_after(record["step"])
                self._starts.append(record["step"])
                self._reason = None
                self._kernels, self._kernels_reason = _text(record, "kernels"), _text(record, "kernels_reason")
            case _:
                self._reason = _text(record, "reason")

    def _forget_after(self, step: int) -> None:
        """Drop what came after the checkpoint from which a worker went on: it is trained again."""
        kept = bisect_right(self._steps, step)
        for column in (self._steps, self._losses, self._seconds):
            del column[kept:]
        while self._epochs and self._last_epoch().step > step:
            self._epochs.popitem()

    def _last_epoch(self) -> EpochEvent:
        return next(reversed(self._epochs.values()))


def _require_numbers(*numbers: object) -> None:
    """See that all are numbers as a log has them: none is negative, and each is one that a computer counts with."""
    for number in numbers:
        # Not isinstance: True is none.
        if not (type(number) is int or type(number) is float) or not 0 <= number <= _GREATEST:
            raise ValueError("A log has numbers from 0 on.")


def _text(record: dict[str, Any], name: str) -> str | None:
    text = record.get(name)
    if not (text is None or isinstance(text, str)):
        raise TypeError("Why something happened is told in words.")
    return text and text.encode(errors="replace").decode()


@lru_cache(maxsize=16_384)
def _open_run(folder: Path, _size: int, _modified: int) -> Run:
    return Run(folder)


@lru_cache(maxsize=256)
def _log_reader(path: Path) -> _LogReader:
    return _LogReader(path)
