"""How much arithmetic a step of the lab's kernels is, and how much the processor can do at most."""

import ctypes
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.fused.block import FusedBlock
from cnnlab.fused.compiler import library_of
from cnnlab.fused.head import FusedHead
from cnnlab.fused.rewrite import fuse
from cnnlab.fused.team import TeamWork

SOURCE = Path(__file__).with_name("peak.c")
_OPERATIONS_A_ROUND = 2 * 12 * 8  # a multiplication and an addition, in 12 chains of 8 lanes
_ROUNDS = 2_000_000
_TRIES = 3


class Peak(ctypes.Structure):
    """What the kernel is called with: the ``Peak`` of peak.c, which is compiled only if it has the same size."""

    _fields_ = (("sums", ctypes.c_void_p), ("rounds", ctypes.c_int64))


def peak_operations(threads: int) -> float:
    """Return how many multiplications and additions some threads do in a second at most: the best of three tries.

    Raises
    ------
    CannotFuse
        If the kernel for it cannot be compiled.
    """
    sums = torch.empty(threads)
    kernel = library_of(SOURCE, CALL_BYTES=ctypes.sizeof(Peak))
    work = TeamWork([(kernel.multiply_and_add, Peak(sums.data_ptr(), _ROUNDS))], threads)
    seconds = []
    for _ in range(_TRIES):
        began = perf_counter()
        work.do()
        seconds.append(perf_counter() - began)
    return threads * _ROUNDS * _OPERATIONS_A_ROUND / min(seconds)


def operations_for_an_image(model: nn.Module) -> int:
    """Return how many multiplications and additions the kernels do at most to train on one image.

    Forward a block computes each sum of its windows; backward it adds up patches for the winners alone, at most as many
    as there are windows, once for the weights' gradient and, but for the first block, once for the images'. A
    linear layer is three products, or two where it is the first of all.

    Raises
    ------
    CannotFuse
        If there are no kernels for it.
    """
    height, width = IMAGE_SHAPE[1:]
    multiply_adds, is_first = 0, True
    for module in fuse(model.train(), IMAGE_SHAPE, threads=1).modules():
        if isinstance(module, FusedBlock):
            sizes = module.sizes_for(height, width)
            for_a_window = sizes.inputs * sizes.kernel**2
            multiply_adds += sizes.numbers * for_a_window * (sizes.pool**2 + (1 if is_first else 2))
            (height, width), is_first = sizes.pooled, False
        elif isinstance(module, FusedHead):
            for linear in module.linears:
                assert isinstance(linear, nn.Linear)
                multiply_adds += linear.in_features * linear.out_features * (2 if is_first else 3)
                is_first = False
    return 2 * multiply_adds
