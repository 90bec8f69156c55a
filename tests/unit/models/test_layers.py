import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.models.definitions import DEFINITIONS, Net
from cnnlab.models.insight import attribution, feature_maps, filters_of
from cnnlab.models.layers import IMAGE_SHAPE, INPUT, CannotTrace, layers_of, layers_of_definition
from cnnlab.wording import shape_text

# By hand. A convolution: outputs x (input channels x 3 x 3) multiply-adds, and as many weights as one output channel
# has inputs, times the output channels, with a bias for each. A linear layer: inputs x outputs, and the biases.
KIND_SHAPE_PARAMETERS_MULTIPLY_ADDS = [
    ("Conv2d", (8, 26, 26), 80, 48_672),  # 8*1*9 + 8; 8*26*26 * 1*9
    ("ReLU", (8, 26, 26), 0, 0),
    ("MaxPool2d", (8, 13, 13), 0, 0),
    ("Conv2d", (16, 11, 11), 1_168, 139_392),  # 16*8*9 + 16; 16*11*11 * 8*9
    ("ReLU", (16, 11, 11), 0, 0),
    ("MaxPool2d", (16, 5, 5), 0, 0),
    ("Flatten", (400,), 0, 0),
    ("Linear", (64,), 25_664, 25_600),
    ("ReLU", (64,), 0, 0),
    ("Linear", (32,), 2_080, 2_048),
    ("ReLU", (32,), 0, 0),
    ("Linear", (10,), 330, 320),
]


class TutorialNet(Net):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
        x = x.view(-1, torch.numel(x[0]))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return (self.body(self.body(x)) * self.scale).flatten(1)


class Undecided(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("name", ["sequential", "module"])
def test_the_tutorials_network_by_hand(name):
    layers = layers_of_definition(DEFINITIONS[name])
    told = [(layer.kind, layer.output_shape, layer.parameters, layer.multiply_adds) for layer in layers]
    assert told == KIND_SHAPE_PARAMETERS_MULTIPLY_ADDS
    assert sum(layer.parameters for layer in layers) == 29_322
    assert sum(layer.multiply_adds for layer in layers) == 216_032


def test_in_a_chain_each_layer_takes_what_the_one_before_it_gives():
    layers = layers_of_definition(DEFINITIONS["module"])
    assert [layer.inputs for layer in layers] == [(INPUT,), *((layer.name,) for layer in layers[:-1])]


def test_the_branch_of_the_residual_network_is_added_to_what_went_round_it():
    layers = {layer.name: layer for layer in layers_of_definition(DEFINITIONS["residual"])}
    assert layers["add"].inputs == ("max_pool2d", "relu_1")
    assert layers["relu_1"].inputs == ("branch",)
    assert layers["branch"].inputs == ("max_pool2d",)
    assert (layers["branch"].parameters, layers["branch"].multiply_adds) == (584, 97_344)  # 8*13*13 * 8*9


def test_reading_a_size_is_no_layer():
    kinds = [layer.kind for layer in layers_of(TutorialNet())]
    assert kinds == [kind if kind != "Flatten" else "View" for kind, *_ in KIND_SHAPE_PARAMETERS_MULTIPLY_ADDS]


def test_parameters_are_counted_once_and_buffers_belong_to_their_layer():
    layers = layers_of(Shared())
    assert [layer.kind for layer in layers] == ["Conv2d", "BatchNorm2d", "Conv2d", "BatchNorm2d", "Mul", "Flatten"]
    assert len({layer.name for layer in layers}) == 6
    assert [layer.parameters for layer in layers] == [2, 2, 0, 0, 1, 0]
    assert [name for name, _ in layers[1].tensors] == [
        f"body.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert layers[4].tensors == (("scale", (1,)),)


@pytest.mark.parametrize("model", [Undecided(), nn.Linear(3, 10)])
def test_a_network_that_cannot_be_followed_is_said_to_be_so(model):
    with pytest.raises(CannotTrace, match=f"The layers of {type(model).__name__} cannot be listed"):
        layers_of(model)


def test_listing_leaves_the_weights_alone():
    model = Shared()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers_of(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_shape_as_the_pages_write_it():
    assert shape_text((8, 26, 26)) == "8 × 26 × 26"


class Crossed(nn.Module):
    """Finds what is brighter than its left neighbour; weights set by hand."""

    def __init__(self):
        super().__init__()
        self.edges = nn.Conv2d(1, 2, kernel_size=(1, 2))
        self.edges.weight.data = torch.tensor([[[[-1.0, 1.0]]], [[[1.0, -1.0]]]])
        self.edges.bias.data.zero_()
        self.norm = nn.BatchNorm2d(2, eps=0)

    def forward(self, x):
        return F.relu(self.norm(self.edges(x))).flatten(1)


def bright_column(at):
    image = torch.zeros(IMAGE_SHAPE)
    image[..., at] = 1
    return image


def test_the_kernels_are_the_weights_of_the_convolutions_in_the_order_of_computing():
    model = DEFINITIONS["residual"].build(seed=0)
    kernels = filters_of(model)
    assert list(kernels) == ["conv1", "branch", "conv2"]
    assert all(torch.equal(kernels[name], model.get_submodule(name).weight) for name in kernels)


def test_a_convolution_written_as_a_function_has_kernels_too():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernels = nn.Parameter(torch.ones(3, 1, 5, 5))

        def forward(self, x):
            return F.conv2d(x, self.kernels).relu().flatten(1)

    assert {name: kernels.shape for name, kernels in filters_of(Functional()).items()} == {"conv2d": (3, 1, 5, 5)}


def test_feature_maps_are_taken_after_the_norm_and_the_relu():
    model = Crossed()
    maps = feature_maps(model, bright_column(at=10))["edges"]
    left_edge, right_edge = maps
    assert maps.shape == (2, 28, 27)
    assert left_edge.sum(dim=0).nonzero().tolist() == [[9]]
    assert right_edge.sum(dim=0).nonzero().tolist() == [[10]]
    assert maps.min() == 0
    assert model.training
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_every_definition_has_feature_maps_of_each_convolution(definition):
    model = definition.build(seed=0)
    maps = feature_maps(model, torch.rand(IMAGE_SHAPE))
    assert {name: len(each) for name, each in maps.items()} == {
        name: len(each) for name, each in filters_of(model).items()
    }
    assert all(each.min() == 0 and each.max() > 0 for each in maps.values())


def test_a_branch_has_feature_maps_of_its_own():
    model = DEFINITIONS["residual"].build(seed=0)
    image = torch.rand(IMAGE_SHAPE)
    with torch.no_grad():
        entering = F.max_pool2d(F.relu(model.conv1(image[None])), 2)
        expected = F.relu(model.branch(entering))[0]
    assert torch.equal(feature_maps(model, image)["branch"], expected)


def test_the_attribution_of_a_linear_network_is_weight_times_pixel():
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    image = torch.rand(IMAGE_SHAPE)
    expected = (model[1].weight[3] * image.flatten()).reshape(28, 28)
    assert torch.allclose(attribution(model, image, digit=3), expected, atol=1e-5)


def test_attributions_sum_to_what_the_image_adds_to_the_logit():
    model, image = DEFINITIONS["module"].build(seed=0), torch.rand(IMAGE_SHAPE)
    with torch.no_grad():
        of_image, of_black = model(torch.stack([image, torch.zeros(IMAGE_SHAPE)]))
    for digit in range(10):
        assert attribution(model, image, digit).sum().item() == pytest.approx(
            (of_image - of_black)[digit].item(), abs=2e-3
        )


def test_black_pixels_speak_for_nothing():
    given = attribution(DEFINITIONS["module"].build(seed=0), bright_column(at=10), digit=1)
    assert given.abs().sum(dim=0).nonzero().tolist() == [[10]]


@pytest.mark.slow
def test_to_count_operations_does_not_import_the_compiler():
    """It would take a second and 100 MB of the process that serves the pages."""
    count = (
        "import sys; from cnnlab.models.layers import layers_of; from cnnlab.models.definitions import Net; "
        "layers_of(Net()); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", count], check=False).returncode == 0
