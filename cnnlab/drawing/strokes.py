"""Pen strokes: how a drawing is kept, and the ink that they leave on the canvas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

CANVAS_SIDE = 280  # of the canvas, in pixels

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
    """

    width: float
    points: tuple[tuple[float, float], ...]


def strokes_on(canvas: dict[str, Any] | None) -> tuple[Stroke, ...]:
    """Return the strokes on a drawing canvas; whatever else may be on it is left out.

    Parameters
    ----------
    canvas
        What Fabric.js writes of a canvas. Its pencil makes a path of each stroke: it moves to the first point, takes
        each point as the control point of a quadratic curve, and ends with a line to the last one.
    """
    return tuple(
        Stroke(each["strokeWidth"], tuple((step[1], step[2]) for step in each["path"] if step[0] in "QL"))
        for each in (canvas or {}).get("objects", [])
        if each.get("type", "").lower() == "path"
    )


def ink_of(strokes: Sequence[Stroke]) -> np.ndarray:
    """Return the ink that strokes leave on the canvas.

    Returns
    -------
    numpy.ndarray
        Shape (280, 280), float32, from 0, empty, to 1, full ink; grey at the edges.
    """
    image = Image.new("L", (CANVAS_SIDE * _OVERSAMPLING,) * 2)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        line = _curve(np.array(stroke.points, np.float64)) * _OVERSAMPLING - 0.5  # Pillow counts from a pixel's middle
        width = stroke.width * _OVERSAMPLING
        pen.line(line.ravel().tolist(), fill=255, width=round(width))
        for x, y in line.tolist():  # round ends and joints
            pen.circle((x, y), (width - 1) / 2, fill=255)  # the outermost pixels are part of it
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
