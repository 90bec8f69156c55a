"""Pen digits drawn afresh: each time rotated, sheared, stretched and with another brush, all at random.

What the canvas shows of a digit's strokes is decided here; `cnnlab.fused.pen` makes the prepared images of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from cnnlab.data.pen_digits import UNITS, PenDigits, load_drawn, load_strokes
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import CANVAS_SIDE

ROTATION = 12.0  # degrees, at most
SHEAR = 0.25
STRETCH = 0.25  # one side against the other
BRUSHES = (8.0, 30.0)  # pixels of the canvas, as all below
EXTENTS = (160.0, 200.0)  # of the longer side of a digit, without the brush

# Of the pen digits that are trained on, where somebody trains on his own too: every fifth is a tenth of all images.
_OWN_EVERY = 5
_BEND = 1 / UNITS  # a curve that leaves its chord by more is drawn in two pieces


@dataclass(frozen=True)
class Outlines:
    """Digits as polylines, one after the other.

    Attributes
    ----------
    points
        Shape (points, 2), float32: (x, y), y downwards; the middle of the box around a digit is 0, its longer side 1.
    strokes
        Shape (strokes + 1,), int32: the first point of each stroke, and the end of the last.
    digits
        Shape (N + 1,), int32: the first stroke of each digit, and the end of the last.
    labels
        Shape (N,), int64.
    """

    points: Tensor
    strokes: Tensor
    digits: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return how many digits there are."""
        return len(self.labels)


@dataclass(frozen=True)
class PenData:
    """What training has of the pen digits.

    Attributes
    ----------
    outlines
        Those of the training writers; None where nobody trains on them.
    test_images
        Shape (N, 1, 28, 28), float32: drawn by the testing writers.
    test_labels
        Shape (N,), int64.
    """

    outlines: Outlines | None
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device) -> "PenData":
        """Return the same with the test images on another device; drawings are made on the CPU."""
        return PenData(self.outlines, self.test_images.to(device), self.test_labels.to(device))


def load_pen_data(with_training: bool, own_digits: Sequence[MyDigit] = ()) -> PenData:
    """Load the testing writers' drawings, and the training writers' strokes if asked, perhaps with somebody's own.

    Raises
    ------
    DataError
        If the archive is damaged or gone.
    """
    outlines = outlines_of(with_own(load_strokes("training"), own_digits)) if with_training else None
    return PenData(outlines, *load_drawn("testing"))


def with_own(digits: PenDigits, own_digits: Sequence[MyDigit]) -> PenDigits:
    """Return as many digits, of which every fifth is one of somebody's own, in turn; an epoch stays as long as it is.

    Parameters
    ----------
    own_digits
        Without the eraser's strokes, which have no outline.
    """
    labels, strokes = digits.labels.copy(), list(digits.strokes)
    places = range(0, len(digits) if own_digits else 0, _OWN_EVERY)
    scaled = [_in_units(own) for own in own_digits]
    for turn, place in enumerate(places):
        labels[place] = own_digits[turn % len(own_digits)].digit
        strokes[place] = scaled[turn % len(own_digits)]
    return PenDigits(labels, digits.writers, tuple(strokes))


def _in_units(digit: MyDigit) -> tuple[np.ndarray, ...]:
    """Return strokes in the units of `PenDigits`: the longer side of the box around them has `UNITS`."""
    strokes = [np.array(stroke.points, np.float64) for stroke in digit.strokes]
    points = np.concatenate(strokes)
    scale = UNITS / max(1.0, np.ptp(points, axis=0).max())
    return tuple(stroke * scale for stroke in strokes)


def outlines_of(digits: PenDigits) -> Outlines:
    """Return the lines that the page's pencil draws for some digits."""
    lines = [[pencil_line(stroke) for stroke in centred(strokes)] for strokes in digits.strokes]
    lengths = [len(line) for strokes in lines for line in strokes]
    return Outlines(
        points=torch.from_numpy(np.concatenate([line for strokes in lines for line in strokes]).astype(np.float32)),
        strokes=_firsts(lengths),
        digits=_firsts([len(strokes) for strokes in lines]),
        labels=torch.from_numpy(digits.labels),
    )


def pencil_line(stroke: np.ndarray) -> np.ndarray:
    """Return a polyline for the curve of Fabric.js's pencil: from middle to middle, bent towards each point.

    Parameters
    ----------
    stroke
        Shape (N, 2), where the pen was; the longer side of the digit is 1.

    Returns
    -------
    numpy.ndarray
        Shape (M, 2).
    """
    middles = (stroke[:-1] + stroke[1:]) / 2
    chords = (middles[:-1] + middles[1:]) / 2
    is_bent = np.linalg.norm(stroke[1:-1] - chords, axis=1) > 2 * _BEND
    curve = np.stack([(chords + stroke[1:-1]) / 2, middles[1:]], axis=1)  # at a half, and at the end
    wanted = np.stack([is_bent, np.ones_like(is_bent)], axis=1)
    return np.concatenate([stroke[:1], middles[:1], curve[wanted], stroke[-1:]])


def centred(strokes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return strokes with the middle of the box around them at 0."""
    points = np.concatenate(strokes)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return [(stroke - middle) / UNITS for stroke in strokes]


def random_drawings(count: int, generator: Generator) -> Tensor:
    """Return how to draw digits, at random.

    Returns
    -------
    Tensor
        Shape (count, 7), float32: a point (x, y) of `Outlines` goes to c0 x + c1 y + c2 and c3 x + c4 y + c5, in pixels
        of the canvas; c6 is the radius of the brush.
    """
    random = torch.rand(7, count, generator=generator)

    def between(number: int, low: float, high: float) -> Tensor:
        return low + (high - low) * random[number]

    angle, shear = between(0, -ROTATION, ROTATION).deg2rad(), between(1, -SHEAR, SHEAR)
    stretch = between(2, -1, 1) * torch.log1p(torch.tensor(STRETCH)) / 2
    wide, high = between(3, *EXTENTS) * stretch.exp(), between(3, *EXTENTS) * (-stretch).exp()
    cos, sin = angle.cos(), angle.sin()
    # First stretched, then sheared, then rotated. Where on the canvas decides how its pixels cut the ink.
    return torch.stack(
        [
            cos * wide,
            (cos * shear - sin) * high,
            CANVAS_SIDE / 2 + between(4, 0, 1),
            sin * wide,
            (sin * shear + cos) * high,
            CANVAS_SIDE / 2 + between(5, 0, 1),
            between(6, *BRUSHES) / 2,
        ],
        dim=1,
    )


def plain_drawings(count: int, brush: float, extent: float = 180.0) -> Tensor:
    """Return how to draw digits as they are, in the middle of the canvas: as `random_drawings` does."""
    middle = CANVAS_SIDE / 2
    return torch.tensor([extent, 0, middle, 0, extent, middle, brush / 2]).repeat(count, 1)


def _firsts(lengths: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
