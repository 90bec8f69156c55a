from itertools import pairwise

import pytest
import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS, Net
from cnnlab.proof.equivalence import (
    DECLARED_BACKWARDS,
    CarriedOver,
    Finished,
    TrainedBoth,
    first_difference,
    from_json,
    prove_equivalence,
    sentence_of,
    to_json,
    training_losses,
)
from cnnlab.proof.weights import CannotCarryWeights, carry_weights, name_map

MODULE, RESIDUAL, SEQUENTIAL = (DEFINITIONS[name].build(seed=0) for name in ("module", "residual", "sequential"))


class Normed(nn.Module):
    """One convolution and its norm, declared in either order, with names of their own."""

    def __init__(self, first, second):
        super().__init__()
        layers = {"conv": nn.Conv2d(1, 2, 3), "norm": nn.BatchNorm2d(2)}
        self.add_module(first, layers[first])
        self.add_module(second, layers[second])

    def forward(self, x):
        return self.norm(self.conv(x)).flatten(1)


class WithASpareLayer(Net):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 4)


def test_the_map_from_the_list_to_the_class():
    assert name_map(SEQUENTIAL, MODULE) == {
        f"{index}.{tensor}": f"{layer}.{tensor}"
        for index, layer in ((0, "conv1"), (3, "conv2"), (7, "fc1"), (9, "fc2"), (11, "fc3"))
        for tensor in ("weight", "bias")
    }


def test_the_order_of_declaring_says_nothing():
    backwards = DECLARED_BACKWARDS.build(seed=0)
    assert next(iter(backwards.state_dict())) == "fc3.weight"
    assert name_map(backwards, MODULE) == {name: name for name in backwards.state_dict()}
    assert name_map(SEQUENTIAL, backwards) == name_map(SEQUENTIAL, MODULE)


def test_buffers_are_carried_too():
    source, target = Normed("conv", "norm"), Normed("norm", "conv")
    source(torch.rand(4, 1, 28, 28))
    carry_weights(source, target)
    assert torch.equal(target.norm.running_mean, source.norm.running_mean)
    assert target.norm.num_batches_tracked == 1


@pytest.mark.parametrize(("source", "target"), [(MODULE, RESIDUAL), (RESIDUAL, SEQUENTIAL)])
def test_a_layer_without_counterpart_is_named_with_its_shapes(source, target):
    with pytest.raises(CannotCarryWeights, match=r"branch \(Conv2d: weight 8 × 8 × 3 × 3, bias 8\) of ResidualNet"):
        name_map(source, target)


def test_layers_of_another_shape_are_no_counterparts():
    wide, narrow = (nn.Sequential(nn.Flatten(), nn.Linear(784, size)) for size in (20, 10))
    with pytest.raises(
        CannotCarryWeights, match=r"1 \(Linear: weight 20 × 784, bias 20\).*nor to 1 \(Linear: weight 10"
    ):
        name_map(wide, narrow)


def test_weights_that_nothing_is_computed_with_are_named():
    with pytest.raises(CannotCarryWeights, match=r"WithASpareLayer computes nothing with spare.bias, spare.weight"):
        name_map(WithASpareLayer(), MODULE)


def test_losses_go_on_over_the_end_of_an_epoch(mnist):
    losses = training_losses(DEFINITIONS["module"].build(seed=0), mnist, steps=10, seed=0)  # an epoch has 8
    assert len(losses) == 10
    assert losses[:3] == training_losses(DEFINITIONS["module"].build(seed=0), mnist, steps=3, seed=0)


@pytest.mark.parametrize(
    ("losses", "others", "step"), [([1.0, 2.0], [1.0, 2.0], None), ([1.0, 2.0], [1.0, 2.1], 2), ([1.0], [0.0], 1)]
)
def test_the_first_step_at_which_losses_differ(losses, others, step):
    assert first_difference(losses, others) == step


def test_the_proof(mnist):
    carried, both, backwards, backwards_carried, finished = prove_equivalence(mnist, steps=4, seed=1)
    assert isinstance(carried, CarriedOver)
    assert (carried.images, carried.largest_difference) == (500, 0.0)
    trained = [each for each in (both, backwards, backwards_carried) if isinstance(each, TrainedBoth)]
    assert [each.first_difference for each in trained] == [None, 1, None]
    assert [each.weights_carried for each in trained] == [False, False, True]
    assert all(len(each.first_losses) == len(each.second_losses) == 4 for each in trained)
    assert all(one.first_losses == other.first_losses for one, other in pairwise(trained))
    assert isinstance(finished, Finished)


FINDINGS = [
    (
        CarriedOver("nn.Sequential", "nn.Module", {"0.weight": "conv1.weight"}, 10_000, 0.0),
        "With the weights of nn.Sequential carried into nn.Module, the largest difference of their logits over 10,000 "
        "test images is 0.",
    ),
    (
        TrainedBoth("A", "B", 3, False, [2.3, 2.25], [2.3, 2.2], 2),
        "From seed 3, A and B part at step 2 of 2, with losses of 2.2500 and 2.2000.",
    ),
    (
        TrainedBoth("A", "B", 3, True, [2.3, 2.2], [2.3, 2.2], None),
        "With the same first weights, A and B have the same loss at each of 2 steps, to the last bit.",
    ),
    (Finished(7.6, "2.13.0"), "Found in 8 s with PyTorch 2.13.0."),
]


@pytest.mark.parametrize(("finding", "sentence"), FINDINGS)
def test_a_finding_is_a_sentence_and_goes_to_json_and_back(finding, sentence):
    assert sentence_of(finding) == sentence
    assert "\n" not in to_json(finding)
    assert from_json(to_json(finding)) == finding
