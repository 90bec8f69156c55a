"""What holds while a network trains: its mode, the threads that PyTorch uses, what processes do together."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.loop import _loss_of_team, train
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


class HalfOfTwo:
    """One of two processes that train one model together, without the other."""

    size = 2

    def __init__(self, half):
        self._half = half

    def part_of(self, batch):
        return batch.chunk(2)[self._half]

    def sum_of(self, number):
        return number


def test_two_processes_together_have_the_loss_and_the_gradients_of_one(mnist):
    images, labels = mnist.train_images[:64], mnist.train_labels[:64]
    network = DEFINITIONS["module"].build(0)
    loss = F.cross_entropy(network(images), labels)
    expected = torch.autograd.grad(loss, list(network.parameters()))
    shares = sum(_loss_of_team(HalfOfTwo(half), network, images, labels) for half in (0, 1))
    assert shares.item() == pytest.approx(loss.item(), rel=1e-5)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad / 2, gradient)  # both have added theirs, of which the mean is taken
