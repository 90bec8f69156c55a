"""Runs to take along."""

import pytest
from archives import stopped_run

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.writer import RunWriter


@pytest.fixture
def run():
    """Return a run that was stopped in its second epoch."""
    return stopped_run("Mine")


@pytest.fixture
def filmed(run):
    """Return the run with snapshots of its first and its third step."""
    state = DEFINITIONS["sequential"].build(0).state_dict()
    with RunWriter.claim(run) as writer:
        writer.save_snapshot(state, 1)
        writer.save_snapshot({name: tensor + 1 for name, tensor in state.items()}, 3)
    return run
