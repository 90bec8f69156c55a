"""Networks by chance, written as lists and as classes, for the tests of reading and writing."""

import random

from cnnlab.models.reading.kinds import KINDS, Misfit
from cnnlab.models.reading.network import Network, Span, Step
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import as_module

NOWHERE = Span(1, 0, 1, 0)
TO_START_WITH = {
    "Conv2d": lambda chance, shape: {
        "in_channels": shape[0],
        "out_channels": chance.choice([2, 4, 6]),
        "kernel_size": chance.choice([1, 3, (3, 5)]),
        "stride": chance.choice([1, 2]),
        "padding": chance.choice([0, 1, "same"]),
        "bias": chance.random() < 0.8,
    },
    "MaxPool2d": lambda chance, _: {"kernel_size": chance.choice([2, 3]), "stride": chance.choice([None, 1, 2])},
    "AvgPool2d": lambda chance, _: {"kernel_size": 2, "padding": chance.choice([0, 1])},
    "AdaptiveAvgPool2d": lambda chance, _: {"output_size": chance.choice([1, 3, (2, 4)])},
    "BatchNorm2d": lambda _, shape: {"num_features": shape[0]},
    "GroupNorm": lambda _, shape: {"num_groups": 1, "num_channels": shape[0]},
    "ZeroPad2d": lambda chance, _: {"padding": chance.choice([1, (0, 1, 2, 0)])},
    "Dropout2d": lambda chance, _: {"p": chance.choice([0.1, 0.5])},
    **dict.fromkeys(("ReLU", "SiLU", "Tanh", "Sigmoid", "Identity"), lambda *_: {}),
    "LeakyReLU": lambda chance, _: {"negative_slope": chance.choice([0.01, 0.2])},
    "GELU": lambda chance, _: {"approximate": chance.choice(["none", "tanh"])},
}
TO_END_WITH = ("ReLU", "GELU", "Dropout", "BatchNorm1d", "Tanh")


def with_defaults(kind, given):
    return {**KINDS[kind].defaults, **given}


def random_layers(seed):
    """Return the kinds and arguments of a network's layers, one after the other."""
    chance = random.Random(seed)
    shape, layers = (1, 28, 28), []

    def add(kind, given):
        nonlocal shape
        arguments = with_defaults(kind, given)
        try:
            shape = KINDS[kind].shape(arguments, shape)
        except Misfit:
            return
        layers.append((kind, arguments))

    for _ in range(chance.randint(1, 7)):
        kind = chance.choice(list(TO_START_WITH))
        add(kind, TO_START_WITH[kind](chance, shape))
    add("AdaptiveAvgPool2d", {"output_size": 4})
    add("Flatten", {})
    add("Linear", {"in_features": shape[0], "out_features": chance.choice([8, 16])})
    for _ in range(chance.randint(0, 2)):
        kind = chance.choice(TO_END_WITH)
        add(kind, {"num_features": shape[0]} if kind == "BatchNorm1d" else {})
    add("Linear", {"in_features": shape[0], "out_features": 10})
    return layers


def list_of(layers):
    """Return the source of an nn.Sequential, plainly, with all arguments by name."""
    lines = []
    for kind, arguments in layers:
        told = {name: value for name, value in arguments.items() if name != "size"}
        lines.append(f"    nn.{kind}({', '.join(f'{name}={value!r}' for name, value in told.items())}),")
    return "\n".join(["nn.Sequential(", *lines, ")"])


def random_branches(seed):
    """Return the source of a class whose branches are added or joined, as the lab writes it."""
    chance = random.Random(seed)
    steps: list[Step] = []
    channels = chance.choice([4, 6])

    def add(kind, inputs, **given):
        arguments = with_defaults(kind, given) if kind in KINDS else {}
        steps.append(Step(kind, arguments, inputs, NOWHERE))
        return len(steps) - 1

    place = add("MaxPool2d", (-1,), kernel_size=4)
    for _ in range(chance.randint(1, 4)):
        one = add(chance.choice(["ReLU", "Tanh", "SiLU"]), (place,))
        other = add("AvgPool2d", (place,), kernel_size=3, stride=1, padding=1)
        if chance.random() < 0.5:
            other = add("Sigmoid", (other,))
        place = add(chance.choice(["Add", "Cat"]), chance.choice([(one, other), (other, one)]))
    place = add("AdaptiveAvgPool2d", (place,), output_size=(1, 10))
    place = add("AvgPool2d", (place,), kernel_size=1)
    assert channels
    return as_module(understand(Network("module", "Net", (), tuple(steps), True, None, 1)))
