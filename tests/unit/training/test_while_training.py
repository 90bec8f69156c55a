"""What holds between two steps of training: the network's mode, and the threads that PyTorch uses."""

import pytest
import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import TrainingConfig


class NotingItsMode(nn.Module):
    def __init__(self):
        super().__init__()
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return x


def test_a_network_that_was_made_in_evaluation_mode_trains_in_training_mode(mnist):
    noting = NotingItsMode()
    model = nn.Sequential(nn.Flatten(), noting, nn.Linear(784, 10)).eval()
    events = train(model, mnist, TrainingConfig(epochs=1, batch_size=100, threads=1, kernels="torch"))
    next(events)
    noting.modes.clear()  # before the first step, the network was tried out
    assert isinstance(next(events), BatchEvent)
    assert set(noting.modes) == {True}
    *_, last = events
    assert isinstance(last, EpochEvent)
    assert noting.modes[-1] is False


@pytest.fixture
def threads():
    """Leave PyTorch as many threads as it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("kernels", "between_steps"), [("fused", 1), ("torch", 2)])
def test_what_the_labs_kernels_leave_to_pytorch_is_done_by_one_thread(kernels, between_steps, mnist):
    config = TrainingConfig(epochs=1, batch_size=500, threads=2, kernels=kernels, device="cpu")
    found = {}
    for event in train(DEFINITIONS["module"].build(0), mnist, config):
        found[type(event)] = torch.get_num_threads()
    assert found == {BatchEvent: between_steps, EpochEvent: 2}
