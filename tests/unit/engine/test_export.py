import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.engine.export import CannotExport, export
from cnnlab.models.definitions import DEFINITIONS


class Written(nn.Module):
    """A network whose forward is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.written = forward

    def forward(self, x):
        return self.written(self, x)


def test_the_list_and_the_class_are_the_same_layers():
    listed, written = (export(DEFINITIONS[name].build(0)) for name in ("sequential", "module"))
    assert [layer["op"] for layer in listed.layers] == [layer["op"] for layer in written.layers]
    assert [layer["shape"] for layer in listed.layers][:3] == [[8, 26, 26], [8, 26, 26], [8, 13, 13]]
    assert listed.weights == written.weights


def test_weights_stand_one_after_the_other_as_float32():
    module = DEFINITIONS["module"].build(0)
    exported = export(module)
    numbers = np.frombuffer(exported.weights, "<f4")
    start, length = exported.layers[0]["weight"]
    assert np.array_equal(numbers[start : start + length], module.conv1.weight.detach().numpy().ravel())
    assert len(numbers) == sum(each.numel() for each in module.parameters())


def test_a_branch_is_added_back():
    layers = export(DEFINITIONS["residual"].build(0)).layers
    (added,) = [layer for layer in layers if layer["op"] == "add"]
    assert [layers[place]["op"] for place in added["inputs"]] == ["max_pool2d", "relu"]


def test_what_does_nothing_in_evaluation_is_left_out():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Identity(), nn.Linear(784, 10))
    assert [layer["op"] for layer in export(network).layers] == ["reshape", "linear"]
    assert network.training


def test_a_batch_normalization_is_a_scale_and_a_shift():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(784, 10))
    network[0].running_mean.fill_(0.5)
    network[0].running_var.fill_(4.0)
    exported = export(network)
    scale, shift = np.frombuffer(exported.weights, "<f4")[:2]
    assert (scale, shift) == pytest.approx((0.5, -0.25), abs=1e-5)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(dim=1)), "Softmax is no layer"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 9)), "does not give ten logits"),
        (Written(lambda self, x: self.out(x.flatten(1) * 2), out=nn.Linear(784, 10)), "mul is no layer"),
        (Written(lambda self, x: self.out(F.dropout(x.flatten(1))), out=nn.Linear(784, 10)), "dropout is no layer"),
        (
            Written(lambda self, x: self.out(x.flatten(1)) if x.sum() > 0 else x, out=nn.Linear(784, 10)),
            "cannot follow",
        ),
        (Written(lambda self, x: torch.zeros(1, 10)), "does not give ten logits|not computed from the image"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(1568, 10)),
            "Conv2d",
        ),
    ],
)
def test_what_the_engine_does_not_know_is_refused_in_a_sentence(network, words):
    with pytest.raises(CannotExport, match=words):
        export(network)


def test_a_layers_scale_is_how_far_its_numbers_go_for_examples():
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.constant_(network[1].weight, -1.0)
    nn.init.zeros_(network[1].bias)
    examples = torch.zeros(3, 1, 28, 28)
    examples[0, 0, 0, :5] = 1
    assert [layer["scale"] for layer in export(network).layers] == [1, 1]
    assert [layer["scale"] for layer in export(network, examples).layers] == [1, 5]


def test_a_scale_leaves_out_one_number_in_a_thousand():
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(784, 10))
    nn.init.ones_(network[0].weight)
    examples = torch.full((10, 1, 28, 28), 0.5)
    examples[0, 0, 0, :5] = 100
    assert export(network, examples).layers[0]["scale"] == 0.5
