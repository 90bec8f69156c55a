"""The right to write a run, which one process has at a time."""

import errno
import io
import json
import os
from datetime import UTC, datetime
from typing import Any, BinaryIO, Self

import torch
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.runs.log import Line, Record, Status, drop_torn_line, status_said_by, training_line
from cnnlab.runs.run import Run
from cnnlab.storage.checksums import sealed_tensors
from cnnlab.storage.files import replacing
from cnnlab.storage.locks import try_lock
from cnnlab.training.events import Event
from cnnlab.training.state import TrainingState


class RunBusy(LabError):
    """Another process writes this run."""


class RunFinished(LabError):
    """The run has nothing left to train."""


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
        DamagedRun
            If a file of the run cannot be read.
        """
        self.run.history()
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
        self.run.stop_path.unlink(missing_ok=True)
        self.run.errors_path.unlink(missing_ok=True)

    def append(self, event: str, **fields: Any) -> None:
        """Add a line to the log, with the time of day. There is space for one that ends the run on a full disk, too."""
        if event == Line.STARTED:
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
            self.save_weights(state.model.state_dict())
        self.save_checkpoint(checkpoint_of(state))

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Write a checkpoint, as `checkpoint_of` makes it, in place of the one before."""
        os.fsync(self._log.fileno())  # after a power cut, the log must reach as far as the checkpoint
        with replacing(self.run.checkpoint_path) as unfinished:
            unfinished.write_bytes(checkpoint)

    def save_weights(self, weights: dict[str, Tensor]) -> None:
        """Write the weights in place of those before."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
        with replacing(self.run.weights_path) as unfinished:
            unfinished.write_bytes(sealed_tensors(tensors))

    def go_back_to_checkpoint(self) -> None:
        """Write the weights of the last checkpoint: that is what there is of a run whose training was cut off."""
        if checkpoint := self.run.load_checkpoint():
            self.save_weights(checkpoint["model"])

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        before = self._log.seek(0, os.SEEK_END)
        if self._log.write(line) < len(line):
            self._log.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def checkpoint_of(state: TrainingState) -> bytes:
    """Serialize a training state as the content of a checkpoint file."""
    content = io.BytesIO()
    torch.save(state.state_dict(), content)
    return content.getvalue()


# What a file system takes for the longest line that tells how a run ended.
_RESERVE_BYTES = 16_384
_PATIENCE_SECONDS = 0.5
