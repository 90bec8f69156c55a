"""Which connected pieces of ink are a digit: not what touches the edge, not specks, and what lies close together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_ALL_AROUND = np.ones((3, 3))  # pixels that touch by a corner are one piece
# All as shares of the longer side of what they are compared with.
_SPECK = 0.1  # of the largest piece: a smaller one is no part of a digit
_GAP = 0.12  # of the largest piece: what lies closer belongs to one digit
_BAR = 2.2  # width to height: what is wider is no digit, but may be the bar of one
_BAR_GAP = 0.25  # of the largest piece: a bar that is closer belongs to a digit
_LESSER = 0.4  # of the largest digit: what is smaller beside it, such as a page's number, is not meant
_THICKEST_STROKE = 0.22  # half of a stroke's width, of its digit: more is a blot


@dataclass(frozen=True)
class Digits:
    """The digits in a picture's ink.

    Attributes
    ----------
    masks
        One for each digit, shape (height, width), bool; from left to right.
    touched_edge
        Whether something as large as a digit was left out because it touches the picture's edge.
    largest
        How long the longer side of the largest piece is that does not, whatever it is; in pixels.
    """

    masks: Sequence[np.ndarray]
    touched_edge: bool
    largest: int = 0


def digits_in(is_ink: np.ndarray, smallest: float = 0) -> Digits:
    """Find the digits in a picture's ink.

    Parameters
    ----------
    is_ink
        Shape (height, width), bool.
    smallest
        How long the longer side of a digit is at least, in pixels.
    """
    labels, count = ndimage.label(is_ink, _ALL_AROUND)
    boxes = ndimage.find_objects(labels)
    sizes = np.array([0, *map(_longer_side, boxes)])
    at_edge = np.zeros(count + 1, bool)
    at_edge[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    touched_edge = bool((at_edge & (sizes >= max(smallest, 1)))[1:].any())
    sizes[at_edge] = 0
    largest = sizes.max()
    if largest == 0:
        return Digits([], touched_edge)
    is_piece = sizes >= max(_SPECK * largest, 1)
    pieces = is_piece[labels]
    close = ndimage.distance_transform_edt(~pieces) <= _GAP * largest / 2
    groups, _ = ndimage.label(close, _ALL_AROUND)
    groups[~pieces] = 0
    masks = _with_their_bars([groups == number for number in np.unique(groups) if number], _BAR_GAP * largest)
    masks = [mask for mask in masks if _longer_side(_box(mask)) >= smallest and _is_written(mask)]
    least = _LESSER * max(map(_longer_side, map(_box, masks)), default=0)
    kept = [mask for mask in masks if _longer_side(_box(mask)) >= least]
    return Digits(sorted(kept, key=lambda mask: _box(mask)[1].start), touched_edge, int(largest))


def _with_their_bars(masks: list[np.ndarray], gap: float) -> list[np.ndarray]:
    """Join each bar, as above a five, to the closest that is none; without one that is close, it is left out."""
    bars = [mask for mask in masks if _is_bar(mask)]
    digits = [mask for mask in masks if not _is_bar(mask)]
    for bar in bars:
        distances = ndimage.distance_transform_edt(~bar)
        closest = min(range(len(digits)), key=lambda number: distances[digits[number]].min(), default=None)
        if closest is not None and distances[digits[closest]].min() <= gap:
            digits[closest] = digits[closest] | bar
    return digits


def _is_bar(mask: np.ndarray) -> bool:
    down, across = _box(mask)
    return across.stop - across.start > _BAR * (down.stop - down.start)


def _is_written(mask: np.ndarray) -> bool:
    """Return whether something is made of strokes, and is no blot."""
    half_width = ndimage.distance_transform_edt(np.pad(mask[_box(mask)], 1)).max()
    return bool(half_width <= _THICKEST_STROKE * _longer_side(_box(mask)))


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return box


def _longer_side(box: tuple[slice, ...]) -> int:
    return max(each.stop - each.start for each in box)
