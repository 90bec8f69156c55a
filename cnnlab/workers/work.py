"""Trains one run: iterates the training loop and records its events.

A worker, the command line and a machine of a cluster all iterate `work`.
"""

import io
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import torch

from cnnlab.data import mnist as data
from cnnlab.data.mnist import MNIST, DataError
from cnnlab.drawing.pen import PenData, load_pen_data
from cnnlab.errors import LabError, NotEnoughMemory, is_memory_error
from cnnlab.fine_tuning.start import Start
from cnnlab.models.definitions import UnknownDefinition
from cnnlab.models.sources import definition_of
from cnnlab.runs.record import Record
from cnnlab.runs.run import Run
from cnnlab.storage.home import writing_to_home
from cnnlab.training.events import EpochEvent, Event
from cnnlab.training.loop import Diverged, train
from cnnlab.training.optimizers import MOST_CHANGES, with_change
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import Team, TrainingState
from cnnlab.workers.snapshots import Snapshots

# How much training a crash may cost.
CHECKPOINT_SECONDS = 1.0


class NetworkFault(LabError):
    """A network's code, or the lab's, raised an unexpected exception."""


class OtherNetwork(LabError):
    """A machine has another network by the name of a run's."""


class Interrupted(LabError):
    """Something that a run needs in order to train is gone; the run itself is sound."""


class Assignment(Protocol):
    """What to train: a `Run`, or an `Order` on another machine."""

    @property
    def identity(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def config(self) -> TrainingConfig: ...
    @property
    def stop_requested(self) -> bool: ...
    @property
    def learning_rates(self) -> dict[int, float]: ...
    @property
    def wished_learning_rate(self) -> float | None: ...
    @property
    def takes_wishes(self) -> bool: ...
    @property
    def snapshots(self) -> int | None: ...
    def load_start(self) -> Start | None: ...
    def load_checkpoint(self) -> dict[str, Any] | None: ...


class Order:
    """A run's network, recipe and checkpoint, for a process that cannot read its folder."""

    stop_requested = False
    wished_learning_rate = None
    takes_wishes = False

    def __init__(self, run: Run) -> None:
        self.learning_rates = run.learning_rates
        self.identity = run.identity
        self.model = run.model
        self.source = run.source
        self.config = run.config
        self.snapshots = run.snapshots
        self._start = run.load_start()
        self._checkpoint = run.read_checkpoint()

    def load_start(self) -> Start | None:
        """Return what a fine-tuned run begins with; None for any other."""
        return self._start

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the state from which training goes on, or None."""
        if self._checkpoint is None:
            return None
        return torch.load(io.BytesIO(self._checkpoint), map_location="cpu", weights_only=True)


def work(
    run: Assignment,
    writer: Record,
    is_abandoned: Callable[[], bool] = lambda: False,
    mnist: MNIST | None = None,
    team: Team | None = None,
) -> Iterator[Event]:
    """Train a run from its checkpoint, if it has one, and record the results.

    Parameters
    ----------
    run
        The run. Its status when this ends tells how it went.
    writer
        The right to write it.
    is_abandoned
        Asked after every batch; a run that is abandoned ends as interrupted.
    mnist
        Loaded if left out.
    team
        The processes that train the run together with this one.

    Yields
    ------
    Event
        What the training loop tells, once it is in the log.

    Raises
    ------
    LabError
        What ended the run as failed, once the log says so.
    """
    try:
        with writing_to_home():
            yield from _train(run, writer, is_abandoned, mnist, team)
    except LabError as error:
        log_failure(writer, error, diverged=isinstance(error, Diverged))
        raise
    except Exception as error:  # a registered network is anybody's code
        if team and team.has_lost_one(error):
            reason = "A process that trained it together with this one is gone."
            writer.interrupted(reason)
            raise Interrupted(reason) from error
        traceback.print_exc()
        fault: LabError = NetworkFault(f"The network or the lab has a fault: {type(error).__name__}: {error}.")
        if is_memory_error(error):
            fault = NotEnoughMemory(
                f"There is not enough memory for a batch of {run.config.batch_size:,} images: close other programs, or "
                "start a new run with a smaller batch size."
            )
        log_failure(writer, fault)
        raise fault from error


def log_failure(writer: Record, error: LabError, *, diverged: bool = False) -> None:
    """Log that a run failed, and why."""
    with suppress(OSError):  # where the log cannot be written, the raised error must tell
        writer.failed(str(error), diverged=diverged)


def _train(
    run: Assignment, writer: Record, is_abandoned: Callable[[], bool], mnist: MNIST | None, team: Team | None
) -> Iterator[Event]:
    flushes = flush_denormal()
    try:
        definition = definition_of(run.model, run.source)
    except UnknownDefinition as error:
        raise OtherNetwork(f"{error}. Give this machine the lab's files of the one that began the run.") from error
    model = definition.build(run.config.seed)
    start = run.load_start()
    if start:
        model.load_state_dict(start.weights)
    state = TrainingState(model, run.config, team)
    if checkpoint := run.load_checkpoint():
        state.load_state_dict(checkpoint)
    mnist = mnist or data.load(train_images_as_bytes=True)
    pen = _pen_data_for(run.config, start)
    writer.started(
        step=state.step,
        process=os.getpid(),
        device=str(state.device),
        threads=run.config.threads,
        kernels=state.kernels,
        kernels_reason=state.kernels_reason,
        flush_denormal=flushes,
        takes_wishes=run.takes_wishes,
        torch=torch.__version__,
    )
    snapshots = Snapshots(run.snapshots or 0, run.config, state)
    writer.drop_snapshots_after(state.step)  # of steps that will be taken again
    snapshots.take_if_due(writer)
    saved = time.monotonic()
    learning_rates = run.learning_rates
    try:
        for event in train(model, mnist, run.config, state, pen, learning_rates):
            writer.append_training(event)
            if event.step < state.step:  # more steps are done than logged: a checkpoint would skip some
                yield event
                continue
            snapshots.take_if_due(writer)
            is_epoch = isinstance(event, EpochEvent)
            if is_epoch or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                writer.save(state, weights=is_epoch)
                saved = time.monotonic()
            yield event
            if state.epoch > run.config.epochs:
                break
            if state.step < run.config.total_steps:
                _grant_learning_rate(run, writer, learning_rates, next_step=state.step + 1)
            if run.stop_requested:
                writer.save(state, weights=True)
                writer.stopped()
                return
            if is_abandoned():
                writer.save(state, weights=True)
                writer.interrupted("The dashboard that trained it was closed.")
                return
    except LabError:
        writer.save_weights(model.state_dict(), state.step)  # training has put the last good ones back
        writer.drop_snapshots_after(state.step)
        raise
    writer.finished()


def _grant_learning_rate(run: Assignment, writer: Record, learning_rates: dict[int, float], next_step: int) -> None:
    """Let the learning rate that somebody has asked for hold from the next step on, and log it.

    What was granted last is not granted again: a run that went back to a checkpoint takes the same steps again.
    """
    wished = run.wished_learning_rate
    if wished is None or wished == next(reversed(learning_rates.values()), run.config.learning_rate):
        return
    if len(learning_rates) >= MOST_CHANGES:
        return
    writer.learning_rate_set(step=next_step, learning_rate=wished)
    changed = with_change(learning_rates, next_step, wished)
    learning_rates.clear()
    learning_rates.update(changed)


def _pen_data_for(config: TrainingConfig, start: Start | None) -> PenData | None:
    """Return the pen digits, in a fine-tuned run with one's own.

    None where they cannot be read and are only tested on, so that MNIST still trains.
    """
    try:
        return load_pen_data(with_training=config.has_pen_digits, own_digits=start.own_digits if start else ())
    except DataError:
        if config.has_pen_digits:
            raise
        return None


def flush_denormal() -> bool:
    """Flush subnormal numbers, below 1e-38, to 0, and return whether this processor can.

    The momentum of a weight without gradient fades to such numbers, with which it computes at half its speed. OpenMP's
    threads take the setting over when they are made, which the first large operation does.
    """
    return torch.set_flush_denormal(True)
