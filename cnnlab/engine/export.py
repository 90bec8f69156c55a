"""A trained network as data: a graph of plain layers, and its weights, for `engine.js` to run in the browser.

    {"layers": [{"op": "conv2d", "name": "conv1", "inputs": [-1], "shape": [8, 26, 26], "weight": [0, 72], ...}, ...]}

Layers stand in the order in which they are computed, and the last one gives the logits. Their inputs are places in the
list; -1 is the image. Weights are places and lengths in one array of float32. A layer's scale is how far from zero its
numbers go.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError

IMAGE = -1
_WITHIN_SCALE = 0.999  # so many of a layer's numbers: one that stands out would leave all others dark


class CannotExport(LabError):
    """A network does something that the browser's engine does not know."""


@dataclass(frozen=True)
class Exported:
    """A network for the browser.

    Attributes
    ----------
    layers
        As the module says.
    weights
        All of them, one after the other: float32, little-endian.
    """

    layers: list[dict[str, Any]]
    weights: bytes


def export(module: nn.Module, examples: Tensor | None = None) -> Exported:
    """Export a network that maps (N, 1, 28, 28) to ten logits, as it is in evaluation.

    Parameters
    ----------
    module
        On the CPU, float32; its mode and its weights are left as they are.
    examples
        Images, shape (N, 1, 28, 28), from which each layer's scale is taken. Without any, the scales are 1.

    Raises
    ------
    CannotExport
        If its code cannot be followed, or a layer is none that the engine knows.
    """
    was_training = module.training
    module.eval()
    try:
        traced = fx.symbolic_trace(module)
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, *IMAGE_SHAPE))
            scales = _Scales(traced).of(examples) if examples is not None else {}
    except Exception as error:  # it runs the network's code, which is anybody's
        raise CannotExport(f"torch.fx cannot follow the network's code ({type(error).__name__}: {error}).") from error
    finally:
        module.train(was_training)
    return _Exporter(traced, scales).exported()


class _Scales(fx.Interpreter):
    """Finds how far from zero the numbers of each layer go."""

    def of(self, images: Tensor) -> dict[fx.Node, float]:
        self._found: dict[fx.Node, float] = {}
        self.run(images)
        return self._found

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point():
            numbers = result.abs().ravel()
            self._found[n] = float(numbers.kthvalue(max(1, round(_WITHIN_SCALE * len(numbers)))).values)
        return result


@dataclass
class _Exporter:
    traced: fx.GraphModule
    scales: dict[fx.Node, float]
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    length: int = 0
    places: dict[fx.Node, int] = field(default_factory=dict)

    def exported(self) -> Exported:
        for node in self.traced.graph.nodes:
            match node.op:
                case "placeholder":
                    self.places[node] = IMAGE
                case "output":
                    self._end_with(node.args[0])
                case "call_module" | "call_function" | "call_method":
                    self._take(node)
        weights = np.concatenate(self.weights) if self.weights else np.zeros(0, np.float32)
        return Exported(self.layers, weights.astype("<f4").tobytes())

    def _end_with(self, node: Any) -> None:
        if not isinstance(node, fx.Node) or _shape_of(node) != [10] or not self.layers:
            raise CannotExport("The network does not give ten logits for an image.")
        if self.places[node] != len(self.layers) - 1:  # what comes after it is of no use
            del self.layers[self.places[node] + 1 :]

    def _take(self, node: fx.Node) -> None:
        if not isinstance(node.meta.get("tensor_meta"), fx.passes.shape_prop.TensorMetadata):
            return  # a size, of which a shape is computed: the shapes are known
        layer = self._layer(node)
        inputs = [self._place_of(each) for each in _tensors_among(node)]
        if layer is None:  # in evaluation, nothing happens
            self.places[node] = inputs[0]
            return
        self.places[node] = len(self.layers)
        scale = float(f"{self.scales.get(node) or 1:.4g}")
        about = {"name": _name_of(node), "inputs": inputs, "shape": _shape_of(node), "scale": scale}
        self.layers.append({**about, **layer})

    def _place_of(self, node: fx.Node) -> int:
        if node not in self.places:
            raise CannotExport(f"{node.name} is not computed from the image.")
        return self.places[node]

    def _layer(self, node: fx.Node) -> dict[str, Any] | None:
        if node.op == "call_module":
            return self._of_module(self.traced.get_submodule(str(node.target)), node)
        if node.target in _RESHAPES:
            return {"op": "reshape"}
        if node.target in _ADDITIONS and len(_tensors_among(node)) == 2 and not node.kwargs:
            one, other = (_shape_of(each) for each in _tensors_among(node))
            if one == other:
                return {"op": "add"}
        if node.target in _JOINS and _dim_of(node) in (1, 1 - len(_shape_of(node)) - 1):
            return {"op": "cat"}
        if node.target in _AS_LAYERS:
            layer, names = _AS_LAYERS[node.target]
            given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
            if given.pop("training", False) or any(isinstance(each, fx.Node) for each in given.values()):
                raise _unknown(node)
            given.pop("inplace", None)
            given.pop("input", None)
            return self._of_module(layer(**given), node)
        raise _unknown(node)

    def _of_module(self, layer: nn.Module, node: fx.Node) -> dict[str, Any] | None:
        match layer:
            case nn.Conv2d() if layer.padding_mode == "zeros":
                padding = layer.padding if isinstance(layer.padding, tuple) else _padding_named(layer)
                return {
                    "op": "conv2d",
                    "kernel": _pair(layer.kernel_size),
                    "stride": _pair(layer.stride),
                    "padding": _pair(padding),
                    "dilation": _pair(layer.dilation),
                    "groups": layer.groups,
                    **self._weights(weight=layer.weight, bias=layer.bias),
                }
            case nn.Linear():
                return {"op": "linear", **self._weights(weight=layer.weight, bias=layer.bias)}
            case nn.BatchNorm2d() | nn.BatchNorm1d() if layer.running_mean is not None:
                return {"op": "scale", **self._normalizing(layer)}
            case nn.GroupNorm():
                affine = self._weights(weight=layer.weight, bias=layer.bias)
                return {"op": "group_norm", "groups": layer.num_groups, "eps": layer.eps, **affine}
            case nn.MaxPool2d() if not layer.return_indices:
                sizes = {"kernel": _pair(layer.kernel_size), "stride": _pair(layer.stride)}
                return {"op": "max_pool2d", **sizes, "padding": _pair(layer.padding), "dilation": _pair(layer.dilation)}
            case nn.AvgPool2d() if not layer.ceil_mode and layer.divisor_override is None:
                sizes = {"kernel": _pair(layer.kernel_size), "stride": _pair(layer.stride)}
                return {"op": "avg_pool2d", **sizes, "padding": _pair(layer.padding), "pads": layer.count_include_pad}
            case nn.AdaptiveAvgPool2d():
                return {"op": "adaptive_avg_pool2d"}
            case nn.AdaptiveMaxPool2d() if not layer.return_indices:
                return {"op": "adaptive_max_pool2d"}
            case nn.ZeroPad2d() if all(each >= 0 for each in layer.padding):
                left, _, top, _ = layer.padding
                return {"op": "pad", "padding": [top, left]}
            case nn.LeakyReLU():
                return {"op": "leaky_relu", "slope": layer.negative_slope}
            case nn.GELU():
                return {"op": "gelu" if layer.approximate == "none" else "gelu_tanh"}
            case nn.ReLU() | nn.SiLU() | nn.Tanh() | nn.Sigmoid():
                return {"op": type(layer).__name__.lower()}
            case nn.Flatten():
                return {"op": "reshape"}
            case nn.Dropout() | nn.Dropout2d() | nn.Identity():
                return None
            case _:
                raise _unknown(node, type(layer).__name__)

    def _weights(self, **tensors: Tensor | None) -> dict[str, list[int]]:
        return {name: self._place(tensor) for name, tensor in tensors.items() if tensor is not None}

    def _normalizing(self, layer: Any) -> dict[str, list[int]]:
        """Return a batch normalization in evaluation, which scales and shifts each channel by fixed numbers."""
        mean, variance = layer.running_mean.double(), layer.running_var.double()
        scale = (variance + layer.eps).rsqrt() * (layer.weight.double() if layer.affine else 1)
        shift = (layer.bias.double() if layer.affine else 0) - mean * scale
        return self._weights(weight=scale, bias=shift)

    def _place(self, tensor: Tensor) -> list[int]:
        numbers = tensor.detach().float().numpy().ravel()
        self.weights.append(numbers)
        self.length += len(numbers)
        return [self.length - len(numbers), len(numbers)]


_RESHAPES = {torch.flatten, "flatten", "view", "reshape", torch.reshape}
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_JOINS = {torch.cat, torch.concat}
# Functions, the layers that do the same, and what a function takes after the values.
_AS_LAYERS: dict[Any, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
    **dict.fromkeys((F.relu, torch.relu, "relu", "relu_"), (nn.ReLU, ("inplace",))),
    **dict.fromkeys((torch.tanh, F.tanh, "tanh"), (nn.Tanh, ())),
    **dict.fromkeys((torch.sigmoid, F.sigmoid, "sigmoid"), (nn.Sigmoid, ())),
    F.leaky_relu: (nn.LeakyReLU, ("negative_slope", "inplace")),
    F.gelu: (nn.GELU, ()),
    F.silu: (nn.SiLU, ("inplace",)),
    F.dropout: (nn.Dropout, ("p", "training", "inplace")),
    F.dropout2d: (nn.Dropout2d, ("p", "training", "inplace")),
    **dict.fromkeys(
        (F.max_pool2d, torch.max_pool2d),
        (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    ),
    F.avg_pool2d: (
        nn.AvgPool2d,
        ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    ),
    F.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    F.adaptive_max_pool2d: (nn.AdaptiveMaxPool2d, ("output_size", "return_indices")),
}


def _tensors_among(node: fx.Node) -> list[fx.Node]:
    """Return the nodes whose values a node takes, once for each time that it takes them."""
    given: list[fx.Node] = []
    for each in (*node.args, *node.kwargs.values()):
        among = each if isinstance(each, list | tuple) else [each]
        given += [one for one in among if isinstance(one, fx.Node) and _is_tensor(one)]
    return given


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("tensor_meta"), fx.passes.shape_prop.TensorMetadata)


def _shape_of(node: fx.Node) -> list[int]:
    return list(node.meta["tensor_meta"].shape[1:])


def _dim_of(node: fx.Node) -> Any:
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)


def _name_of(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(each) for each in value]


def _padding_named(layer: nn.Conv2d) -> list[int]:
    if layer.padding == "valid":
        return [0, 0]
    totals = [dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise CannotExport("A convolution is padded by more on one side than on the other.")
    return [total // 2 for total in totals]


def _unknown(node: fx.Node, kind: str | None = None) -> CannotExport:
    asked = kind or getattr(node.target, "__name__", str(node.target))
    return CannotExport(f"{asked} is no layer that the browser computes: this network answers when the pen is lifted.")
