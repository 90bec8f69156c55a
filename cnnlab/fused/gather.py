"""A batch's images, picked from all of them and shifted."""

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from cnnlab.data.augmentation import shifted
from cnnlab.data.mnist import as_input
from cnnlab.fused.compiler import kernel_if_any
from cnnlab.fused.team import run_in_team

SOURCE = Path(__file__).with_name("gather.c")


class Gathering(ctypes.Structure):
    """What the kernel is called with: the ``Gathering`` of gather.c, which is compiled only if it has the same size."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("images", "places", "firsts", "gathered")),
        *((name, ctypes.c_int32) for name in ("height", "width", "pixels", "count", "slices")),
    )


def gathered(images: Tensor, places: Tensor, firsts: Tensor, pixels: int, threads: int) -> Tensor:
    """Return some images as a network's input, shifted; to the bit what `gathered_by_torch` returns.

    Parameters
    ----------
    images
        Shape (N, 1, H, W), bytes or floats.
    places
        Shape (M,), int64: which.
    firsts, pixels
        How each is shifted, as `cnnlab.data.augmentation.random_firsts` says it.
    threads
        That work on the batch; the images are the same with any number.

    Returns
    -------
    Tensor
        Shape (M, 1, H, W), float32, from 0 to 1.
    """
    kernel = gathering_kernel()
    if kernel is None or images.dtype != torch.uint8 or images.device.type != "cpu":
        return gathered_by_torch(images, places, firsts, pixels)
    images, places = images.contiguous(), places.contiguous()
    batch = torch.empty(len(places), *images.shape[1:])
    height, width = images.shape[-2:]
    call = Gathering(
        images=images.data_ptr(),
        places=places.data_ptr(),
        firsts=firsts.data_ptr(),
        gathered=batch.data_ptr(),
        height=height,
        width=width,
        pixels=pixels,
        count=len(places),
        slices=threads,
    )
    run_in_team([(kernel.gather, call)], threads)
    return batch


def gathering_kernel() -> ctypes.CDLL | None:
    """Return the kernel, compiled now or earlier; None where it cannot be."""
    return kernel_if_any(SOURCE, Gathering)


def gathered_by_torch(images: Tensor, places: Tensor, firsts: Tensor, pixels: int) -> Tensor:
    """Return what `gathered` does, without the kernel."""
    batch = images.index_select(0, places)
    return shifted(as_input(batch) if batch.dtype == torch.uint8 else batch, firsts, pixels)
