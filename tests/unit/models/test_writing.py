import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_networks import list_of, random_branches, random_layers
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.building import build
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import CannotBeSequential, as_module, as_sequential

SEEDS = st.integers(0, 10**9)


def run(source):
    """Return the module that Python makes of a source that the lab has written."""
    names = {"torch": torch, "nn": nn, "F": F}
    exec(source, names)
    torch.manual_seed(1)
    if "Net" in names:
        return names["Net"]().eval()
    exec(source, names)  # again, from the seed
    return names["model"].eval()


def logits(source, seed=1):
    torch.manual_seed(seed)
    module = build(read(source)).eval()
    return module, module(torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(2)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_both_forms_of_any_list_give_the_same_logits_to_the_last_bit(seed):
    typed = list_of(random_layers(seed))
    _, expected = logits(typed)
    understood = understand(read(typed))
    for written in (as_sequential(understood), as_module(understood)):
        module, found = logits(written)
        assert torch.equal(found, expected), written
        executed = run(written)
        assert list(executed.state_dict()) == list(module.state_dict())
        images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(2))
        assert torch.equal(executed(images), expected)


@settings(max_examples=40, deadline=None)
@example(19_038)  # an Identity first
@given(SEEDS)
def test_what_was_written_is_written_again_alike(seed):
    understood = understand(read(list_of(random_layers(seed))))
    for form in (as_sequential, as_module):
        written = form(understood)
        assert form(understand(read(written))) == written


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_branches_are_written_so_that_they_are_read_again(seed):
    written = random_branches(seed)
    understood = understand(read(written))
    assert as_module(understood) == written
    with pytest.raises(CannotBeSequential, match="a list hands on one thing"):
        as_sequential(understood)


def test_the_tutorials_list_is_written_as_its_class():
    written = as_module(understand(read(DEFINITIONS["sequential"].source)))
    assert "self.conv2 = nn.Conv2d(8, 16, kernel_size=3)\n        self.fc1 = nn.Linear(16 * 5 * 5, 64)" in written
    assert "x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # -> (8, 13, 13)" in written
    assert written.endswith("return self.fc3(x)  # -> (10,)\n")


def test_what_makes_a_list_impossible_is_named_by_its_line():
    source = DEFINITIONS["residual"].source
    number = next(number for number, line in enumerate(source.splitlines(), 1) if "self.branch(x)" in line)
    with pytest.raises(CannotBeSequential, match=f"Line {number} uses what line {number - 1} gives twice"):
        as_sequential(understand(read(source)))


def test_a_layer_used_twice_makes_a_list_impossible():
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.fc = nn.Linear(576, 10)
    def forward(self, x):
        x = self.conv(x)
        x = self.conv(x)
        return self.fc(x.flatten(1))
"""
    with pytest.raises(CannotBeSequential, match="Line 8 uses the layer conv, which another line uses too"):
        as_sequential(understand(read(source)))
