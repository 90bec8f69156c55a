"""Runs the blocks of a network, 3×3 convolution, ReLU and 2×2 max pooling, each as one kernel on the CPU.

How the kernel works, and why it is faster than the three layers one after the other, is told in `block.c` beside this
file. Here is what surrounds it: `fuse` finds the blocks in a network, however it is written; `compiler.compiled`
compiles the kernel for a block's sizes with the compiler that comes as the package ziglang, in less than a second, and
keeps it in the lab's home; `FusedBlock` tells PyTorch's autograd what the kernel computes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from cnnlab.fused.block import FusedBlock
from cnnlab.fused.compiler import CannotFuse


def fuse(model: nn.Module, image_shape: tuple[int, int, int], threads: int) -> nn.Module:
    """Return a network that trains as a model does, with its blocks replaced by fused kernels.

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
        If the model's code cannot be followed, it has no such block, or a kernel cannot be compiled.
    """
    try:
        graph_module = fx.symbolic_trace(model)
    except Exception as error:  # it runs the model's code, which is anybody's
        raise CannotFuse(f"torch.fx cannot follow the network's code ({type(error).__name__}: {error})") from error
    graph = graph_module.graph
    blocks = [block for node in graph.nodes if (block := _block_ending_in(node, graph_module))]
    if not blocks:
        raise CannotFuse("the network has no 3×3 convolution followed by ReLU and 2×2 max pooling")
    fused_blocks: dict[fx.Node, FusedBlock] = {}
    for number, (convolution, pooling) in enumerate(blocks):
        fused = FusedBlock(graph_module.get_submodule(str(convolution.target)), threads)
        graph_module.add_submodule(f"fused_{number}", fused)
        with graph.inserting_after(pooling):
            node = graph.call_module(f"fused_{number}", (convolution.all_input_nodes[0],))
        pooling.replace_all_uses_with(node)
        for replaced in (pooling, pooling.all_input_nodes[0], convolution):
            graph.erase_node(replaced)
        fused_blocks[node] = fused
    for node, fused in fused_blocks.items():
        fused.feeds_blocks_alone = all(user in fused_blocks for user in node.users)
    graph_module.recompile()
    _check_against(model, graph_module, image_shape)
    return graph_module


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


def count_blocks(model: nn.Module) -> tuple[int, int]:
    """Return how many blocks of a network `fuse` would replace, and how many convolutions it has."""
    try:
        graph_module = fx.symbolic_trace(model)
    except Exception:  # it runs the model's code, which is anybody's
        return 0, 0
    blocks = [node for node in graph_module.graph.nodes if _block_ending_in(node, graph_module)]
    return len(blocks), sum(isinstance(module, nn.Conv2d) for module in model.modules())


def _block_ending_in(node: fx.Node, model: fx.GraphModule) -> tuple[fx.Node, fx.Node] | None:
    """Return the convolution and the pooling of the block that a node of a graph ends, or None if it ends none."""
    if not _is_pooling(node, model):
        return None
    (relu,) = node.all_input_nodes
    if len(relu.users) > 1 or not _is_relu(relu, model):
        return None
    (convolution,) = relu.all_input_nodes
    if len(convolution.users) > 1 or not _is_convolution(convolution, model):
        return None
    return convolution, node


def _is_convolution(node: fx.Node, model: fx.GraphModule) -> bool:
    layer = _layer(node, model)
    return (
        type(layer) is nn.Conv2d
        and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
        and layer.kernel_size == (3, 3)
        and (layer.stride, layer.dilation, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.padding in ((0, 0), "valid")
        and layer.bias is not None
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
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
