"""Finds in a network what the lab's own kernels can train on the CPU, and puts them in its place.

They are blocks, a convolution with ReLU and often max pooling, and the head, the linear layers at the end. How the
kernels work, and why they are faster than the layers one after the other, is told in `block.c` and `head.c` beside this
file. `fuse` finds the parts in a network, however it is written; `block.FusedBlock` and `head.FusedHead` tell PyTorch's
autograd what the kernels compute; `step.WholeStep` does without autograd where there is nothing else in a network.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from cnnlab.fused.block import FusedBlock
from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.head import Activation, FusedHead


def fuse(model: nn.Module, image_shape: tuple[int, int, int], threads: int) -> nn.Module:
    """Return a network that trains as a model does, with its blocks and its head replaced by fused kernels.

    Parameters
    ----------
    model
        On the CPU, in training mode, float32. It stays as it is.
    image_shape
        Channels, height and width of an image.
    threads
        That work on a block. The sums of a gradient are added thread by thread, so that their last bits depend on it.

    Returns
    -------
    nn.Module
        Holds the model's own parameters and submodules. For training only: what the model's code decides by
        ``self.training`` is decided once and for all.

    Raises
    ------
    CannotFuse
        If the model's code cannot be followed, it has neither, or a kernel cannot be compiled.
    """
    try:
        graph_module = fx.symbolic_trace(model)
    except Exception as error:  # it runs the model's code, which is anybody's
        raise CannotFuse(f"torch.fx cannot follow the network's code ({type(error).__name__}: {error})") from error
    blocks, head = _blocks_of(graph_module), _head_of(graph_module)
    if not blocks and not head:
        raise CannotFuse("the network has no convolution with ReLU that they serve, and ends in no linear layer")
    fused_blocks: dict[fx.Node, FusedBlock] = {}
    for number, block in enumerate(blocks):
        fused = FusedBlock(graph_module.get_submodule(str(block[0].target)), 2 if len(block) == 3 else 1, threads)
        fused_blocks[_put_in_place_of(block, graph_module, f"fused_{number}", fused)] = fused
    for node, fused in fused_blocks.items():
        fused.feeds_blocks_alone = all(user in fused_blocks for user in node.users)
    if head:
        linear_nodes = [node for node in head if _is_linear(node, graph_module)]
        linears = [graph_module.get_submodule(str(node.target)) for node in linear_nodes]
        activations = [_activation_after(node, graph_module) for node in linear_nodes]
        _put_in_place_of(head, graph_module, "fused_head", FusedHead(linears, activations, threads))
    graph_module.recompile()
    _check_against(model, graph_module, image_shape)
    return graph_module


def _put_in_place_of(chain: list[fx.Node], model: fx.GraphModule, name: str, module: nn.Module) -> fx.Node:
    """Put a module in the place of nodes that follow one another, and return its node."""
    while hasattr(model, name):
        name += "_"
    model.add_submodule(name, module)
    with model.graph.inserting_after(chain[-1]):
        node = model.graph.call_module(name, (chain[0].all_input_nodes[0],))
    chain[-1].replace_all_uses_with(node)
    for replaced in reversed(chain):
        model.graph.erase_node(replaced)
    return node


def _check_against(model: nn.Module, network: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Check that a network gives the same outputs and gradients as a model; what the trace lost or froze shows here.

    Raises
    ------
    CannotFuse
        If it does not. Random numbers and running statistics are left as they were.
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    images = torch.rand(4, *image_shape, generator=torch.Generator().manual_seed(0))
    try:
        expected, found = (_logits_and_gradients(each, model, images) for each in (model, network))
    except CannotFuse:
        raise
    except Exception as error:  # it runs the model's code, which is anybody's
        raise CannotFuse(f"the network cannot be tried out ({type(error).__name__}: {error})") from error
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if not all(_are_alike(ours, theirs) for ours, theirs in zip(found, expected, strict=True)):
        raise CannotFuse("torch.fx misses something in the network's code: fused, it would compute something else")


def _are_alike(ours: Tensor | None, theirs: Tensor | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * max(1.0, theirs.abs().max().item()))


def _logits_and_gradients(network: nn.Module, model: nn.Module, images: Tensor) -> list[Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logits: Tensor = network(images)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [logits.detach(), *torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)]


def fuses_all_convolutions(network: nn.Module) -> bool:
    """Return whether no convolution of a network that `fuse` returned is left to PyTorch."""
    modules = list(network.modules())
    fused = {block.convolution for block in modules if isinstance(block, FusedBlock)}
    return all(module in fused for module in modules if isinstance(module, nn.Conv2d))


def left_to_pytorch(network: nn.Module) -> list[str]:
    """Return what a network that `fuse` returned leaves to PyTorch, by the names of layers and functions."""
    assert isinstance(network, fx.GraphModule)
    left = []
    for node in network.graph.nodes:
        module = _layer(node, network)
        if node.op in ("placeholder", "output", "get_attr") or isinstance(module, FusedBlock | FusedHead):
            continue
        name = type(module).__name__ if module else getattr(node.target, "__name__", str(node.target))
        if name.lower() != "flatten":  # which computes nothing
            left.append(name)
    return sorted(set(left))


def count_blocks(model: nn.Module) -> tuple[int, int]:
    """Return how many blocks of a network `fuse` would replace, and how many convolutions it has."""
    try:
        graph_module = fx.symbolic_trace(model)
    except Exception:  # it runs the model's code, which is anybody's
        return 0, 0
    return len(_blocks_of(graph_module)), sum(isinstance(module, nn.Conv2d) for module in model.modules())


def _blocks_of(model: fx.GraphModule) -> list[list[fx.Node]]:
    """Return the nodes of each block: convolution and ReLU, and pooling where it has one."""
    blocks = []
    for node in model.graph.nodes:
        if _is_convolution(node, model) and (relu := _only_user(node)) and _is_relu(relu, model):
            pooling = _only_user(relu)
            pools = pooling is not None and _is_pooling(pooling, model)
            blocks.append([node, relu, *([pooling] if pooling and pools else [])])
    return blocks


def _head_of(model: fx.GraphModule) -> list[fx.Node]:
    """Return the nodes of the linear layers, and of what activates them, at the end of a network; none without them."""
    (output,) = (node for node in model.graph.nodes if node.op == "output")
    head: list[fx.Node] = []
    node = output.args[0]
    while isinstance(node, fx.Node) and len(node.users) == 1:
        layer = [node]
        if _activation_of(node, model):
            node = node.all_input_nodes[0]
            layer.insert(0, node)
        if not _is_linear(node, model) or len(node.users) > 1:
            break
        head[:0] = layer
        node = node.all_input_nodes[0]
    return head


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_linear(node: fx.Node, model: fx.GraphModule) -> bool:
    layer = _layer(node, model)
    return type(layer) is nn.Linear and _is_plain(layer)


def _is_plain(layer: nn.Module) -> bool:
    """Return whether nobody watches a layer, and its numbers are those that the kernels work on."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    weight: Any = layer.weight
    return not hooks and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _activation_after(node: fx.Node, model: fx.GraphModule) -> Activation:
    user = _only_user(node)
    return (user and _activation_of(user, model)) or Activation()


def _activation_of(node: fx.Node, model: fx.GraphModule) -> Activation | None:
    """Return which activation of the head's kernel a node is, if it is one."""
    if _is_relu(node, model):
        return Activation("relu")
    layer = _layer(node, model)
    if type(layer) is nn.LeakyReLU:
        return Activation("leaky_relu", layer.negative_slope) if layer.negative_slope > 0 else None
    if type(layer) is nn.Tanh or (layer is None and node.target in (F.tanh, torch.tanh, "tanh")):
        return Activation("tanh")
    if type(layer) is nn.Sigmoid or (layer is None and node.target in (F.sigmoid, torch.sigmoid, "sigmoid")):
        return Activation("sigmoid")
    return None


def _is_convolution(node: fx.Node, model: fx.GraphModule) -> bool:
    layer = _layer(node, model)
    if type(layer) is not nn.Conv2d or not _is_plain(layer) or layer.bias is None:
        return False
    kernel, padding = layer.kernel_size, (0, 0) if layer.padding == "valid" else layer.padding
    return (
        kernel in ((3, 3), (5, 5))
        and (layer.stride, layer.dilation, layer.groups) == ((1, 1), (1, 1), 1)
        and isinstance(padding, tuple)
        and padding[0] == padding[1] < kernel[0]
        and layer.padding_mode == "zeros"
    )


def _is_relu(node: fx.Node, model: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return type(_layer(node, model)) is nn.ReLU
    return node.target in (F.relu, torch.relu, "relu")


def _is_pooling(node: fx.Node, model: fx.GraphModule) -> bool:
    if node.op == "call_module":
        layer = _layer(node, model)
        return type(layer) is nn.MaxPool2d and _pools_by_two(
            layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices
        )
    sizes: tuple[Any, ...] = node.args[1:]
    keywords: dict[str, Any] = {name: value for name, value in node.kwargs.items() if name != "input"}
    return node.target in (F.max_pool2d, torch.max_pool2d) and _pools_by_two(*sizes, **keywords)


def _pools_by_two(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> bool:
    return (
        kernel_size in (2, (2, 2), [2, 2])
        and stride in (None, 2, (2, 2), [2, 2])
        and padding in (0, (0, 0), [0, 0])
        and dilation in (1, (1, 1), [1, 1])
        and not ceil_mode
        and not return_indices
    )


def _layer(node: fx.Node, model: fx.GraphModule) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None
