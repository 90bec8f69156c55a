"""How often runs read drawn digits rightly: the whole canvas shrunk, against prepared as MNIST's were.

    PYTHONPATH=. python tests/benchmarks/drawn_digits.py FILE RUN... [--writers 2,4,6] [--brush 12,20,28]

FILE is `pendigits-train` of "Pen-Based Recognition of Handwritten Digits" (E. Alpaydin, F. Alimoglu, 1996; UCI Machine
Learning Repository, https://doi.org/10.24432/C5MG6K, CC BY 4.0): strokes from a tablet, in the UNIPEN 1.0 text format
(Guyon et al., 1994). A digit in it reads

    .SEGMENT DIGIT    6-7 ? "4"          the pen strokes it is made of, and what it says
    .COMMENT 4  1  117                   its digit, its writer, its number
    .PEN_DOWN                            a stroke: one point (x, y) a line, y upwards
     231  309
     ...
    .PEN_UP
    .DT 100

It is drawn with a round brush on a canvas of 280 by 280 pixels.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from cnnlab.drawing import preparation as drawing
from cnnlab.inference.answers import answers_of
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import find_run


@dataclass(frozen=True)
class PenDigit:
    """One digit as it was written.

    Attributes
    ----------
    label
        The digit, 0 to 9.
    writer
        Who wrote it, 1 to 44 in the whole of the data.
    strokes
        One array of shape (points, 2) for each time the pen was down, float64: x to the right and y downwards, as on a
        screen, in units of the tablet.
    """

    label: int
    writer: int
    strokes: list[np.ndarray]


def read_pen_digits(path: Path) -> list[PenDigit]:
    """Read a UNIPEN file of digits.

    Raises
    ------
    ValueError
        If a digit in it has no label, no writer or no stroke.
    """
    digits: list[PenDigit] = []
    label: int | None = None
    writer: int | None = None
    strokes: list[list[tuple[int, int]]] = []
    is_down = False

    def finish() -> None:
        if not strokes or label is None or writer is None:
            raise ValueError(f"{path}: digit {len(digits)} lacks its label, its writer or its strokes")
        digits.append(PenDigit(label, writer, [np.array(stroke, dtype=float) * (1, -1) for stroke in strokes]))

    for line in path.read_text(encoding="utf-8").splitlines():
        match line.split():
            case [".SEGMENT", "DIGIT", _, _, quoted]:
                if label is not None:
                    finish()
                label, writer, strokes = int(quoted.strip('"')), None, []
            case [".COMMENT", _, writer_number, _]:
                writer = int(writer_number)
            case [".PEN_DOWN"]:
                strokes.append([])
                is_down = True
            case [".PEN_UP"]:
                is_down = False
            case [x, y] if is_down:
                strokes[-1].append((int(x), int(y)))
    finish()
    return digits


def to_canvas(strokes: Iterable[np.ndarray], extent: float = 180, canvas: int = 280) -> list[np.ndarray]:
    """Scale strokes so that their longer side is `extent` pixels, and put them in the middle of a canvas.

    Parameters
    ----------
    strokes
        Arrays of shape (points, 2), y downwards, in any unit.
    extent
        The longer side of the box around the points, in pixels of the canvas; the brush comes on top.
    canvas
        The side of the canvas, in pixels.
    """
    strokes = list(strokes)
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = extent / max(*(high - low), 1)
    return [(stroke - (low + high) / 2) * scale + canvas / 2 for stroke in strokes]


def draw(strokes: Iterable[np.ndarray], brush: float = 20, canvas: int = 280, oversampling: int = 4) -> np.ndarray:
    """Draw strokes as polylines with round caps and joins.

    Parameters
    ----------
    strokes
        Arrays of shape (points, 2), in pixels of the canvas, y downwards.
    brush
        The width of a stroke, in pixels.
    canvas
        The side of the canvas, in pixels.
    oversampling
        Each pixel is the mean of this many by this many: the anti-aliasing, which a browser does and Pillow's lines
        do not.

    Returns
    -------
    numpy.ndarray
        Shape (canvas, canvas), uint8: 255 is ink, 0 is empty.
    """
    image = Image.new("L", (canvas * oversampling, canvas * oversampling))
    pen = ImageDraw.Draw(image)
    radius = brush * oversampling / 2
    for stroke in strokes:
        points = [tuple(point) for point in stroke * oversampling]
        pen.line(points, fill=255, width=round(2 * radius))
        for x, y in points:  # a disc at each point rounds the caps and the joins
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.reduce(oversampling))


def rendered(digits: list[PenDigit], brush: float, extent: float) -> dict[str, np.ndarray]:
    """Draw digits on canvases, and bring them to the network's size in two ways.

    Parameters
    ----------
    digits
        The digits.
    brush, extent
        The width of a stroke and the longer side of a digit without it, in pixels of a canvas of 280 by 280.

    Returns
    -------
    dict of str to np.ndarray
        "shrunk" and "prepared", each of shape (N, 28, 28).
    """
    images: dict[str, list[np.ndarray]] = {"shrunk": [], "prepared": []}
    for digit in digits:
        canvas = draw(to_canvas(digit.strokes, extent), brush)
        preparation = drawing.prepare(canvas)
        empty = np.zeros((drawing.SIDE, drawing.SIDE), np.float32)  # an answer to it counts as wrong nine times in ten
        images["prepared"].append(empty if preparation is None else preparation.centred)
        images["shrunk"].append(drawing.shrink(drawing.ink(canvas)))
    return {how: np.stack(stack) for how, stack in images.items()}


def accuracy(run: Run, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the images that a run answers rightly, in percent."""
    answers = np.array([answer.digit for answer in answers_of(run, images)])
    return 100 * float((answers == labels).mean())


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("runs", nargs="+", help="identifiers of runs")
    parser.add_argument("--writers", type=numbers, help="all if left out")
    parser.add_argument("--brush", type=numbers, default=[12, 20, 28], help="in pixels")
    parser.add_argument("--extent", type=numbers, default=[180], help="longer side of a digit, in pixels")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    digits = read_pen_digits(arguments.file)
    if arguments.writers:
        digits = [digit for digit in digits if digit.writer in arguments.writers]
    labels = np.array([digit.label for digit in digits])
    print(f"{len(digits):,} digits of {len({digit.writer for digit in digits})} writers")
    for extent in arguments.extent:
        for brush in arguments.brush:
            images = rendered(digits, brush, extent)
            for run_id in arguments.runs:
                run = find_run(run_id)
                shares = "  ".join(f"{how} {accuracy(run, stack, labels):5.2f} %" for how, stack in images.items())
                print(f"extent {extent} px  brush {brush} px  {run.name:40}  {shares}", flush=True)


if __name__ == "__main__":
    main()
