"""From a network that was read to a module of PyTorch: nothing of the source is executed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.models.reading.kinds import sides_of
from cnnlab.models.reading.network import IMAGE, Arguments, Network, Step
from cnnlab.models.reading.understanding import require_trainable

# What a function of forward does. What holds numbers, or drops some, is a layer.
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "ReLU": lambda x, _: F.relu(x),
    "SiLU": lambda x, _: F.silu(x),
    "LeakyReLU": lambda x, given: F.leaky_relu(x, given["negative_slope"]),
    "GELU": lambda x, given: F.gelu(x, approximate=given["approximate"]),
    "Tanh": lambda x, _: torch.tanh(x),
    "Sigmoid": lambda x, _: torch.sigmoid(x),
    "Identity": lambda x, _: x,
    "Softmax": lambda x, given: F.softmax(x, dim=given["dim"]),
    "LogSoftmax": lambda x, given: F.log_softmax(x, dim=given["dim"]),
    "Flatten": lambda x, _: torch.flatten(x, 1),
    "ZeroPad2d": lambda x, given: F.pad(x, sides_of(given["padding"])),
    "AdaptiveAvgPool2d": lambda x, given: F.adaptive_avg_pool2d(x, given["output_size"]),
    "MaxPool2d": lambda x, given: F.max_pool2d(x, given["kernel_size"], **_but(given, "kernel_size")),
    "AvgPool2d": lambda x, given: F.avg_pool2d(x, given["kernel_size"], **_but(given, "kernel_size")),
}


def _but(given: Arguments, name: str) -> Arguments:
    return {each: value for each, value in given.items() if each != name}


def build(network: Network) -> nn.Module:
    """Make the module that a source says, with first weights from PyTorch's random numbers as they are now.

    Its layers are made in the order of the source, so that a seed draws the same first weights as if the source were
    run, and its ``state_dict`` has the names that the source gives.

    Raises
    ------
    CannotRead
        If the network has a mistake that prevents training.
    """
    require_trainable(network)
    layers = [(each.path, _layer(each.kind, each.arguments)) for each in network.declared]
    if network.form == "sequential":
        return _with(nn.Sequential(), layers)
    return _with(_Read(network), layers)


def _layer(kind: str, arguments: Arguments) -> nn.Module:
    # In place, an activation would write over a feature map that somebody wants to see; the numbers are the same.
    given = {name: value for name, value in arguments.items() if name not in ("size", "inplace")}
    if kind == "ZeroPad2d":
        return nn.ZeroPad2d(sides_of(given["padding"]))
    layer: nn.Module = getattr(nn, kind)(**given)
    return layer


def _with(module: nn.Module, layers: Sequence[tuple[str, nn.Module]]) -> nn.Module:
    """Give a module its layers, those with a path like "features.0" within lists of their own."""
    for path, layer in layers:
        parent = module
        *around, name = path.split(".")
        for part in around:
            if part not in dict(parent.named_children()):
                parent.add_module(part, nn.Sequential())
            parent = parent.get_submodule(part)
        parent.add_module(name, layer)
    return module


class _Read(nn.Module):
    """Does the steps of a forward method that was read."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._steps = network.steps

    def _get_name(self) -> str:
        return "Module"

    def forward(self, x: Tensor) -> Tensor:
        results: dict[int, Tensor] = {IMAGE: x}
        for place, step in enumerate(self._steps):
            results[place] = self._done(step, [results[each] for each in step.inputs])
        return results[len(self._steps) - 1]

    def _done(self, step: Step, given: list[Tensor]) -> Tensor:
        if step.layer is not None:
            layer: Any = self.get_submodule(step.layer)
            return layer(given[0])
        if step.kind == "Add":
            return given[0] + given[1]
        if step.kind == "Cat":
            return torch.cat(given, dim=1)
        if step.kind in ("Dropout", "Dropout2d"):
            dropped = F.dropout if step.kind == "Dropout" else F.dropout2d
            return dropped(given[0], step.arguments["p"], training=self.training)
        return _FUNCTIONS[step.kind](given[0], step.arguments)
