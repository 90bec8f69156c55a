"""One block (convolution, ReLU, pooling) as a module that PyTorch can train."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cnnlab.fused.compiler import CannotFuse, library_of
from cnnlab.fused.team import run_in_team

SOURCE = Path(__file__).with_name("block.c")
# All that the kernel keeps at hand for an image must fit into a core's cache, and on the stack of a thread.
MOST_BYTES_AT_HAND = 256 * 1024
_LANES = 8


class Batch(ctypes.Structure):
    """What a kernel is called with: the ``Batch`` of block.c, which is compiled only if it has the same size."""

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
                "weight_gradient",
                "bias_gradient",
                "images_gradient",
            )
        ),
        ("gradient_stride", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("count", "outputs_first", "slices")),
    )


class BlockSizes(NamedTuple):
    """All that a block's kernel is compiled for."""

    height: int
    width: int
    inputs: int
    outputs: int
    kernel: int
    padding: int
    pool: int

    @property
    def pooled(self) -> tuple[int, int]:
        """Height and width of what it gives."""
        rows, columns = (side + 2 * self.padding - self.kernel + 1 for side in (self.height, self.width))
        return rows // self.pool, columns // self.pool

    @property
    def numbers(self) -> int:
        """How many numbers it gives for an image."""
        rows, columns = self.pooled
        return rows * columns * self.outputs


@cache
def compiled(sizes: BlockSizes) -> ctypes.CDLL:
    """Return the kernel for a block of these sizes, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If the sizes do not suit it, or the compiler is missing or fails.
    """
    if min(sizes.pooled) < 1:
        raise CannotFuse(f"a block has images of {sizes.height} × {sizes.width}, too small for its kernel")
    weights = sizes.outputs * sizes.kernel * (sizes.kernel * sizes.inputs + _LANES)
    padded = (sizes.height + 2 * sizes.padding) * (sizes.width + 2 * sizes.padding) * sizes.inputs
    at_hand = 4 * (2 * padded + 3 * weights + sizes.numbers)
    if at_hand > MOST_BYTES_AT_HAND:
        raise CannotFuse(
            f"a block of {sizes.inputs} to {sizes.outputs} channels on {sizes.height} × {sizes.width} needs "
            f"{at_hand // 1024:,} kB at hand, and the kernel is made for {MOST_BYTES_AT_HAND // 1024} kB, which fit "
            "into a core's cache"
        )
    definitions = {name.upper(): size for name, size in sizes._asdict().items()}
    return library_of(SOURCE, **definitions, CALL_BYTES=ctypes.sizeof(Batch))


class FusedBlock(nn.Module):
    """A convolution of a model, with the ReLU and the pooling that follow it: (N, C, H, W) to (N, D, H', W').

    Parameters
    ----------
    convolution
        With K × K filters. Its weights, shape (D, C, K, K), and its bias, shape (D,), are used and trained where they
        are.
    pool
        The side of the windows of which the largest number is kept: 2, or 1 without pooling.
    threads
        That work on a batch.
    """

    def __init__(self, convolution: nn.Module, pool: int, threads: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.pool = pool
        self.threads = threads
        self.feeds_blocks_alone = False

    @property
    def layer_parameters(self) -> list[Tensor | None]:
        """The weight and the bias."""
        convolution: Any = self.convolution
        return [convolution.weight, convolution.bias]

    def sizes_for(self, height: int, width: int) -> BlockSizes:
        """Return its sizes with images of a height and a width."""
        convolution: Any = self.convolution
        outputs, inputs, kernel, _ = convolution.weight.shape
        padding = 0 if convolution.padding == "valid" else convolution.padding[0]
        return BlockSizes(height, width, inputs, outputs, kernel, padding, self.pool)

    def forward(self, images: Tensor) -> Tensor:
        convolution: Any = self.convolution
        if images.ndim != 4 or images.dtype != torch.float32 or images.shape[1] != convolution.weight.shape[1]:
            raise CannotFuse(
                f"a block that takes {convolution.weight.shape[1]} channels of float32 is given {images.dtype} of "
                f"shape {tuple(images.shape)}"
            )
        sizes = self.sizes_for(*images.shape[2:])
        # A block gives the numbers to the next one as they lie, and to other layers as PyTorch's own pooling would.
        outputs_first = not self.feeds_blocks_alone
        return _Block.apply(images, convolution.weight, convolution.bias, sizes, outputs_first, self.threads)


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, sizes: BlockSizes, outputs_first: bool, threads: int
    ) -> Tensor:
        images, weight = images.permute(0, 2, 3, 1).contiguous(), weight.contiguous()
        kernel = compiled(sizes)
        winners = torch.empty(len(images), *sizes.pooled, sizes.outputs, dtype=torch.int32)
        pooled = torch.empty(len(images), sizes.outputs, *sizes.pooled)
        if not outputs_first:
            pooled = pooled.view(winners.shape).permute(0, 3, 1, 2)
        ctx.kernel, ctx.outputs_first, ctx.threads = kernel, outputs_first, threads
        ctx.save_for_backward(images, weight, winners)
        batch = _batch(ctx, images=images, weight=weight, bias=bias, pooled=pooled, winners=winners)
        run_in_team([(kernel.forward, batch)], threads)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pooled_gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, winners = ctx.saved_tensors
        if not ctx.outputs_first:
            pooled_gradient = pooled_gradient.permute(0, 2, 3, 1)
        pooled_gradient = pooled_gradient.contiguous()
        shares = torch.empty(ctx.threads, weight.numel() + len(weight))
        images_gradient = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        batch = _batch(
            ctx,
            images=images,
            weight=weight,
            winners=winners,
            pooled_gradient=pooled_gradient,
            weight_gradient=shares,
            bias_gradient=shares[:, weight.numel() :],
            images_gradient=images_gradient,
        )
        batch.gradient_stride = shares.shape[1]
        run_in_team([(ctx.kernel.backward, batch)], ctx.threads)
        of_weight, of_bias = shares.sum(0).split([weight.numel(), len(weight)])
        images_gradient = None if images_gradient is None else images_gradient.permute(0, 3, 1, 2)
        return images_gradient, of_weight.view(weight.shape), of_bias, None, None, None


def _batch(ctx: Any, images: Tensor, **tensors: Tensor | None) -> Batch:
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}
    return Batch(
        images=images.data_ptr(),
        **addresses,
        count=len(images),
        outputs_first=ctx.outputs_first,
        slices=ctx.threads,
    )
