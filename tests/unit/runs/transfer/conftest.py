"""Runs to take along."""

import pytest
from archives import CONFIG

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.state import TrainingState


@pytest.fixture
def run():
    """Return a run that was stopped in its second epoch."""
    made = create_run(DEFINITIONS["sequential"], CONFIG, "Mine")
    state = TrainingState(DEFINITIONS["sequential"].build(0), CONFIG)
    state.optimizer.step()
    state.epoch, state.batch, state.step = 2, 1, 3
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        for step in (1, 2):
            writer.append_training(BatchEvent(step, 1, 2 / step, 0.1 * step))
        writer.append_training(EpochEvent(1, 2, 1.5, 0.3, 0.9, 0.2, 300_000.0))
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
        writer.save(state, weights=True)
        writer.stopped()
    return made


@pytest.fixture
def filmed(run):
    """Return the run with snapshots of its first and its third step."""
    state = DEFINITIONS["sequential"].build(0).state_dict()
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(state, 1)
        writer.save_snapshot({name: tensor + 1 for name, tensor in state.items()}, 3)
    return run
