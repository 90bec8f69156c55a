"""A run on disk, as `cnnlab.runs.folder` says where its files are.

run.json, weights.safetensors and each line of events.jsonl hold a sum of what else is in them, and checkpoint.pt, a zip
archive, has one for each of its parts. Weights and checkpoint say which run they are of, and of which step. A file that
does not match its sum, or is another run's, is never used, and never written over.

A run has one writer at a time: whoever holds the exclusive lock on the log. Its status is read off the log's last line
and that lock, and is stored nowhere. A reader that looks for a writer shares the lock for some microseconds; nothing
else that readers do is in a writer's way.
"""

import io
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.fine_tuning.start import FineTuning, Start
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.models.sources import definition_of
from cnnlab.runs.folder import (
    DamagedRun,
    UnreadableRun,
    maker_of,
    read_whole,
    require_readable_format,
    require_whole,
    unreadable,
)
from cnnlab.runs.log import (
    History,
    Line,
    Status,
    epochs_in,
    last_record_in,
    learning_rates_in,
    log_reader,
    status_said_by,
    threads_told_in,
)
from cnnlab.runs.names import NamedFolder
from cnnlab.storage.checksums import is_whole_tensors, is_whole_zip, origin_of, sum_of, unsealed
from cnnlab.storage.locks import is_locked
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

# Where it differs from the default of today.
_BEFORE_THERE_WAS_A_SETTING = {"kernels": "torch"}


class Run(NamedFolder):
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
    snapshots
        How many snapshots of its weights it keeps while it trains, at most; None where an earlier version made it.
    sweep_id
        The sweep that the run was made for, or None; runs of earlier versions do not say.
    fine_tuning
        Of which run it was made, and with whose digits; None where it begins with random weights, as most do.
    made_by
        The name of whoever made it; None where nobody said who he is.
    identity
        The sum of ``run.json``, which no other run has; an exported run keeps it.

    Raises
    ------
    UnreadableRun
        If the folder's ``run.json`` cannot be read, or its name or its log is missing.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            manifest = unsealed(json.loads(self.manifest_path.read_text(encoding="utf-8")))
            require_readable_format(manifest, self.manifest_path)
            self.identity = sum_of(manifest)
            self.model: str = manifest["model"]
            self.config = TrainingConfig(**self._as_trained(manifest["config"]))
            self.source: str = manifest["source"]
            self.sweep_id: str | None = manifest.get("sweep")
            self.snapshots: int | None = manifest.get("snapshots")
            told = manifest.get("fine_tuning")
            self.fine_tuning = None if told is None else FineTuning.from_record(told)
            self.created = datetime.fromisoformat(manifest["created"])
            if not (isinstance(self.model, str) and isinstance(self.source, str) and self.created.tzinfo):
                raise ValueError("A run has the name and the source of a network, and a moment in a time zone.")
            if not (self.snapshots is None or type(self.snapshots) is int):
                raise ValueError("A run has a number of snapshots.")
        except OSError as error:
            raise unreadable(self.manifest_path, error) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedRun(self.manifest_path) from error
        for path in (self.name_path, self.log_path):
            if not path.exists():
                raise DamagedRun(path)
        self.made_by = maker_of(folder)

    def _as_trained(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe, with what an earlier version of the lab did where it kept no setting for it."""
        with suppress(OSError):
            if "threads" not in config and (threads := threads_told_in(self.log_path)):
                config = {**config, "threads": threads}
        return {**_BEFORE_THERE_WAS_A_SETTING, **config}

    @property
    def title(self) -> str:
        """What the pages call the definition; its name, if it is not registered any more."""
        registered = DEFINITIONS.get(self.model)
        return registered.title if registered else self.model

    @property
    def definition(self) -> Definition:
        """The network that the run trains: the registered one, if it is written so, else what its source says.

        Raises
        ------
        UnknownDefinition
            If it is written otherwise, and the source cannot be read.
        """
        return definition_of(self.model, self.source)

    @property
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return self.config.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """How many steps the whole run has."""
        return self.config.total_steps

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
        with self.changing():
            self.stop_path.touch()

    @property
    def stop_requested(self) -> bool:
        """Whether somebody wants the run to stop."""
        return self.stop_path.exists()

    @property
    def takes_wishes(self) -> bool:
        """Whether its learning rate may be changed while it trains: the runs of a sweep keep their recipes."""
        return self.sweep_id is None

    @property
    def learning_rates(self) -> dict[int, float]:
        """The learning rates that were set while it trained, by the steps from which they hold, in order."""
        with self.existing():
            log = self.log_path.stat()
            return dict(learning_rates_in(self.log_path, log.st_size, log.st_mtime_ns))

    def damage(self) -> UnreadableRun | None:
        """Return an error if one of the run's files cannot be read, else None.

        Files that were looked at before are looked at again only when they have changed.
        """
        try:
            self.last_epoch()
            if not self.status.is_active:
                self.require_whole_files()
        except UnreadableRun as damage:
            return damage
        return None

    def require_whole_files(self) -> None:
        if self.fine_tuning:
            require_whole(self.start_path, self.fine_tuning.is_of)
        require_whole(self.weights_path, is_whole_tensors)
        require_whole(self.checkpoint_path, is_whole_zip)

    def load_start(self) -> Start | None:
        """Return what a fine-tuned run begins with; None for one that begins with random weights.

        Raises
        ------
        UnreadableRun
            If it cannot be read, or is another run's.
        """
        if (content := self.read_start()) is None:
            return None
        try:
            return Start.from_bytes(content)
        except (ValueError, LabError) as error:
            raise DamagedRun(self.start_path) from error

    def read_start(self) -> bytes | None:
        """Return the bytes of the file that `load_start` reads.

        Raises
        ------
        UnreadableRun
            If it cannot be read, or is another run's.
        """
        if self.fine_tuning is None:
            return None
        if (content := read_whole(self.start_path, self.fine_tuning.is_of)) is None:
            raise DamagedRun(self.start_path, "is gone")
        return content

    def load_weights(self) -> dict[str, Tensor] | None:
        """Return the newest weights as a ``state_dict`` on the CPU, or None before the first epoch has ended.

        Raises
        ------
        UnreadableRun
            If they cannot be read, or are another run's.
        """
        weights = self.read_weights()
        return load(weights) if weights is not None else None

    def read_weights(self) -> bytes | None:
        """Return the bytes of the newest weights' file, or None before the first epoch has ended.

        Raises
        ------
        UnreadableRun
            If it cannot be read, or is another run's.
        """
        content = read_whole(self.weights_path, is_whole_tensors)
        if content is not None:
            origin = origin_of(content)
            self._require_own(self.weights_path, origin.get("run"))
            last_step = str(self.total_steps)
            if self.last_event() == Status.FINISHED and (step := origin.get("step", last_step)) != last_step:
                raise DamagedRun(self.weights_path, f"holds the weights after step {step}, and not the last ones")
        return content

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the checkpoint, as `TrainingState.state_dict` made it, or None.

        Raises
        ------
        UnreadableRun
            If it cannot be read, or is another run's.
        """
        content = self.read_checkpoint()
        return self._checkpoint_in(content) if content is not None else None

    def weights_in(self, checkpoint: bytes) -> dict[str, Tensor]:
        """Return the weights that a checkpoint's file holds, as a ``state_dict`` on the CPU.

        Raises
        ------
        UnreadableRun
            If they cannot be read, or are another run's.
        """
        weights: dict[str, Tensor] = self._checkpoint_in(checkpoint)["model"]
        return weights

    def _checkpoint_in(self, content: bytes) -> dict[str, Any]:
        try:
            checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            run = checkpoint.get("run")
        except Exception as error:  # PyTorch raises whatever a damaged file makes of its reader
            raise DamagedRun(self.checkpoint_path) from error
        self._require_own(self.checkpoint_path, run)
        return checkpoint

    def _require_own(self, path: Path, identity: str | None) -> None:
        if identity not in (None, self.identity):  # earlier versions of the lab did not say whose a file is
            raise DamagedRun(path, "is another run's")

    def read_checkpoint(self) -> bytes | None:
        """Return the bytes of the checkpoint's file, or None.

        Raises
        ------
        UnreadableRun
            If it cannot be read.
        """
        return read_whole(self.checkpoint_path, is_whole_zip)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has a checkpoint."""
        return self.checkpoint_path.exists()

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
