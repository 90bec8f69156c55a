"""Prepared images of pen drawings, a batch at a time: by a kernel of the lab's own, or without a compiler by NumPy."""

import ctypes
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnlab.drawing.pen import Outlines
from cnnlab.drawing.preparation import CENTRE, FAINT, FITTED, SIDE
from cnnlab.fused.compiler import kernel_if_any
from cnnlab.fused.team import run_in_team

SOURCE = Path(__file__).with_name("pen.c")


class Drawings(ctypes.Structure):
    """What the kernel is called with: the ``Drawings`` of pen.c, which is compiled only if it has the same size."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("points", "strokes", "digits", "wanted", "changes", "images")),
        *((name, ctypes.c_int32) for name in ("count", "slices")),
    )


def drawn(outlines: Outlines, wanted: Tensor, changes: Tensor, threads: int = 1) -> Tensor:
    """Return drawings of digits as `cnnlab.drawing.preparation.prepare` prepares them, within about a hundredth.

    Parameters
    ----------
    wanted
        Shape (N,), int64: which digits.
    changes
        Shape (N, 7): how to draw each, as `cnnlab.drawing.pen.random_drawings` returns it.
    threads
        That work on the batch; the images are the same with any number.

    Returns
    -------
    Tensor
        Shape (N, 1, 28, 28), float32, from 0, empty, to 1, full ink.
    """
    kernel = pen_kernel()
    if kernel is None:
        return drawn_by_numpy(outlines, wanted, changes)
    images = torch.empty(len(wanted), 1, SIDE, SIDE)
    tensors = {
        "points": outlines.points,
        "strokes": outlines.strokes,
        "digits": outlines.digits,
        "wanted": wanted.contiguous(),
        "changes": changes.contiguous(),
        "images": images,
    }
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    drawings = Drawings(**addresses, count=len(wanted), slices=threads)
    run_in_team([(kernel.draw, drawings)], threads)
    return images


def pen_kernel() -> ctypes.CDLL | None:
    """Return the kernel, compiled now or earlier; None where it cannot be."""
    return kernel_if_any(SOURCE, Drawings)


def drawn_by_numpy(outlines: Outlines, wanted: Tensor, changes: Tensor) -> Tensor:
    """Return what `drawn` does, without the kernel; pen.c says why each step is what it is."""
    images = np.zeros((len(wanted), 1, SIDE, SIDE), np.float32)
    for image, digit, change in zip(images, wanted.tolist(), changes.numpy(), strict=True):
        pieces = _pieces_of(outlines, digit) @ change[[[0, 3], [1, 4]]] + change[[2, 5]]  # (pieces, 2 ends, xy)
        ink = _fitted(pieces, change[6])
        row, column = (
            int(np.clip(CENTRE - ink.sum(other) @ _MIDDLES / ink.sum(), 0, SIDE - FITTED)) for other in (1, 0)
        )
        image[0, row : row + FITTED, column : column + FITTED] = ink / ink.max()
    return torch.from_numpy(images)


_PARTS = 2  # of a pixel's side
_MIDDLES = np.arange(FITTED, dtype=np.float32) + 0.5
_FINE_MIDDLES = np.arange(_PARTS * FITTED, dtype=np.float32) + 0.5


def _fitted(pieces: np.ndarray, radius: float) -> np.ndarray:
    """Return the ink of straight pieces, shape (pieces, 2 ends, xy), fitted into 20 by 20."""
    first = np.floor(pieces.min((0, 1)) - radius + np.float32(FAINT))
    size = np.ceil(pieces.max((0, 1)) + radius - np.float32(FAINT)) - first
    square = size.max()
    fine = _PARTS * FITTED / square
    pieces = (pieces - first) * fine + _PARTS * np.floor((square - size) * (FITTED // 2) / square)
    nearest = np.full((_PARTS * FITTED, _PARTS * FITTED), 1e9, np.float32)
    for (x, y), (to_x, to_y) in pieces:
        way_x, way_y = to_x - x, to_y - y
        from_x, from_y = _FINE_MIDDLES - x, (_FINE_MIDDLES - y)[:, None]
        share = (from_x * way_x + from_y * way_y) / max(way_x**2 + way_y**2, 1e-9)
        share = np.clip(share, 0, 1)
        np.minimum(nearest, (from_x - share * way_x) ** 2 + (from_y - share * way_y) ** 2, out=nearest)
    ink = np.clip(radius * fine + 0.5 - np.sqrt(nearest), 0, 1)
    return ink.reshape(FITTED, _PARTS, FITTED, _PARTS).mean((1, 3))


def _pieces_of(outlines: Outlines, digit: int) -> np.ndarray:
    """Return the straight pieces of a digit, from point to point: shape (pieces, 2 ends, xy)."""
    pieces = []
    for stroke in range(int(outlines.digits[digit]), int(outlines.digits[digit + 1])):
        line = outlines.points[outlines.strokes[stroke] : outlines.strokes[stroke + 1]].numpy()
        line = line if len(line) > 1 else line.repeat(2, 0)
        pieces.append(np.stack([line[:-1], line[1:]], 1))
    return np.concatenate(pieces)
