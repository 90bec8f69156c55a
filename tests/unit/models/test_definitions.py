import pytest
import torch

from cnnlab.models.definitions import DEFINITIONS


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_definition_gives_ten_logits_for_an_image(name):
    assert DEFINITIONS[name].build(seed=0)(torch.rand(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("name", ["sequential", "module"])
def test_the_tutorials_networks_have_its_layers_in_its_order(name):
    shapes = [tuple(parameter.shape) for parameter in DEFINITIONS[name].build(seed=0).parameters()]
    weights = [(8, 1, 3, 3), (16, 8, 3, 3), (64, 400), (32, 64), (10, 32)]
    assert shapes == [shape for weight in weights for shape in (weight, weight[:1])]


def test_the_two_definitions_compute_the_same_from_the_same_seed():
    images = torch.rand(5, 1, 28, 28)
    sequential, module = (DEFINITIONS[name].build(seed=3)(images) for name in ("sequential", "module"))
    assert torch.equal(sequential, module)


def test_building_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    DEFINITIONS["module"].build(seed=99)
    assert torch.equal(torch.rand(4), expected)


def test_the_source_shown_is_the_definition():
    assert DEFINITIONS["sequential"].source.startswith("def sequential()")
    assert DEFINITIONS["module"].source.startswith("class Net(nn.Module)")
    assert DEFINITIONS["residual"].source.startswith("class ResidualNet(nn.Module)")


def test_the_residual_network_is_of_the_size_of_the_others():
    sizes = {name: sum(p.numel() for p in DEFINITIONS[name].build(seed=0).parameters()) for name in DEFINITIONS}
    assert sizes["residual"] == pytest.approx(sizes["module"], rel=0.03)
