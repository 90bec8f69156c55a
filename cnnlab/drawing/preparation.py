"""A drawing as MNIST's authors would have prepared it.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition (1998), section
III-A: the digit is fitted into 20 by 20 pixels with its aspect kept, grey at its edges from the anti-aliasing, and its
centre of mass is put at the centre of 28 by 28. C. Yadav, L. Bottou, Cold case: the lost MNIST digits
(arXiv:1905.10498) adds the details: the crop is made square first, the resampling takes the exact area that each pixel
covers, the darkest pixel becomes full ink, and the digit is moved by whole pixels only.
"""

from dataclasses import dataclass

import numpy as np

SIDE = 28  # of an image of MNIST, in pixels
FITTED = 20  # of the box that the digit fills, in pixels

FAINT = 0.1  # a pixel is of the digit if it differs this much from the background; a drawing, if any pixel does
# MNIST's centre of mass lies in (14, 15] on both axes, counted from the edge of the first pixel: measured over the
# 60,000 training images, and what moving by whole pixels leaves.
CENTRE = 15


@dataclass(frozen=True)
class Preparation:
    """The steps from a drawing to the network's input. All are float32 from 0, empty, to 1, full ink.

    Attributes
    ----------
    drawn
        Shape (height, width): the ink of the whole canvas.
    cropped
        Shape (h, w): the box around the ink.
    fitted
        Shape (20, 20).
    centred
        Shape (28, 28): what the network sees.
    """

    drawn: np.ndarray
    cropped: np.ndarray
    fitted: np.ndarray
    centred: np.ndarray


def prepare(pixels: np.ndarray) -> Preparation | None:
    """Prepare a drawing as MNIST's authors prepared theirs.

    Parameters
    ----------
    pixels
        Shape (height, width), grey, or (height, width, 1 to 4): grey, grey and alpha, RGB, RGBA. Integers count from 0
        to 255, floats from 0 to 1. Dark on light or light on dark, on a background of any colour or none.

    Returns
    -------
    Preparation or None
        None if nothing is drawn: the canvas is of one colour, or nothing but a dot is on it.
    """
    drawn = ink(pixels)
    box = bounding_box(drawn)
    if box is None:
        return None
    cropped = drawn[box]
    if is_dot(cropped, drawn.shape):
        return None
    fitted = fit(cropped)
    return Preparation(drawn, cropped, fitted, centre(fitted))


def ink(pixels: np.ndarray) -> np.ndarray:
    """Return how much each pixel differs from the background, as a share of the most that any does.

    The background is what most of the border shows. Colours are compared as they lie over nothing (premultiplied by
    their alpha), so that one rule serves ink on paper, chalk on a board, and either on a transparent canvas.

    Returns
    -------
    numpy.ndarray
        Shape (height, width), float32. All 0 where no pixel differs by `FAINT` or more.
    """
    pixels = np.asarray(pixels)
    scale = 255 if np.issubdtype(pixels.dtype, np.integer) else 1
    pixels = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32) / scale
    if pixels.shape[2] in (2, 4):
        pixels[..., :-1] *= pixels[..., -1:]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    difference = np.abs(pixels - np.median(border, axis=0)).max(axis=2)
    most = difference.max(initial=0)
    return difference / most if most >= FAINT else np.zeros_like(difference)


def bounding_box(drawn: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rows and the columns that hold ink, or None if there is none."""
    is_ink = drawn >= FAINT
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    if len(rows) == 0:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def is_dot(cropped: np.ndarray, canvas: tuple[int, int]) -> bool:
    """Return whether a crop shows a touch of the pen, not a stroke: small, filled, about as wide as it is high."""
    is_solid = cropped > 0.5  # less its soft edge, which is much of a thin pen's dot
    dot = is_solid[bounding_box(is_solid)]
    height, width = dot.shape
    is_small = max(height, width) < max(canvas) / 6
    # A disc fills pi / 4 = 79 % of its box, and a small one of square pixels down to 59 %.
    return is_small and max(height, width) < 1.5 * min(height, width) and bool(dot.mean() > 0.55)


def fit(cropped: np.ndarray) -> np.ndarray:
    """Fit a crop into 20 by 20 pixels, its aspect kept.

    Returns
    -------
    numpy.ndarray
        Shape (20, 20), float32; its darkest pixel is 1.
    """
    fitted = _resample(cropped, FITTED)
    return fitted / fitted.max()


def shrink(drawn: np.ndarray) -> np.ndarray:
    """Shrink a whole canvas to 28 by 28 and do nothing else, as demos do that skip the preparation.

    Returns
    -------
    numpy.ndarray
        Shape (28, 28), float32.
    """
    return _resample(drawn, SIDE)


def moved(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """Move an image by whole pixels; what leaves it is lost, and what comes in is empty.

    Parameters
    ----------
    image
        Shape (28, 28).
    right, down
        How far, from -28 to 28.
    """
    around = np.pad(image, SIDE)
    return around[SIDE - down : 2 * SIDE - down, SIDE - right : 2 * SIDE - right]


def _resample(image: np.ndarray, side: int) -> np.ndarray:
    """Resample the square around an image; each new pixel is the mean over exactly the area that it covers.

    Returns
    -------
    numpy.ndarray
        Shape (side, side), float32.
    """
    height, width = image.shape
    square = max(height, width)
    # Not with @: its threads would wait for the cores while a run trains, ten times longer than this takes.
    rows = np.einsum("ij,jk->ik", _shares(height, square, side), image)
    return np.einsum("ij,kj->ik", rows, _shares(width, square, side))


def _shares(length: int, square: int, side: int) -> np.ndarray:
    """Return how much of each new pixel each old one makes up, along one axis.

    Of `square` old pixels, `side` new ones are made. Only the `length` in their middle are there, and the first of
    these begins a new pixel: so an image of MNIST that was drawn large comes back sharp.

    Returns
    -------
    numpy.ndarray
        Shape (side, length), float32.
    """
    ratio = square / side
    margin = int((square - length) / 2 / ratio) * ratio
    edges = np.arange(side + 1) * ratio - margin  # of the new pixels, counted in old ones
    old = np.arange(length)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (overlap.clip(min=0) / ratio).astype(np.float32)


def centre(fitted: np.ndarray) -> np.ndarray:
    """Put the centre of mass at the centre of 28 by 28, moving by whole pixels.

    Returns
    -------
    numpy.ndarray
        Shape (28, 28), float32.
    """
    middles = np.arange(FITTED) + 0.5
    mass = fitted.sum()
    top = int(CENTRE - fitted.sum(axis=1) @ middles / mass)
    left = int(CENTRE - fitted.sum(axis=0) @ middles / mass)
    # A mass far to one side would push the digit over the edge: its centre then stays off the middle.
    top, left = (min(max(offset, 0), SIDE - FITTED) for offset in (top, left))
    centred = np.zeros((SIDE, SIDE), np.float32)
    centred[top : top + FITTED, left : left + FITTED] = fitted
    return centred
