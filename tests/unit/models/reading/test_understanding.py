import pytest
import torch
from random_networks import list_of, random_layers

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.layers import layers_of
from cnnlab.models.reading.building import build
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand

HEAD = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_shapes_and_costs_are_those_that_pytorch_counts(definition):
    understood = understand(read(definition.source))
    counted = layers_of(definition.build(0))
    assert [cost.after for cost in understood.costs] == [layer.output_shape for layer in counted]
    assert [cost.parameters for cost in understood.costs] == [layer.parameters for layer in counted]
    assert [cost.multiply_adds for cost in understood.costs] == [layer.multiply_adds for layer in counted]
    assert understood.mistakes == ()


@pytest.mark.parametrize("seed", range(30))
def test_shapes_of_networks_by_chance_are_pytorchs(seed):
    understood = understand(read(list_of(random_layers(seed))))
    module = build(understood.network).eval()
    values = torch.zeros(2, 1, 28, 28)
    for layer, cost in zip(module, understood.costs, strict=True):
        values = layer(values)
        assert tuple(values.shape[1:]) == cost.after
    assert understood.parameters == sum(each.numel() for each in module.parameters())


def mended(source):
    """Return a source after its first fix, and what the button says."""
    fix = next(mistake.fix for mistake in understand(read(source)).mistakes if mistake.fix)
    return fix.span.replaced_in(source, fix.new), fix.told


LIST = "nn.Sequential(\n    nn.Conv2d(1, 4, 3),\n    nn.ReLU(),\n    {},\n    nn.Linear({}),\n)"
FORWARD = (
    HEAD
    + "        self.conv = nn.Conv2d(1, 4, 3)\n        self.fc = nn.Linear(2704, 10)\n\n    def forward(self, x):\n"
)
WRONG = {
    "a norm of groups of one number": (
        "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.GroupNorm(1, 1), nn.Flatten(), nn.Linear(1, 10))",
        (1, "has a single number in each group, of which it makes 0: leave it out"),
        None,
    ),
    "not flattened": (
        LIST.format("nn.ReLU()", "4 * 26 * 26, 10"),
        (5, "nn.Linear takes 2,704 numbers in a row, and is given 4 × 26 × 26: flatten first."),
        ("Flatten first", "nn.Flatten(), nn.Linear(4 * 26 * 26, 10)"),
    ),
    "not flattened, in a class": (
        FORWARD + "        return self.fc(F.relu(self.conv(x)))\n",
        (8, "nn.Linear takes 2,704 numbers in a row, and is given 4 × 26 × 26: flatten first."),
        ("Flatten first", "self.fc(F.relu(self.conv(x)).flatten(start_dim=1))"),
    ),
    "a wrong number": (
        LIST.format("nn.Flatten()", "4 * 25 * 25, 10"),
        (5, "nn.Linear takes 2,500 numbers, and is given 2,704."),
        ("Write 4 * 26 * 26", "nn.Linear(4 * 26 * 26, 10)"),
    ),
    "wrong channels": (
        "nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2704, 10))",
        (1, "nn.Conv2d takes 3 channels, and is given 1."),
        ("Write 1", "nn.Conv2d(1, 4, 3)"),
    ),
    "not ten": (
        LIST.format("nn.Flatten()", "2704, 12"),
        (5, "The network gives 12 numbers; there must be ten, one for each digit."),
        ("Write 10", "nn.Linear(2704, 10)"),
    ),
    "no super": (
        "class Net(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(784, 10)\n\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(1))\n",
        (3, "super().__init__() is missing: PyTorch needs it before the first layer is made."),
        ("Write it", "        super().__init__()\n        self.fc = nn.Linear(784, 10)"),
    ),
    "a view that mixes images": (
        FORWARD + "        x = self.conv(x).view(-1, 1352)\n        return self.fc(x)\n",
        (8, "nn.Flatten makes rows of 1,352 numbers, and an image has 2,704 here: images would be mixed."),
        ("Write flatten(start_dim=1)", "x = self.conv(x).flatten(start_dim=1)\n"),
    ),
    "a call that mixes images": (
        FORWARD + "        x = torch.reshape(self.conv(x), (-1, 1352))\n        return self.fc(x)\n",
        (8, "nn.Flatten makes rows of 1,352 numbers, and an image has 2,704 here: images would be mixed."),
        None,
    ),
    "no image left": (
        "nn.Sequential(\n    nn.MaxPool2d(9),\n    nn.MaxPool2d(9),\n    nn.Flatten(),\n    nn.Linear(9, 10))",
        (3, "nn.MaxPool2d looks at 9 × 9 pixels, and is given maps of 3 × 3: no image is left"),
        None,
    ),
    "unequal sums": (
        FORWARD + "        return self.fc(x + self.conv(x))\n",
        (8, "+ adds 1 × 28 × 28 and 4 × 26 × 26: only equal shapes are added number by number."),
        None,
    ),
    "a sum in place that is used again": (
        FORWARD.replace("2704", "784").replace("4, 3)", "1, 3, padding=1)")
        + "        y = x\n        x += self.conv(x)\n        return self.fc((x + y).flatten(1))\n",
        (9, "This is done in place, and so changes what line 10 uses too."),
        None,
    ),
    "an activation in place whose image is used again": (
        FORWARD.replace("2704", "784").replace("4, 3)", "1, 3, padding=1)")
        + "        y = F.relu(x, inplace=True)\n        return self.fc((self.conv(x) + y).flatten(1))\n",
        (8, "This is done in place, and so changes what line 9 uses too."),
        None,
    ),
    "too many numbers": (
        "nn.Sequential(nn.Flatten(), nn.Linear(784, 3000), nn.ReLU(), nn.Linear(3000, 10))",
        (1, "The network has 2,385,010 parameters; the lab trains at most 2,000,000."),
        None,
    ),
}
UNWISE = {
    "a softmax": (
        "nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(dim=1))",
        (1, "nn.Softmax before the cross entropy"),
        ("Take it out", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"),
    ),
    "no activation": (
        "nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Linear(20, 10))",
        (1, "No activation stands between line 1 and this"),
        ("Put a ReLU between", "nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)"),
    ),
    "never used": (
        FORWARD + "        return self.fc(F.pad(x, (12, 12, 12, 12)).flatten(1))\n",
        (4, "conv is made here, and forward never uses it."),
        None,
    ),
}


@pytest.mark.parametrize("case", {**WRONG, **UNWISE})
def test_a_mistake_is_told_at_its_line_with_what_mends_it(case):
    source, (line, told), fix = {**WRONG, **UNWISE}[case]
    understood = understand(read(source))
    mistake = next(each for each in understood.mistakes if told in each.told)
    assert mistake.line == line
    assert mistake.prevents == (case in WRONG)
    assert understood.can_train == (case not in WRONG)
    if fix:
        text, button = mended(source)
        assert button == fix[0]
        assert fix[1] in text
        assert told not in " ".join(each.told for each in understand(read(text)).mistakes)
    else:
        assert mistake.fix is None


def test_what_cannot_be_trained_is_not_built():
    with pytest.raises(CannotRead, match=r"Line 5: nn\.Linear takes 2,500 numbers"):
        build(read(WRONG["a wrong number"][0]))


def test_a_fix_behind_letters_of_several_bytes_falls_where_it_should():
    source = "nn.Sequential(nn.Flatten(), nn.Linear(3, 10))  # größer"
    assert mended("# ÄÖ\n" + source)[0] == "# ÄÖ\n" + source.replace("3", "28 * 28")
    inline = "model = nn.Sequential(OrderedDict([('größe', nn.Flatten()), ('b', nn.Linear(3, 10))]))"
    assert "nn.Linear(28 * 28, 10)" in mended(inline)[0]


def test_twice_a_softmax_keeps_the_loss_above_what_is_told():
    surest = torch.zeros(1, 10)
    surest[0, 3] = 1.0  # the most that a softmax can give
    loss = torch.nn.functional.cross_entropy(surest, torch.tensor([3]))
    assert loss.item() == pytest.approx(1.46, abs=0.005)
    assert surest.softmax(dim=1).max().item() == pytest.approx(0.23, abs=0.005)
