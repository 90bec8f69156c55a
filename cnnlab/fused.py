"""Runs the blocks of a network, 3×3 convolution, ReLU and 2×2 max pooling, each as one kernel on the CPU.

How the kernel works, and why it is faster than the three layers one after the other, is told in `fused.c` beside this
file. Here is what surrounds it: `fuse` finds the blocks in a network, however it is written; `_compiled` compiles the
kernel for a block's sizes with the compiler that comes as the package ziglang, in less than a second, and keeps it in
the lab's home; `_Block` tells PyTorch's autograd what the kernel computes.
"""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.autograd.function import once_differentiable

from cnnlab.errors import LabError
from cnnlab.storage.files import remove_unfinished, replacing, unfinished_suffix
from cnnlab.storage.home import home

SOURCE = Path(__file__).with_name("fused.c")
# All that the kernel keeps at hand for an image must fit into a core's cache, and on the stack of a thread.
MOST_BYTES_AT_HAND = 256 * 1024
_LANES = 8


class CannotFuse(LabError):
    """A network has no such block, or its kernel cannot be made here; the message says why."""


def fuse(model: nn.Module, image_shape: tuple[int, int, int], threads: int) -> nn.Module:
    """Return a network that trains as a model does, with its blocks as kernels.

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
    """See that a network computes what a model does, with its gradients; what the trace lost or froze shows here.

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


class FusedBlock(nn.Module):
    """A convolution of a model, with the ReLU and the pooling that follow it: (N, C, H, W) to (N, D, (H-2)/2, (W-2)/2).

    Parameters
    ----------
    convolution
        Its weights, shape (D, C, 3, 3), and its bias, shape (D,), are used and trained where they are.
    threads
        That work on a batch.
    """

    def __init__(self, convolution: nn.Module, threads: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.threads = threads
        self.feeds_blocks_alone = False

    def forward(self, images: Tensor) -> Tensor:
        convolution: Any = self.convolution
        # A block gives the numbers to the next one as they lie, and to other layers as PyTorch's own pooling would.
        return _Block.apply(images, convolution.weight, convolution.bias, not self.feeds_blocks_alone, self.threads)


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


class _Batch(ctypes.Structure):
    """The ``Batch`` of fused.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in (
                "images",
                "weight",
                "bias",
                "pooled",
                "winners",
                "pooled_gradient",
                "weight_gradients",
                "bias_gradients",
                "images_gradient",
            )
        ),
        *((name, ctypes.c_int32) for name in ("count", "outputs_first", "slices", "taken")),
    )


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, outputs_first: bool, threads: int) -> Tensor:
        if images.ndim != 4 or images.dtype != torch.float32 or images.shape[1] != weight.shape[1]:
            raise CannotFuse(
                f"a block that takes {weight.shape[1]} channels of float32 is given {images.dtype} of shape "
                f"{tuple(images.shape)}"
            )
        images, weight = images.permute(0, 2, 3, 1).contiguous(), weight.contiguous()
        count, height, width, inputs = images.shape
        outputs, rows, columns = len(weight), (height - 2) // 2, (width - 2) // 2
        kernel = _compiled(height, width, inputs, outputs)
        winners = torch.empty(count, rows, columns, outputs, dtype=torch.int32)
        pooled = torch.empty(count, outputs, rows, columns)
        if not outputs_first:
            pooled = pooled.view(winners.shape).permute(0, 3, 1, 2)
        _call(
            kernel.forward,
            outputs_first,
            threads,
            images=images,
            weight=weight,
            bias=bias,
            pooled=pooled,
            winners=winners,
        )
        ctx.kernel, ctx.outputs_first, ctx.threads = kernel, outputs_first, threads
        ctx.save_for_backward(images, weight, winners)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pooled_gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, winners = ctx.saved_tensors
        if not ctx.outputs_first:
            pooled_gradient = pooled_gradient.permute(0, 2, 3, 1)
        weight_gradients = torch.empty(ctx.threads, *weight.shape)
        bias_gradients = torch.empty(ctx.threads, len(weight))
        images_gradient = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        _call(
            ctx.kernel.backward,
            ctx.outputs_first,
            ctx.threads,
            images=images,
            weight=weight,
            winners=winners,
            pooled_gradient=pooled_gradient.contiguous(),
            weight_gradients=weight_gradients,
            bias_gradients=bias_gradients,
            images_gradient=images_gradient,
        )
        images_gradient = None if images_gradient is None else images_gradient.permute(0, 3, 1, 2)
        return images_gradient, weight_gradients.sum(0), bias_gradients.sum(0), None, None


def _call(
    function: Callable[..., None], outputs_first: bool, threads: int, images: Tensor, **tensors: Tensor | None
) -> None:
    """Have a function of the kernel work on a batch, which the threads share."""
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}
    batch = _Batch(
        images=images.data_ptr(), **addresses, count=len(images), outputs_first=outputs_first, slices=threads
    )
    team = _openmp_team()
    if threads > 1 and team:
        team(function, ctypes.byref(batch), threads, 0)
    else:
        function(ctypes.byref(batch))  # takes one slice after the other


@cache
def _openmp_team() -> Callable[..., None] | None:
    """Return the entry of the OpenMP library that PyTorch has loaded, if it can be found.

    ``GOMP_parallel(function, data, threads, flags)`` has the threads that also work for PyTorch call a function. A team
    of the kernel's own would have to compete with them for the cores.
    """
    return getattr(ctypes.CDLL(None), "GOMP_parallel", None)


@cache
def _compiled(height: int, width: int, inputs: int, outputs: int) -> ctypes.CDLL:
    """Return the kernel for a block of these sizes, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If the sizes do not suit it, or the compiler is missing or fails.
    """
    if height < 4 or width < 4:
        raise CannotFuse(f"a block has images of {height} × {width}, too small for a convolution and a pooling")
    weights = outputs * 3 * (3 * inputs + _LANES)
    at_hand = 4 * (2 * height * width * inputs + 3 * weights + height * width * outputs // 4)
    if at_hand > MOST_BYTES_AT_HAND:
        raise CannotFuse(
            f"a block of {inputs} to {outputs} channels on {height} × {width} needs {at_hand // 1024:,} kB at hand, "
            f"and the kernel is made for {MOST_BYTES_AT_HAND // 1024} kB, which fit into a core's cache"
        )
    sizes = {"HEIGHT": height, "WIDTH": width, "INPUTS": inputs, "OUTPUTS": outputs}
    options = [*_OPTIONS, f"-mcpu={_cpu()}", *(f"-D{name}={size}" for name, size in sizes.items())]
    try:
        fingerprint = f"{SOURCE.read_text()} {options} {version('ziglang')} {sys.platform} {platform.machine()}"
        name = f"block-{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}.so"
        library = home() / "kernels" / name
        if not library.exists():
            _compile(library, options)
        return ctypes.CDLL(str(library))
    except PackageNotFoundError as error:
        raise CannotFuse("the compiler for it, the package ziglang, is not installed") from error
    except OSError as error:
        raise CannotFuse(f"its kernel cannot be kept in {home() / 'kernels'} or loaded ({error})") from error


# No C library is needed; the checks that zig would add are for looking for mistakes.
_OPTIONS = ("-shared", "-fPIC", "-O3", "-nostdlib", "-fno-sanitize=undefined")


def _cpu() -> str:
    """Return which processors to compile for: those like this one, as far as the kernel can make use of it."""
    return "x86_64_v3" if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else "baseline"


def _compile(library: Path, options: list[str]) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(library.parent)
    scratch_folder = tempfile.TemporaryDirectory(dir=library.parent, prefix=".zig.", suffix=unfinished_suffix())
    with scratch_folder as scratch, replacing(library) as unfinished:
        places = {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
        command = [sys.executable, "-m", "ziglang", "cc", *options, str(SOURCE), "-o", str(unfinished)]
        compiler = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **places})
        if compiler.returncode:
            last_line = (compiler.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CannotFuse(f"the compiler failed: {last_line}")
