"""Pen strokes: how a drawing is kept, and the ink that they leave on the canvas."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from math import dist
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

CANVAS_SIDE = 280  # of the canvas, in pixels
INK_COLOR, PAPER_COLOR = "#000000", "#ffffff"
# No drawing of a digit comes near these; one that does would take gigabytes to draw.
MOST_STROKES = 50
MOST_POINTS = 5_000  # of all strokes together
MOST_WIDTH = 100  # in pixels
FARTHEST = 10 * CANVAS_SIDE  # a pen may leave the canvas with its button held
MOST_LENGTH = 50_000  # of all strokes together, in pixels

_OVERSAMPLING = 2
_SEGMENT = 3  # how long the straight pieces are that a curve is drawn with, in pixels


@dataclass(frozen=True)
class Stroke:
    """One movement of a pen that was not lifted.

    Attributes
    ----------
    width
        Of the pen's round tip, in pixels of the canvas.
    points
        Where the pen was, as (x, y) in pixels from the canvas's upper left corner; at least one.
    erases
        Whether it was the eraser, which takes the ink away that was there before.
    """

    width: float
    points: tuple[tuple[float, float], ...]
    erases: bool = False


def strokes_on(canvas: dict[str, Any] | None) -> tuple[Stroke, ...]:
    """Return the strokes on a drawing canvas; whatever else may be on it, or is beyond all bounds, is left out.

    Parameters
    ----------
    canvas
        What Fabric.js writes of a canvas. Its pencil makes a path of each stroke: it moves to the first point, takes
        each point as the control point of a quadratic curve, and ends with a line to the last one. The eraser is a
        pencil with the paper's colour.
    """
    strokes: list[Stroke] = []
    objects = canvas.get("objects") if isinstance(canvas, dict) else None
    for each in objects if isinstance(objects, list) else []:
        with suppress(LookupError, TypeError, AttributeError):  # the browser may send what it likes
            if each["type"].lower() == "path":
                points = tuple((step[1], step[2]) for step in each["path"] if step[0] in "QL")
                strokes.append(Stroke(each["strokeWidth"], points, each.get("stroke") == PAPER_COLOR))
    return _within_bounds(strokes)


def length_of(stroke: Stroke) -> float:
    """Return how far the pen went, in pixels."""
    return sum(dist(*ends) for ends in pairwise(stroke.points))


def _within_bounds(strokes: Sequence[Stroke]) -> tuple[Stroke, ...]:
    """Return the strokes that can be drawn, up to the first one with which they become too many or too long."""
    kept: list[Stroke] = []
    points, length = 0, 0.0
    for stroke in filter(_can_be_drawn, strokes):
        points += len(stroke.points)
        length += length_of(stroke)
        if len(kept) == MOST_STROKES or points > MOST_POINTS or length > MOST_LENGTH:
            break
        kept.append(stroke)
    return tuple(kept)


def is_width(value: object) -> bool:
    """Return whether a pen can have this width."""
    return type(value) in (int, float) and 1 <= value <= MOST_WIDTH  # type: ignore[operator]


def is_coordinate(value: object) -> bool:
    """Return whether a pen can have been at this x or y."""
    return type(value) in (int, float) and -FARTHEST <= value <= FARTHEST  # type: ignore[operator]


def _can_be_drawn(stroke: Stroke) -> bool:
    return (
        bool(stroke.points) and is_width(stroke.width) and all(map(is_coordinate, chain.from_iterable(stroke.points)))
    )


def ink_of(strokes: Sequence[Stroke], below: np.ndarray | None = None) -> np.ndarray:
    """Return the ink that strokes leave on the canvas.

    Parameters
    ----------
    strokes
        In the order in which they were drawn.
    below
        What they are drawn on, as what is returned; empty paper if left out.

    Returns
    -------
    numpy.ndarray
        Shape (280, 280), float32, from 0, empty, to 1, full ink; grey at the edges.
    """
    side = (CANVAS_SIDE * _OVERSAMPLING,) * 2
    if below is None:
        image = Image.new("L", side)
    else:
        image = Image.fromarray((below * 255).round().astype(np.uint8)).resize(side, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        line = _curve(np.array(stroke.points, np.float64)) * _OVERSAMPLING - 0.5  # Pillow counts from a pixel's middle
        width = stroke.width * _OVERSAMPLING
        ink = 0 if stroke.erases else 255
        pen.line(line.ravel().tolist(), fill=ink, width=round(width))
        for x, y in line.tolist():  # round ends and joints
            pen.circle((x, y), (width - 1) / 2, fill=ink)  # the outermost pixels are part of it
    return np.asarray(image.reduce(_OVERSAMPLING), np.float32) / 255


def _curve(points: np.ndarray) -> np.ndarray:
    """Return points on the curve that Fabric.js's pencil draws: from middle to middle, bent towards each point.

    Parameters
    ----------
    points
        Shape (N, 2).

    Returns
    -------
    numpy.ndarray
        Shape (M, 2); M is at least 2.
    """
    middles = (points[:-1] + points[1:]) / 2
    curve = [points[:1]]
    for start, bend, end in zip(middles[:-1], points[1:-1], middles[1:], strict=True):
        pieces = max(1, round(np.abs(end - start).sum() / _SEGMENT))
        t = np.linspace(0, 1, pieces, endpoint=False)[:, None]
        curve.append((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)
    return np.concatenate([*curve, middles[-1:], points[-1:]])
