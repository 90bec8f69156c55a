"""A network's layers, found by tracing one image through it."""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.models.definitions import Definition

# No layer can be called this.
INPUT = "the image"


class CannotTrace(LabError):
    """A network's computation cannot be followed."""


@dataclass(frozen=True)
class Layer:
    """One operation that a network does on its way from an image to the logits.

    Attributes
    ----------
    name
        The attribute that holds the layer ("conv1", or "0" in an `nn.Sequential`); for a function, its name ("relu"),
        with a number where it is called again.
    kind
        The class of the layer, also where it is called as a function: ReLU for ``F.relu``, Add for ``+``.
    inputs
        The names of the layers that it takes its values from; the image is `INPUT`.
    output_shape
        Without the batch axis.
    parameters
        Numbers that training changes; those that another layer has counted before are not counted again.
    multiply_adds
        Multiplications, each with its addition, for one image. Additions of a bias are not counted.
    tensors
        Name in the network's ``state_dict`` and shape of each parameter and buffer that it uses.
    line
        The line of the file in which the network's ``forward`` asks for it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    line: int | None


def layers_of(model: nn.Module) -> list[Layer]:
    """Return the layers of a network in the order in which it computes them.

    Operations that are no part of the way to the logits are left out. What is counted is what PyTorch computes for one
    image: its own counter of floating point operations is asked for each layer.

    Parameters
    ----------
    model
        Maps (N, 1, 28, 28) to logits. Its weights, and the mode (training or evaluation) it is in, are left alone.

    Raises
    ------
    CannotTrace
        If its ``forward`` decides by the values it is given, or does not take such images.
    """
    return [layer for layer, _ in follow(model, torch.zeros(IMAGE_SHAPE))]


@cache
def layers_of_definition(definition: Definition) -> tuple[Layer, ...]:
    """Return the layers of a definition, traced at the first call.

    Raises
    ------
    CannotTrace
        If they cannot be listed.
    """
    return tuple(layers_of(definition.build(seed=0)))


CONVOLUTION = "Conv2d"


def follow(model: nn.Module, image: Tensor) -> list[tuple[Layer, Tensor]]:
    """Return the layers of a network, each with what it gives for an image, with a batch axis."""
    tracer = _LineTracer()
    was_training = model.training
    model.eval()  # a norm would take the image into account
    try:
        graph = tracer.trace(model)
        interpreter = _CountingInterpreter(fx.GraphModule(model, graph))
        with torch.no_grad():
            interpreter.run(image[None])
    except Exception as error:  # a registered network is anybody's code
        raise CannotTrace(
            f"The layers of {type(model).__name__} cannot be listed ({error}). Its forward method must take images of "
            "shape (N, 1, 28, 28), and do the same steps whatever the values in them are: no if, and no loop, that "
            "depends on them."
        ) from error
    finally:
        model.train(was_training)
    return _layers(graph, interpreter, model)


class _LineTracer(fx.Tracer):
    """Notes at each operation which line of the network's ``forward`` asks for it."""

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        frame = inspect.currentframe()
        while frame and frame.f_code is not type(self.root).forward.__code__:
            frame = frame.f_back
        node.meta["line"] = frame.f_lineno if frame else None
        return node


class _CountingInterpreter(fx.Interpreter):
    """Computes node by node, and keeps the results and the multiply-adds."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[fx.Node, Tensor] = {}  # of the nodes that give a tensor
        self.multiply_adds: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        with _Counter() as counter:
            result = super().run_node(n)
        tensor = result[0] if isinstance(result, tuple | list) and result else result  # an LSTM gives several
        if isinstance(tensor, Tensor) and n.op != "output":
            self.results[n] = tensor
            self.multiply_adds[n] = counter.operations // 2
        return result


class _Counter(TorchDispatchMode):
    """Counts multiplications and additions by PyTorch's own formulas.

    Its `FlopCounterMode` would do, but brings the whole compiler with it: a second and 100 MB.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=result)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell PyTorch that nothing here needs to be kept from the compiler, which it would import to do so."""
        return False


def _layers(graph: fx.Graph, interpreter: _CountingInterpreter, model: nn.Module) -> list[tuple[Layer, Tensor]]:
    results = interpreter.results
    state_names = _state_names(model)
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    on_the_way = _on_the_way_to_the_output(graph, results)
    names: dict[fx.Node, str] = {}
    layers = []
    for node in graph.nodes:
        if node.op == "placeholder":
            names[node] = INPUT
        if node.op in ("placeholder", "get_attr") or node not in on_the_way:
            continue
        target = node.target if node.op == "call_module" else node.name
        names[node] = target if target not in names.values() else node.name
        tensors = _tensors_used_by(node, model)
        layer = Layer(
            name=names[node],
            kind=_kind(node, model),
            inputs=tuple(names[source] for source in node.all_input_nodes if source in names),
            output_shape=tuple(results[node].shape)[1:],
            parameters=sum(sizes.pop(id(tensor), 0) for tensor in tensors),
            multiply_adds=interpreter.multiply_adds[node],
            tensors=tuple((state_names[id(each)], tuple(each.shape)) for each in tensors if id(each) in state_names),
            line=node.meta["line"],
        )
        layers.append((layer, results[node]))
    return layers


def _on_the_way_to_the_output(graph: fx.Graph, results: dict[fx.Node, Tensor]) -> set[fx.Node]:
    """Return the nodes whose tensors end in the output; reading a size, for one, leads nowhere."""
    found: set[fx.Node] = set()
    waiting = list(graph.output_node().all_input_nodes)
    while waiting:
        node = waiting.pop()
        if node in results and node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _state_names(model: nn.Module) -> dict[int, str]:
    # keep_vars: else the tensors are new ones that share the memory, and cannot be told by their identity.
    return {id(tensor): name for name, tensor in reversed(model.state_dict(keep_vars=True).items())}


def _tensors_used_by(node: fx.Node, model: nn.Module) -> list[Tensor]:
    if node.op == "call_module":
        return list(model.get_submodule(str(node.target)).state_dict(keep_vars=True).values())
    attributes = [str(source.target) for source in node.all_input_nodes if source.op == "get_attr"]
    return [_attribute(model, path) for path in attributes]


def _attribute(model: nn.Module, path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(model.get_submodule(module), name)


# "maxpool2d": "MaxPool2d", so that a function bears the name of the layer that does the same.
_LAYER_CLASSES = {name.lower(): name for name in dir(nn) if name[0].isupper()}


def _kind(node: fx.Node, model: nn.Module) -> str:
    if node.op == "call_module":
        return type(model.get_submodule(str(node.target))).__name__
    function = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    plain = function.replace("_", "")
    return _LAYER_CLASSES.get(plain, function.strip("_").capitalize())
