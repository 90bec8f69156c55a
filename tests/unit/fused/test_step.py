from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

CONFIG = TrainingConfig(optimizer="adam", batch_size=20, threads=2, kernels="fused")


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 30), nn.Tanh(), nn.Linear(30, 10))


def convolutions():
    return nn.Sequential(
        *(nn.Conv2d(1, 5, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 12, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(12, 9, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(9 * 36, 10)),
    )


def built(build):
    torch.manual_seed(0)
    return build()


NETWORKS = {
    "sequential": lambda: DEFINITIONS["sequential"].build(0),
    "module": lambda: DEFINITIONS["module"].build(0),
    "perceptron": perceptron,
    "convolutions": convolutions,
}


def batches(count):
    generator = torch.Generator().manual_seed(1)
    for number in range(count):
        size = 20 if number % 3 else 7  # the last batch of an epoch is smaller
        yield (
            torch.rand(size, 1, 28, 28, generator=generator),
            torch.randint(10, (size,), generator=generator),
        )


def steps_of(state, count):
    """Return the losses and gradients of some steps: the kernel's where it takes them, else PyTorch's."""
    losses, gradients, by_kernel = [], [], []
    (parameter,) = state.parameters
    for images, labels in batches(count):
        loss = state.whole_step.take(images, labels) if state.whole_step else None
        by_kernel.append(loss is not None)
        if loss is None:
            parameter.grad.zero_()
            loss = F.cross_entropy(state.network(images), labels)
            loss.backward()
            state.optimizer.step()
        losses.append(loss.item())
        gradients.append(parameter.grad.clone())
    return losses, gradients, by_kernel


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_losses_gradients_and_weights_are_those_of_autograd(network, threads):
    config = replace(CONFIG, threads=threads)
    ours = TrainingState(built(NETWORKS[network]), config)
    theirs = TrainingState(built(NETWORKS[network]), replace(config, kernels="torch"))
    (losses, gradients, by_kernel), (their_losses, their_gradients, _) = steps_of(ours, 8), steps_of(theirs, 8)
    assert by_kernel == [False] + [True] * 7  # PyTorch takes the first step, in which it makes the optimizer's memory
    assert losses == pytest.approx(their_losses, rel=1e-5)
    for gradient, wanted in zip(gradients, their_gradients, strict=True):
        assert (gradient - wanted).abs().max() <= 1e-5
    assert torch.allclose(ours.parameters[0], theirs.parameters[0], atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_takes_whole_steps(optimizer):
    config = replace(CONFIG, optimizer=optimizer)
    ours = TrainingState(built(perceptron), config)
    theirs = TrainingState(built(perceptron), replace(config, kernels="torch"))
    (losses, _, by_kernel), (their_losses, *_) = steps_of(ours, 4), steps_of(theirs, 4)
    assert all(by_kernel[1:])
    assert losses == pytest.approx(their_losses, rel=1e-5)


def test_the_same_threads_give_the_same_bits():
    once, again = (steps_of(TrainingState(built(convolutions), CONFIG), 6) for _ in range(2))
    assert once[0] == again[0]
    assert all(map(torch.equal, once[1], again[1]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_not_hidden(bad):
    state = TrainingState(built(perceptron), CONFIG)
    steps_of(state, 2)
    images, labels = next(iter(batches(1)))
    with torch.no_grad():
        state.model[3].bias[0] = bad
    loss = state.whole_step.take(images, labels)
    assert not loss.isfinite()
    assert loss.isnan() or bad == float("inf")


class WithBranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(784, 10), nn.Linear(10, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.last(self.first(x)) + self.first(x)


@pytest.mark.parametrize(
    "build",
    [
        lambda: DEFINITIONS["residual"].build(0),
        WithBranch,
        lambda: nn.Sequential(nn.Dropout(0.1), *perceptron()),
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 169, 10)),
        lambda: nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten()),
    ],
)
def test_a_network_with_anything_else_in_it_takes_its_steps_by_autograd(build):
    assert TrainingState(built(build), replace(CONFIG, kernels="auto")).whole_step is None


class Flattening(nn.Module):
    """Linear layers behind a flattening that a test gives."""

    def __init__(self, flatten):
        super().__init__()
        self.flatten, self.last = flatten, nn.Linear(784, 10)

    def forward(self, x):
        return self.last(self.flatten(x))


@pytest.mark.parametrize(
    ("flatten", "is_whole"),
    [
        (lambda x: torch.flatten(x, 1), True),
        (lambda x: torch.flatten(x, start_dim=1), True),
        (lambda x: x.flatten(1, -1), True),
        (lambda x: x.flatten(1).flatten(1), False),
        (lambda x: x.flatten(1, 2).flatten(1), False),
    ],
)
def test_a_step_is_taken_whole_however_one_flattening_is_written(flatten, is_whole):
    state = TrainingState(built(lambda: Flattening(flatten)), replace(CONFIG, kernels="auto"))
    assert (state.whole_step is not None) == is_whole


def with_one_layer_twice():
    layer = nn.Linear(10, 10)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.ReLU(), layer, nn.ReLU(), layer)


def with_one_weight_twice():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    model[5].weight = model[3].weight
    return model


@pytest.mark.parametrize("build", [with_one_layer_twice, with_one_weight_twice])
def test_the_gradients_of_numbers_that_are_used_twice_are_added(build):
    ours, theirs = TrainingState(built(build), CONFIG), TrainingState(built(build), replace(CONFIG, kernels="torch"))
    assert (ours.kernels, ours.whole_step) == ("fused", None)
    (_, gradients, _), (_, their_gradients, _) = steps_of(ours, 3), steps_of(theirs, 3)
    for gradient, wanted in zip(gradients, their_gradients, strict=True):
        assert (gradient - wanted).abs().max() <= 1e-5


@pytest.mark.parametrize("label", [-100, 10, 10**12])
def test_a_label_without_a_logit_makes_the_loss_nan(label):
    state = TrainingState(built(perceptron), CONFIG)
    steps_of(state, 2)
    assert state.whole_step.take(torch.rand(3, 1, 28, 28), torch.tensor([1, label, 2])).isnan()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.rand(21, 1, 28, 28), torch.zeros(21, dtype=torch.int64)),  # more than a batch has
        (torch.rand(3, 1, 28, 27), torch.zeros(3, dtype=torch.int64)),
        (torch.rand(3, 1, 28, 28).double(), torch.zeros(3, dtype=torch.int64)),
        (torch.rand(3, 1, 28, 28), torch.zeros(3, dtype=torch.int32)),
    ],
)
def test_what_does_not_fit_is_left_to_pytorch(images, labels):
    state = TrainingState(built(perceptron), CONFIG)
    steps_of(state, 2)
    assert state.whole_step.take(images, labels) is None


def test_a_parameter_that_is_not_trained_is_left_alone():
    model = built(perceptron)
    model[1].weight.requires_grad_(False)
    before = model[1].weight.clone()
    state = TrainingState(model, CONFIG)
    assert state.whole_step is None
    steps_of(state, 3)
    assert torch.equal(model[1].weight, before)
