import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from listings import LISTINGS, TUTORIALS_CLASS, TUTORIALS_LIST
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.building import build
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import MOST_CHARACTERS, read
from cnnlab.models.reading.understanding import understand

RUN = {"torch": torch, "nn": nn, "F": F}


def built_and_run(source, name):
    """Return the module that the lab builds of a source, and the one that Python makes of it, from one seed."""
    network = read(source)
    torch.manual_seed(5)
    built = build(network)
    names = dict(RUN)
    exec(source, names)
    torch.manual_seed(5)
    made = names[name]
    return built, made() if isinstance(made, type) else eval(
        re.search(r"nn\.Sequential\(.*?\)\)\n", source, re.S)[0], names
    )


def assert_same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(one(images), other(images))


@pytest.mark.slow
@pytest.mark.parametrize(("source", "name"), [(TUTORIALS_LIST, "model1"), (TUTORIALS_CLASS, "Net")])
def test_the_tutorials_own_listings_build_what_they_would_make_if_they_were_run(source, name):
    assert_same(*built_and_run(source, name))


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_the_text_of_a_shipped_definition_builds_the_same_network(definition):
    torch.manual_seed(3)
    assert_same(build(read(definition.source)), definition.build(3))


FORWARDS = {
    "view by size": "return self.fc(x.view(x.size(0), -1))",
    "view by shape": "return self.fc(x.view(x.shape[0], -1))",
    "view by count": "return self.fc(x.view(-1, 28 * 28))",
    "reshape": "return self.fc(torch.reshape(x, (len(x), -1)))",
    "flatten": "x = torch.flatten(x, 1)\n        return self.fc(x)",
    "other names": "image = x\n        rows = image.flatten(start_dim=1)\n        return self.fc(rows)",
    "added": "x = x + x\n        x += self.conv(x)\n        return self.fc(x.flatten(1))",
    "joined": "y = torch.cat([self.conv(x), F.relu(x)], dim=1)\n        return self.wide(y.flatten(1))",
    "a layer made in forward": "return self.fc(nn.Flatten()(nn.ReLU()(x)))",
    "a list within": "return self.fc(self.features(x).flatten(1))",
    "one of a list": "return self.fc(self.features[0](x).flatten(1))",
    "dropout": "return self.fc(F.dropout(x.flatten(1), 0.25, training=self.training))",
    "methods": "return self.fc(x.relu().tanh().contiguous().flatten(1))",
}


@pytest.mark.parametrize("forward", FORWARDS.values(), ids=FORWARDS)
def test_a_forward_method_is_read_as_it_would_run(forward):
    source = f"""
class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        size = 28
        self.features = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(1)))
        self.conv = nn.Conv2d(1, 1, kernel_size=(3, 3), padding=1)
        self.fc = nn.Linear(size * size, classes)
        self.wide = nn.Linear(2 * size * size, classes)

    def forward(self, x):
        {forward}
"""
    names = dict(RUN)
    exec(source, names)
    torch.manual_seed(5)
    made = names["Net"]().eval()
    torch.manual_seed(5)
    assert_same(build(read(source)).eval(), made)


def test_layers_of_a_list_can_have_names():
    source = "nn.Sequential(OrderedDict([('rows', nn.Flatten()), ('out', nn.Linear(784, 10))]))"
    assert list(build(read(source)).state_dict()) == ["out.weight", "out.bias"]


def test_a_function_may_return_the_list():
    source = "def make(hidden=20) -> nn.Sequential:\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden))"
    assert understand(read(source)).costs[-1].after == (20,)


REFUSED = {
    "for i in range(3):\n    pass": (1, "a for loop"),
    "import os": (1, "os is imported"),
    "nn.Sequential(*layers)": (1, "a layer is expected here, and not a starred argument"),
    "nn.Sequential(nn.Conv2d(1, 8))": (1, "Conv2d needs kernel_size"),
    "nn.Sequential(nn.Conv2d(1, 8, 0))": (1, "kernel_size 0; allowed is a whole number from 1"),
    "nn.Sequential(nn.Conv2d(1, 8, 3, colour=2))": (1, "Conv2d takes no colour here"),
    "nn.Sequential(\n    nn.LSTM(3, 4),\n)": (2, "torch.nn.LSTM is no layer that the lab knows"),
    "nn.Sequential(nn.Linear(n, 10))": (1, "n is not known here"),
    "nn.Sequential(nn.Linear(10**9, 10))": (1, "this is not understood"),
    "x = (": (1, "Python does not understand this"),
    "": (1, "no network stands here"),
    "a = nn.Sequential(nn.Flatten())\nb = nn.Sequential(nn.Flatten())": (2, "a second network begins here"),
    "class Net(nn.Module):\n    pass": (1, "Net has no forward method"),
    "class N(nn.Module):\n    def __init__(s):\n        n = 4\n    def forward(self, x):\n        return F.pad(x, n)": (
        5,
        "n is not known here",
    ),
    "class Net:\n    def forward(self, x):\n        return x": (1, "must inherit from nn.Module alone"),
    "class Net(nn.Module):\n    def forward(self, x):\n        return x": (3, "must return what its last layer gives"),
    "class Net(nn.Module):\n    def forward(self, x):\n        return self.fc(x)": (
        3,
        "self.fc is made nowhere in __init__",
    ),
    "class Net(nn.Module):\n    def forward(self, x):\n        if x.sum() > 0:\n            return x": (
        3,
        "a condition",
    ),
    "class Net(nn.Module):\n    def forward(self, x):\n        return F.dropout(x)": (
        3,
        "needs training=self.training",
    ),
    "class Net(nn.Module):\n    def forward(self, x):\n        return torch.flatten(x)": (
        3,
        "flatten needs start_dim=1",
    ),
    "class Net(nn.Module):\n    def forward(self, x):\n        return F.relu(x) * F.relu(x)": (
        3,
        "joined by + or torch.cat",
    ),
    "class Net(nn.Module):\n    def forward(self, x):\n        return nn.Linear(4, 4)(x)": (3, "make it in __init__"),
    "nn.Sequential(" + "nn.ReLU(), " * 101 + ")": (1, "has 101 layers; at most 100"),
    "#" * (MOST_CHARACTERS + 1): (1, "at most 20,000 are read"),
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_not_understood_is_refused_with_its_line(source):
    line, told = REFUSED[source]
    with pytest.raises(CannotRead, match=re.escape(told)) as refusal:
        read(source)
    assert refusal.value.line == line
    assert str(refusal.value).startswith(f"Line {line}: ")


def test_the_listings_here_are_the_tutorials():
    shared = Path(__file__).parents[5] / "shared" / "tutorial.md"
    if not shared.exists():
        pytest.skip("the tutorial stands beside the project alone")
    text = shared.read_text(encoding="utf-8")
    for listing in (TUTORIALS_LIST, TUTORIALS_CLASS):
        assert all(line in text for line in listing.strip().splitlines())


@pytest.mark.parametrize("name", LISTINGS)
def test_listings_in_the_style_of_tutorials_are_read_or_refused_for_what_they_are(name):
    source, refused = LISTINGS[name]
    if refused is None:
        understood = understand(read(source))
        assert understood.can_train, understood.mistakes
        assert build(understood.network)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    else:
        with pytest.raises(CannotRead, match=rf"^Line \d+: {re.escape(refused)}"):
            read(source)
