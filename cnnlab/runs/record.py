"""What comes of a run, from whoever trains it to wherever it is kept."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from cnnlab.runs.log import Line, Status
from cnnlab.training.events import Event
from cnnlab.training.state import TrainingState


class Record(ABC):
    """What comes of a run: the lines of its log, its checkpoints and its weights. A subclass decides where they go."""

    @abstractmethod
    def append(self, event: str, **fields: Any) -> None:
        """Put a line into the log."""

    def queued(self, place: int) -> None:
        """Say that the run waits, at a place in the queue."""
        self.append(Status.QUEUED, place=place)

    def starting(self) -> None:
        """Say that a worker has the run, and gets ready."""
        self.append(Line.STARTING)

    def started(self, *, step: int, **circumstances: Any) -> None:
        """Say that training begins or goes on after a step, and on what."""
        self.append(Line.STARTED, step=step, **circumstances)

    def learning_rate_set(self, *, step: int, learning_rate: float) -> None:
        """Say that another learning rate holds from a step on, counted from 1."""
        self.append(Line.LEARNING_RATE, step=step, learning_rate=learning_rate)

    def stopped(self) -> None:
        """Say that a person has stopped the run."""
        self.append(Status.STOPPED)

    def interrupted(self, reason: str) -> None:
        """Say that the run was cut off, by a crash or the end of the server."""
        self.append(Status.INTERRUPTED, reason=reason)

    def failed(self, reason: str, *, diverged: bool = False) -> None:
        """Say that the run cannot go on; one that has diverged would do so again."""
        self.append(Status.FAILED, reason=reason, diverged=diverged)

    def finished(self) -> None:
        """Say that the run has trained to its end."""
        self.append(Status.FINISHED)

    @abstractmethod
    def append_training(self, event: Event) -> None:
        """Put what the training loop has told into the log."""

    @abstractmethod
    def save(self, state: TrainingState, *, weights: bool) -> None:
        """Keep a checkpoint, and the weights if asked, each in place of the one before."""

    @abstractmethod
    def save_weights(self, weights: dict[str, Tensor], step: int | None = None) -> None:
        """Keep the weights, which are those after a step, in place of those before."""

    @abstractmethod
    def save_snapshot(self, weights: dict[str, Tensor], step: int) -> None:
        """Keep the weights after a step beside those after others, if that can be done."""

    @abstractmethod
    def drop_snapshots_after(self, step: int) -> None:
        """Let go of the snapshots of later steps."""
