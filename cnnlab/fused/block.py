"""One block (convolution, ReLU, pooling) as a module that PyTorch can train."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cnnlab.fused.compiler import Batch, CannotFuse, compiled


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
        kernel = compiled(height, width, inputs, outputs)
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
    """Run a function of the kernel on a batch that is split over the threads."""
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}
    batch = Batch(images=images.data_ptr(), **addresses, count=len(images), outputs_first=outputs_first, slices=threads)
    run_in_team(function, batch, threads)


def run_in_team(function: Callable[..., None], batch: ctypes.Structure, threads: int) -> None:
    """Run a function of a kernel, whose threads share the slices of a batch."""
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
