"""What a training state is made of, and which checkpoints it takes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.events import BatchEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import OldCheckpoint, OtherCheckpoint, TrainingState, as_channels_last

CONFIG = TrainingConfig(epochs=2, batch_size=50, threads=1, device="cpu")


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def dropping(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))


def half_fused(seed=0):
    torch.manual_seed(seed)
    first = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(8, 8, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(288, 10))


def losses(events):
    return [event.loss for event in events if isinstance(event, BatchEvent)]


@pytest.fixture(scope="module")
def few(mnist):
    return mnist.first(train=200, test=50)


class AloneInATeam:
    """A team of one process, which notes what is asked of it."""

    size = 1

    def __init__(self):
        self.asked = []

    def joined(self, network):
        self.asked.append("joined")
        return network

    def part_of(self, batch):
        self.asked.append("part")
        return batch

    def sum_of(self, number):
        self.asked.append("sum")
        return number


@pytest.mark.parametrize(
    ("build", "kernels", "updates_by_itself", "takes_whole_steps", "has_channels_last", "left"),
    [
        (linear, "fused", True, True, False, None),
        (linear, "torch", False, False, True, None),
        (DEFINITIONS["module"].build, "fused", True, True, False, None),
        (DEFINITIONS["module"].build, "torch", False, False, True, None),
        (DEFINITIONS["residual"].build, "fused", True, False, False, "add"),
        (half_fused, "fused", True, False, True, "Conv2d, Tanh"),
    ],
)
def test_a_state_uses_of_the_labs_kernels_what_serves_its_network(
    build, kernels, updates_by_itself, takes_whole_steps, has_channels_last, left
):
    state = TrainingState(build(0), replace(CONFIG, kernels=kernels))
    assert state.kernels == kernels
    assert (state.update is not None, state.whole_step is not None) == (updates_by_itself, takes_whole_steps)
    assert (state.has_channels_last, state.kernels_reason) == (has_channels_last, left)


def test_what_is_left_to_pytorch_is_given_channels_last():
    images = torch.rand(3, 1, 28, 28)
    given = as_channels_last(images)
    assert torch.equal(given, images)
    assert given.stride() == (784, 1, 28, 1)


class NotingStrides(nn.Module):
    def __init__(self):
        super().__init__()
        self.found = set()

    def forward(self, x):
        self.found.add(x.stride())
        return x


class Viewing(nn.Module):
    def forward(self, x):
        return x.view(len(x), 2 * 784)  # which channels last do not allow where there are two


@pytest.mark.parametrize(("flatten", "strides"), [(nn.Flatten(), (784, 1, 28, 1)), (Viewing(), (784, 784, 28, 1))])
def test_a_network_trains_on_channels_last_where_it_takes_them(flatten, strides, few):
    noting = NotingStrides()
    model = nn.Sequential(noting, nn.Conv2d(1, 2, 1), flatten, nn.Linear(2 * 784, 10))
    config = replace(CONFIG, kernels="torch")
    events = train(model, few, config, TrainingState(model, config))
    noting.found.clear()  # the network was tried out
    next(events)
    assert noting.found == {strides}


def test_the_seed_decides_what_a_network_draws_in_training(few):
    model, other = dropping(), dropping()
    torch.rand(7)  # whatever else draws random numbers
    expected = losses(train(model, few, CONFIG))
    torch.rand(11)
    assert losses(train(other, few, CONFIG)) == expected


def test_a_team_of_one_trains_as_a_process_alone_does_and_is_given_each_batch(few):
    for kernels in ("torch", "fused"):
        config = replace(CONFIG, kernels=kernels)
        alone, model, team = linear(), linear(), AloneInATeam()
        expected = losses(train(alone, few, config))
        state = TrainingState(model, config, team)
        assert state.whole_step is None  # which could not ask the others
        assert (state.update is not None) == (kernels == "fused")
        assert losses(train(model, few, config, state)) == pytest.approx(expected, rel=1e-5)
        assert team.asked == ["joined", *["part", "part", "sum"] * 8]


def test_a_run_begins_at_its_first_batch_and_ends_behind_its_last_epoch(few):
    state = TrainingState(linear(), CONFIG)
    begun = state.state_dict()["position"]
    assert begun == {"epoch": 1, "batch": 0, "step": 0, "seconds": 0, "epoch_loss_sum": 0, "epoch_seconds": 0}
    events = list(train(state.model, few, CONFIG, state))
    ended = {"epoch": 3, "batch": 0, "step": 8, "epoch_loss_sum": 0, "epoch_seconds": 0}
    assert state.state_dict()["position"] == ended | {"seconds": events[-2].seconds}


@pytest.mark.parametrize("steps", [1, 3])
def test_a_network_that_draws_random_numbers_goes_on_with_those_that_come_next(steps, few):
    config = replace(CONFIG, shift=1, augment=True)
    expected = losses(train(dropping(), few, config))
    first = TrainingState(dropping(), config)
    events = train(first.model, few, config, first)
    found = losses(next(events) for _ in range(steps))
    checkpoint = first.state_dict()
    second = TrainingState(dropping(seed=1), config)
    torch.rand(7)  # whatever else draws random numbers
    second.load_state_dict(checkpoint)
    assert found + losses(train(second.model, few, config, second)) == expected


def test_a_checkpoint_of_another_network_or_optimizer_is_refused():
    adam = TrainingState(linear(), replace(CONFIG, optimizer="adam")).state_dict()
    with pytest.raises(OtherCheckpoint, match="not one of the optimizer RMSprop: put"):
        TrainingState(linear(), CONFIG).load_state_dict(adam)
    with pytest.raises(OtherCheckpoint, match="one of another network"):
        TrainingState(half_fused(), CONFIG).load_state_dict(adam)


def test_a_checkpoint_from_before_parameters_shared_a_buffer_is_an_old_one():
    model = linear()
    state = TrainingState(model, CONFIG)
    old = type(state.optimizer)(model.parameters(), lr=0.001, momentum=0.9)
    with pytest.raises(OldCheckpoint, match="start a new run"):
        state.load_state_dict({**state.state_dict(), "optimizer": old.state_dict()})


def test_a_checkpoint_of_a_machine_with_another_device_is_taken():
    checkpoint = TrainingState(linear(), CONFIG).state_dict()
    state = TrainingState(linear(seed=1), CONFIG)
    state.load_state_dict({**checkpoint, "rng": {}})
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(predict_logits(state.model, images), predict_logits(linear(), images))
