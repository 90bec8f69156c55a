"""The right to write a run, which one process has at a time."""

import errno
import io
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, Self

import torch
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.models.definitions import UnknownDefinition
from cnnlab.models.sources import definition_of
from cnnlab.runs.folder import COMMON_FORMAT, DamagedRun, unreadable
from cnnlab.runs.log import Line, Status, drop_torn_line, line_of, status_said_by, training_line
from cnnlab.runs.record import Record
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.storage.checksums import sealed_tensors
from cnnlab.storage.files import replacing, unfinished_path
from cnnlab.storage.locks import try_lock
from cnnlab.training.events import Event
from cnnlab.training.state import TrainingState


class RunBusy(LabError):
    """Another process writes this run."""


class RunFinished(LabError):
    """The run has nothing left to train."""


class CannotGoOn(LabError):
    """What a run needs in order to go on as it began is not here."""


class RunWriter(Record):
    """The right to write a run, held by one process at a time.

    The right is an exclusive lock on the log, and belongs to the open file: it can be handed to a child process with
    the file's descriptor, and ends with the last process that has it open, however that ends.
    """

    def __init__(self, run: Run, log: BinaryIO) -> None:
        self.run = run
        self._log = log

    @classmethod
    def claim(cls, run: Run) -> Self:
        """Claim the right to write a run.

        Raises
        ------
        RunBusy
            If the run has one.
        """
        try:
            log = run.log_path.open("a+b", buffering=0)
        except FileNotFoundError as error:
            raise run.gone() from error
        except IsADirectoryError as error:
            raise unreadable(run.log_path, error) from error
        if not try_lock(log, _PATIENCE_SECONDS):
            log.close()
            raise RunBusy(f"{run.name} is being trained: stop it first.")
        drop_torn_line(log)
        return cls(run, log)

    @classmethod
    def inherit(cls, run: Run, descriptor: int) -> Self:
        """Take over the right to write from the parent process, with its open file."""
        return cls(run, os.fdopen(descriptor, "a+b", buffering=0))

    def fileno(self) -> int:
        """Return the descriptor to hand to a child process."""
        return self._log.fileno()

    def close(self) -> None:
        """Release the lock, unless a child process holds it too."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare_to_train(self) -> None:
        """Check that something is left to train, and drop an earlier request to stop.

        Raises
        ------
        RunFinished
            If nothing is left to train.
        CannotGoOn
            If its network is another one now, or its checkpoint is gone.
        UnreadableRun
            If a file of the run cannot be read, or is another run's.
        """
        history = self.run.history()
        self.run.require_whole_files()
        if self.run.status is Status.FINISHED:
            raise RunFinished(f"{self.run.name} is finished: there is nothing left to train.")
        if self.run.has_diverged:
            raise RunFinished(f"{self.run.name} would diverge again: start a new run with a smaller learning rate.")
        if self.run.has_no_checkpoint:
            raise RunFinished(
                f"{self.run.name} was imported without a checkpoint to go on from: export it with one, or start a new "
                "run."
            )
        require_same_network(self.run)
        self.run.load_start()
        self.run.read_weights()
        if checkpoint := self.run.load_checkpoint():
            if checkpoint["position"]["step"] > history.step:
                raise DamagedRun(self.run.checkpoint_path, "is of a later step than the log's last")
        elif history.had_checkpoint:
            raise CannotGoOn(
                f"{self.run.name} cannot go on: its {self.run.checkpoint_path} is gone. Put the file back from a copy, "
                "or start a new run. Its weights and its losses are kept."
            )
        self.run.stop_path.unlink(missing_ok=True)
        self.run.learning_rate_path.unlink(missing_ok=True)
        self.run.errors_path.unlink(missing_ok=True)

    def append(self, event: str, **fields: Any) -> None:
        """Add a line to the log, with the time of day. There is space for one that ends the run on a full disk, too."""
        if event == Line.STARTED:
            fields["format"] = COMMON_FORMAT
            self.run.reserve_path.write_bytes(bytes(_RESERVE_BYTES))
        elif status_said_by(event):
            self.run.reserve_path.unlink(missing_ok=True)
        self._append({"event": event, "at": datetime.now(UTC).isoformat(), **fields})

    def append_training(self, event: Event) -> None:
        """Log an event of the training loop."""
        self._append(training_line(event))

    def save(self, state: TrainingState, *, weights: bool) -> None:
        """Write a checkpoint, and the weights if asked, each in place of the one before."""
        if weights:
            self.save_weights(state.model.state_dict(), state.step)
        self.save_checkpoint(checkpoint_of(state, self.run.identity))

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Write a checkpoint, as `checkpoint_of` makes it, in place of the one before."""
        os.fsync(self._log.fileno())  # after a power cut, the log must reach as far as the checkpoint
        is_first = not self.run.has_checkpoint
        with replacing(self.run.checkpoint_path) as unfinished:
            unfinished.write_bytes(checkpoint)
        if is_first:
            self.append(Line.CHECKPOINT)

    def save_weights(self, weights: dict[str, Tensor], step: int | None = None) -> None:
        """Write the weights, which are those after a step, in place of those before."""
        with replacing(self.run.weights_path) as unfinished:
            unfinished.write_bytes(self._sealed(weights, step))

    def save_snapshot(self, weights: dict[str, Tensor], step: int) -> None:
        """Write the weights after a step beside those after others; on a full disk, go without them."""
        path = self.run.snapshot_path(step)
        unfinished = unfinished_path(self.run.folder / path.name)
        with suppress(OSError):  # a film is not worth a run
            try:
                path.parent.mkdir(exist_ok=True)
                # Nothing waits for the disk: one that a power cut has torn does not match its sum, and is left out.
                unfinished.write_bytes(self._sealed(weights, step))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

    def drop_snapshots_after(self, step: int) -> None:
        """Remove the snapshots of later steps."""
        for later in kept_steps(self.run):
            if later > step:
                self.run.snapshot_path(later).unlink(missing_ok=True)

    def _sealed(self, weights: dict[str, Tensor], step: int | None) -> bytes:
        tensors = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
        origin = {"run": self.run.identity} | ({"step": str(step)} if step is not None else {})
        return sealed_tensors(tensors, **origin)

    def go_back_to_checkpoint(self) -> None:
        """Write the weights of the last checkpoint: that is what there is of a run whose training was cut off."""
        if checkpoint := self.run.load_checkpoint():
            self.save_weights(checkpoint["model"], checkpoint["position"]["step"])

    def _append(self, record: dict[str, Any]) -> None:
        line = line_of(record)
        before = self._log.seek(0, os.SEEK_END)
        if self._log.write(line) < len(line):
            self._log.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def checkpoint_of(state: TrainingState, identity: str) -> bytes:
    """Serialize a training state as the content of a checkpoint file of the run with an identity."""
    content = io.BytesIO()
    torch.save({**state.state_dict(), "run": identity}, content)
    return content.getvalue()


def require_same_network(run: Run) -> None:
    """Check that a run's network is still written as it was when the run was made.

    Raises
    ------
    CannotGoOn
        If it is not, or is not registered any more.
    """
    try:
        definition_of(run.model, run.source)
    except UnknownDefinition as error:
        raise CannotGoOn(
            f"{run.name} cannot be trained: {error}. Put its source back (the run's training script has it), or start "
            "a new run."
        ) from error


# What a file system takes for the longest line that tells how a run ended.
_RESERVE_BYTES = 16_384
_PATIENCE_SECONDS = 0.5
