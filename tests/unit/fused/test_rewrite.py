import pytest
import torch
import torch.nn.functional as F
from gradients import assert_alike
from torch import nn

from cnnlab.fused.block import FusedBlock
from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.head import FusedHead
from cnnlab.fused.rewrite import _are_alike, count_blocks, fuse, fuses_all_convolutions, left_to_pytorch
from cnnlab.models.definitions import DEFINITIONS


def blocks_of(network):
    return [module for module in network.modules() if isinstance(module, FusedBlock)]


def heads_of(network):
    return [module for module in network.modules() if isinstance(module, FusedHead)]


def layers(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2))


@pytest.mark.parametrize(("name", "blocks"), [("sequential", 2), ("module", 2), ("residual", 3)])
def test_all_blocks_and_the_head_of_every_definition_are_found_and_its_parameters_shared(name, blocks):
    model = DEFINITIONS[name].build(0)
    network = fuse(model, (1, 28, 28), threads=2)
    assert len(blocks_of(network)) == blocks
    assert [len(head.linears) for head in heads_of(network)] == [3]
    assert fuses_all_convolutions(network)
    assert {id(parameter) for parameter in network.parameters()} == {id(parameter) for parameter in model.parameters()}
    images, target = torch.rand(5, 1, 28, 28), torch.randn(50)
    assert_alike(gradients_by_name(network, model, images, target), gradients_by_name(model, model, images, target))


def gradients_by_name(network, model, images, target):
    """Return what `gradients` does, with the parameters in the model's order."""
    images = images.clone().requires_grad_()
    answer = network(images)
    loss = (answer * target.view(answer.shape)).sum()
    return answer, torch.autograd.grad(loss, [images, *model.parameters()])


class Written(nn.Module):
    """A block as a function that a test gives."""

    def __init__(self, forward, **convolution):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, **{"kernel_size": 3, **convolution})
        self.written = forward

    def forward(self, x):
        return self.written(self.convolution, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2),
        lambda convolution, x: F.max_pool2d(torch.relu(convolution(x)), kernel_size=(2, 2), stride=2),
        lambda convolution, x: F.max_pool2d(convolution(x).relu(), 2, 2, 0),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), [2, 2], [2, 2], [0, 0], [1, 1]),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, (2, 2), (0, 0), (1, 1), ceil_mode=False),
        lambda convolution, x: torch.max_pool2d(input=F.relu(input=convolution(x)), kernel_size=2),
    ],
)
@pytest.mark.parametrize("padding", [0, "valid"])
def test_a_block_is_found_however_it_is_written(forward, padding):
    model = Written(forward, padding=padding)
    network = fuse(model, (1, 10, 10), threads=2)
    assert [block.pool for block in blocks_of(network)] == [2]
    images = torch.rand(3, 1, 10, 10)
    assert torch.allclose(network(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    "forward",
    [
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 3),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, stride=1),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, stride=[2, 1]),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), [2, 3], stride=2),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, ceil_mode=True),
        lambda convolution, x: F.avg_pool2d(F.relu(convolution(x)), 2),
        lambda convolution, x: F.max_pool2d((y := F.relu(convolution(x))), 2) + y.mean(),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, dilation=(1, 2)),
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2, padding=(0, 1)),
    ],
)
def test_another_pooling_is_left_to_pytorch(forward):
    model = Written(forward)
    network = fuse(model, (1, 9, 9), threads=2)
    assert [block.pool for block in blocks_of(network)] == [1]
    images = torch.rand(3, 1, 9, 9)
    assert torch.allclose(network(images), model(images), atol=1e-6)


def pooled(convolution, x):
    return F.max_pool2d(F.relu(convolution(x)), 2)


@pytest.mark.parametrize(
    "model",
    [
        Written(lambda convolution, x: F.max_pool2d(F.gelu(convolution(x)), 2)),
        Written(lambda convolution, x: F.max_pool2d(F.relu(y := convolution(x)), 2) + y.mean()),
        Written(pooled, kernel_size=2),
        Written(pooled, kernel_size=(3, 5)),
        Written(pooled, padding=(0, 1)),
        Written(pooled, padding="same"),
        Written(pooled, padding=1, padding_mode="reflect"),
        Written(pooled, stride=2),
        Written(pooled, dilation=2),
        Written(pooled, bias=False),
    ],
)
def test_what_is_not_such_a_block_is_left_to_pytorch(model):
    with pytest.raises(CannotFuse, match="has no convolution with ReLU that they serve, and ends in no linear layer"):
        fuse(model, (1, 28, 28), threads=2)


def test_blocks_are_counted_beside_all_convolutions():
    model = nn.Sequential(*layers(1, 4), nn.Conv2d(4, 4, 5), nn.GELU(), *layers(4, 8))
    assert count_blocks(model) == (2, 3)
    assert count_blocks(Written(lambda convolution, x: x if x.sum() > 0 else -x)) == (0, 0)


def head_with(*layers_before):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), *layers_before, nn.Linear(12, 10))


@pytest.mark.parametrize(
    ("model", "linears"),
    [
        (head_with(nn.ReLU()), 2),
        (head_with(nn.LeakyReLU(0.2)), 2),
        (head_with(nn.Tanh()), 2),
        (head_with(nn.Sigmoid()), 2),
        (head_with(), 2),
        (head_with(nn.ReLU(), nn.ReLU()), 1),
        (head_with(nn.GELU()), 1),
        (head_with(nn.Dropout(0.5)), 1),
        (head_with(nn.LeakyReLU(-0.5)), 1),  # whose value does not tell on which side of 0 it was
        (nn.Sequential(*head_with(nn.ReLU()), nn.Tanh()), 2),
    ],
)
def test_the_head_reaches_back_to_the_first_layer_that_it_does_not_serve(model, linears):
    network = fuse(model, (1, 6, 6), threads=2)
    assert [len(head.linears) for head in heads_of(network)] == [linears]
    images, target = torch.rand(5, 1, 6, 6), torch.randn(50)
    torch.manual_seed(0)
    found = gradients_by_name(network, model, images, target)
    torch.manual_seed(0)
    assert_alike(found, gradients_by_name(model, model, images, target))


class Misleading(nn.Module):
    """Its attributes are called what functions and the lab's own parts are called."""

    def __init__(self):
        super().__init__()
        self.fused_head, self.last = nn.Linear(36, 10), nn.Linear(10, 10)
        self.tanh, self.flatten = nn.Hardtanh(), nn.Flatten()

    def forward(self, x):
        return self.last(self.tanh(self.fused_head(self.flatten(x))))


def test_layers_are_known_by_what_they_are_and_not_by_their_names():
    model = Misleading()
    network = fuse(model, (1, 6, 6), threads=1)
    assert [len(head.linears) for head in heads_of(network)] == [1]
    images, target = torch.rand(5, 1, 6, 6), torch.randn(50)
    assert_alike(gradients_by_name(network, model, images, target), gradients_by_name(model, model, images, target))


def test_a_layer_whose_numbers_go_to_two_places_is_not_of_the_head():
    class TwoWays(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(36, 10), nn.Linear(10, 10)

        def forward(self, x):
            y = self.first(x.flatten(1))
            return self.last(y.relu() + y)

    network = fuse(TwoWays(), (1, 6, 6), threads=1)
    assert [len(head.linears) for head in heads_of(network)] == [1]


def test_a_last_activation_whose_numbers_go_to_two_places_leaves_no_head():
    class TwoWays(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers(1, 4), nn.Linear(16, 10)
            self.seen = []

        def forward(self, x):
            y = self.last(self.first(x).flatten(1)).relu()
            self.seen.append(y + 1)
            return y

    network = fuse(TwoWays(), (1, 6, 6), threads=1)
    assert (len(blocks_of(network)), heads_of(network)) == (1, [])


def test_a_gradient_that_one_of_two_networks_has_makes_them_differ():
    there = torch.ones(2)
    assert [_are_alike(None, None), _are_alike(None, there), _are_alike(there, None)] == [True, False, False]
    assert _are_alike(there, there + 1e-5)
    assert not _are_alike(there, there + 1e-2)


def test_code_that_asks_for_values_cannot_be_followed_and_says_so():
    model = Written(lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2) if x.sum() > 0 else x)
    with pytest.raises(CannotFuse, match=r"torch\.fx cannot follow the network's code \(TraceError"):
        fuse(model, (1, 28, 28), threads=2)


@pytest.mark.parametrize(
    "forward",
    [
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2) + torch.randn(1),  # a constant in the trace
        lambda convolution, x: F.max_pool2d(F.relu(convolution(x)), 2).detach(),  # nothing to train
    ],
)
def test_a_network_that_the_trace_would_change_is_left_to_pytorch(forward):
    with pytest.raises(CannotFuse, match=r"misses something|cannot be tried out"):
        fuse(Written(forward), (1, 10, 10), threads=1)


def test_what_a_network_changes_in_place_is_not_lost():
    def forward(convolution, x):
        y = F.max_pool2d(F.relu(convolution(x)), 2)
        y.sub_(5)
        return y

    model = Written(forward)
    images = torch.rand(2, 1, 10, 10)
    assert torch.allclose(fuse(model, (1, 10, 10), threads=1)(images), model(images), atol=1e-6)


def test_channels_that_do_not_fit_are_left_to_pytorch_to_complain_of():
    model = nn.Sequential(layers(1, 8), layers(1, 16))
    with pytest.raises(CannotFuse):
        fuse(model, (1, 28, 28), threads=1)


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_convolution_with_a_hook_is_left_to_pytorch(kind):
    model = layers(1, 4)
    getattr(model[0], f"register_{kind}_hook")(lambda *_: None)
    with pytest.raises(CannotFuse, match="has no convolution"):
        fuse(model, (1, 10, 10), threads=1)


@pytest.mark.parametrize(
    ("model", "side", "left"),
    [
        (DEFINITIONS["sequential"].build(0), 28, []),
        (DEFINITIONS["module"].build(0), 28, []),
        (DEFINITIONS["residual"].build(0), 28, ["add"]),
        (head_with(nn.GELU(), nn.Dropout(0.5)), 6, ["Dropout", "GELU", "Linear"]),
    ],
)
def test_what_is_left_to_pytorch_is_told(model, side, left):
    assert left_to_pytorch(fuse(model, (1, side, side), threads=1)) == left
