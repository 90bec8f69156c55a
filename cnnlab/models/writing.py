"""A network that was read, written in either form, as a good engineer would."""

from collections import Counter
from math import prod
from typing import Any

from cnnlab.errors import LabError
from cnnlab.models.reading.kinds import KINDS, REQUIRED, sides_of
from cnnlab.models.reading.network import IMAGE, Arguments, Network, Step
from cnnlab.models.reading.understanding import Understood, product_of

FORMS = {"sequential": "nn.Sequential", "module": "nn.Module"}
IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
# Written by their places; the others by their names.
_BY_PLACE = ("in_channels", "out_channels", "in_features", "out_features", "num_features", "num_groups", "num_channels")
_ALONE = ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "ZeroPad2d", "Dropout", "Dropout2d", "LeakyReLU")
_NAMES = {
    "Conv2d": "conv",
    "Linear": "fc",
    "BatchNorm1d": "bn",
    "BatchNorm2d": "bn",
    "GroupNorm": "norm",
    "Dropout": "dropout",
    "Dropout2d": "dropout",
}
_FUNCTIONS = {
    "ReLU": "F.relu",
    "SiLU": "F.silu",
    "LeakyReLU": "F.leaky_relu",
    "GELU": "F.gelu",
    "Tanh": "torch.tanh",
    "Sigmoid": "torch.sigmoid",
    "Softmax": "F.softmax",
    "LogSoftmax": "F.log_softmax",
    "ZeroPad2d": "F.pad",
    "MaxPool2d": "F.max_pool2d",
    "AvgPool2d": "F.avg_pool2d",
    "AdaptiveAvgPool2d": "F.adaptive_avg_pool2d",
}
# A line of forward ends before these; what follows on them is written around them.
_BEGINS_LINE = ("Conv2d", "Linear", "Flatten", "Add", "Cat", "ZeroPad2d")


class CannotBeSequential(LabError):
    """A network computes what a list of layers cannot say.

    Attributes
    ----------
    line
        Of the source that makes it so.
    """

    def __init__(self, line: int, told: str) -> None:
        super().__init__(f"Line {line} {told}: a list hands on one thing, from each layer to the next.")
        self.line = line


def in_other_form(understood: Understood) -> str:
    """Return a network in the form that its source is not in.

    Raises
    ------
    CannotBeSequential
        If that is a list, and cannot say it.
    """
    return as_module(understood) if understood.network.form == "sequential" else as_sequential(understood)


def as_sequential(understood: Understood) -> str:
    """Return a network as an `nn.Sequential`, with the shapes behind the lines.

    Raises
    ------
    CannotBeSequential
        If a result is used twice, or results are joined.
    """
    network = understood.network
    _require_a_chain(network)
    lines = ["model = nn.Sequential("]
    for step, cost in zip(network.steps, understood.costs, strict=True):
        shape = f"  # {_shape(cost.after)}" if cost.after and cost.after != cost.before else ""
        lines.append(f"    {_layer(step.kind, step.arguments, _product(understood, step))},{shape}")
    return "\n".join([*lines, ")"]) + "\n"


def _require_a_chain(network: Network) -> None:
    users = Counter(each for step in network.steps for each in set(step.inputs))
    for step in network.steps:
        if (named := next((each for each in step.inputs if users[each] > 1), None)) is not None:
            lines = {other.line for other in network.steps if named in other.inputs}
            what = "the image" if named == IMAGE else f"what line {network.steps[named].line} gives"
            again = "twice" if len(lines) == 1 else f"and so does line {max(lines - {step.line})}"
            raise CannotBeSequential(step.line, f"uses {what}, {again}" if len(lines) > 1 else f"uses {what} {again}")
        if len(step.inputs) > 1:
            raise CannotBeSequential(step.line, "joins two results")
    used = Counter(step.layer for step in network.steps if step.layer)
    for step in network.steps:
        if step.layer and used[step.layer] > 1:
            raise CannotBeSequential(step.line, f"uses the layer {step.layer}, which another line uses too")


def as_module(understood: Understood) -> str:
    """Return a network as a class: layers that hold numbers as attributes, the others as functions in ``forward``."""
    network = understood.network
    names = names_of(network)
    lines = ["class Net(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
    kinds = {each.path: each for each in network.declared}
    first_use = {step.layer: step for step in reversed(network.steps)}
    for path, name in names.items():
        layer = kinds[path]
        lines.append(
            f"        self.{name} = {_layer(layer.kind, layer.arguments, _product(understood, first_use[path]))}"
        )
    lines += ["", "    def forward(self, x: torch.Tensor) -> torch.Tensor:"]
    return "\n".join([*lines, *_forward(understood, names)]) + "\n"


def names_of(network: Network) -> dict[str, str]:
    """Return what each layer that must be declared is called: its own name in a class, else conv1, conv2, fc1."""
    used = {step.layer for step in network.steps}
    kept = [each for each in network.declared if each.kind in _NAMES and each.path in used]
    if network.form == "module" and all(each.path.isidentifier() for each in kept):
        return {each.path: each.path for each in kept}
    totals, counts = Counter(_NAMES[each.kind] for each in kept), Counter[str]()
    names = {}
    for each in kept:
        name = _NAMES[each.kind]
        counts[name] += 1
        names[each.path] = name if name == "dropout" and totals[name] == 1 else f"{name}{counts[name]}"
    return names


def _forward(understood: Understood, names: dict[str, str]) -> list[str]:
    """Return the lines of forward: each begins with what holds numbers or joins, and ends with what is done to it."""
    network = understood.network
    users: dict[int, list[int]] = {}
    for place, step in enumerate(network.steps):
        for each in step.inputs:
            users.setdefault(each, []).append(place)
    last = len(network.steps) - 1
    # A result that is used later than in the next line needs a name of its own.
    variables = {IMAGE: "x"}
    lines: list[str] = []
    written: dict[int, str] = {}
    for place, step in enumerate(network.steps):
        given = [written.get(each) or variables[each] for each in step.inputs]
        written[place] = _call(step, given, names)
        following = users.get(place, [])
        ends = place == last or len(following) != 1 or following[0] != place + 1
        if not ends and network.steps[place + 1].kind in _BEGINS_LINE:
            ends = not (network.steps[place + 1].kind == "Add" and network.steps[place + 1].inputs[-1] == place)
        if not ends:
            continue
        cost = understood.costs[place]
        shape = f"  # {_shape(cost.after)}" if cost.after else ""
        if place == last:
            lines.append(f"        return {written[place]}{shape}")
            break
        if step.kind == "Identity" and written[place] in variables.values():
            variables[place] = written.pop(place)  # another name for the same would be a line that does nothing
            continue
        waiting = {each for later in network.steps[place + 1 :] for each in later.inputs if each <= place} - {place}
        name = "x" if not any(variables.get(each) == "x" for each in waiting) else _new_name(variables, waiting)
        lines.append(f"        {name} = {written.pop(place)}{shape}")
        variables[place] = name
    return lines


def _new_name(variables: dict[int, str], waiting: set[int]) -> str:
    taken = {variables[each] for each in waiting if each in variables}
    return next(name for name in ("y", "z", *(f"x{number}" for number in range(2, 200))) if name not in taken)


def _call(step: Step, given: list[str], names: dict[str, str]) -> str:
    first = given[0]
    if step.layer in names:
        return f"self.{names[step.layer]}({first})"
    match step.kind:
        case "Add":
            return " + ".join(given)
        case "Cat":
            return f"torch.cat([{', '.join(given)}], dim=1)"
        case "Flatten":
            return f"{first}.flatten(start_dim=1)"
        case "Identity":
            return first
        case "Dropout" | "Dropout2d":
            function = "F.dropout" if step.kind == "Dropout" else "F.dropout2d"
            return f"{function}({first}, {step.arguments['p']}, training=self.training)"
        case "ZeroPad2d":
            return f"F.pad({first}, {sides_of(step.arguments['padding'])})"
    given_too = _written(step.kind, step.arguments)
    return f"{_FUNCTIONS[step.kind]}({', '.join([first, *given_too])})"


def _layer(kind: str, arguments: Arguments, numbers: str = "") -> str:
    written = _written(kind, arguments)
    if numbers:
        written[0] = numbers
    return f"nn.{kind}({', '.join(written)})"


def _product(understood: Understood, step: Step) -> str:
    """Return how many numbers a linear layer takes as the product of the maps' sides, 16 * 5 * 5, right after them."""
    place = step.inputs[0]
    if step.kind != "Linear" or place == IMAGE or understood.network.steps[place].kind != "Flatten":
        return ""
    before = understood.costs[place].before or ()
    return product_of(before) if prod(before) == step.arguments["in_features"] else ""


def _written(kind: str, arguments: Arguments) -> list[str]:
    """Return the arguments of a layer as they are written: those that are not their defaults."""
    written: list[str] = []
    for place, (name, default) in enumerate(KINDS[kind].defaults.items()):
        value: Any = arguments[name]
        is_told_anyway = name in ("p", "dim") or default is REQUIRED
        if name in ("size", "inplace") or (value == default and not is_told_anyway):
            continue
        by_place = name in _BY_PLACE or (kind in _ALONE and place == 0)
        written.append(repr(value) if by_place else f"{name}={value!r}")
    return written


def _shape(shape: tuple[int, ...]) -> str:
    return f"-> {shape}"
