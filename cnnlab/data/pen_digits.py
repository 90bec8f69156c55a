"""Digits as people wrote them with a pen on a tablet: strokes, from the archive that ships with the lab.

`cnnlab/assets/pen-digits/README.md` says where they come from. The writers are split once, in the file: those of the
training part are trained on, those of the choosing part choose between recipes, and those of the testing part are a
second test set beside MNIST's.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from cnnlab.data.mnist import DataError, as_input

ARCHIVE = Path(__file__).parents[1] / "assets" / "pen-digits" / "pen-digits.npz"
_SUM = "0e80c5cff97b8e62f030c397470f7b364e0b597c4c2bb6d0c6a583b866f70a94"

Part = Literal["training", "choosing", "testing"]
PARTS: tuple[Part, ...] = ("training", "choosing", "testing")
TRAINING_DIGITS = 13_852
TESTING_DIGITS = 2_575
# One after the other over the digits of the choosing and testing parts: in pixels of the canvas of 280 by 280.
TEST_BRUSHES = (10, 18, 26)
UNITS = 255  # the longer side of the box around a digit's points


@dataclass(frozen=True)
class PenDigits:
    """Digits of one part of the writers, as strokes.

    Attributes
    ----------
    labels
        Shape (N,), int64: the digits 0 to 9.
    writers
        Of each digit, such as "app-017": the institution, and a number.
    strokes
        Of each digit: arrays of shape (points, 2), float64, x to the right and y downwards, from 0 to 255.
    """

    labels: np.ndarray
    writers: tuple[str, ...]
    strokes: tuple[tuple[np.ndarray, ...], ...]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.labels)

    def first(self, count: int) -> "PenDigits":
        """Return a smaller set: the first ones."""
        return PenDigits(self.labels[:count], self.writers[:count], self.strokes[:count])


def load_strokes(part: Part) -> PenDigits:
    """Load the digits of a part of the writers.

    Raises
    ------
    DataError
        If the archive is damaged or gone.
    """
    arrays = _arrays()
    of_digit = arrays["writer_parts"][arrays["writers"]] == PARTS.index(part)
    points = np.cumsum(arrays["steps"].T, axis=0, dtype=np.uint8).astype(np.float64)
    all_strokes = np.split(points, np.cumsum(arrays["point_counts"], dtype=np.int64)[:-1])
    ends = np.cumsum(arrays["stroke_counts"], dtype=np.int64)
    starts = ends - arrays["stroke_counts"]
    return PenDigits(
        labels=arrays["labels"][of_digit].astype(np.int64),
        writers=tuple(arrays["writer_names"][arrays["writers"][of_digit]].tolist()),
        strokes=tuple(
            tuple(all_strokes[start:end]) for start, end in zip(starts[of_digit], ends[of_digit], strict=True)
        ),
    )


@cache
def load_drawn(part: Literal["choosing", "testing"]) -> tuple[Tensor, Tensor]:
    """Load the digits of a part of the writers as they are drawn on the canvas and prepared. The result is cached.

    Each is drawn once, with a brush of `TEST_BRUSHES` in turn.

    Returns
    -------
    tuple of Tensor
        The images, shape (N, 1, 28, 28), float32, and the labels, shape (N,), int64.

    Raises
    ------
    DataError
        If the archive is damaged or gone.
    """
    arrays = _arrays()
    of_digit = arrays["writer_parts"][arrays["writers"]] == PARTS.index(part)
    images = torch.from_numpy(arrays[f"{part}_images"]).unsqueeze(1)
    return as_input(images), torch.from_numpy(arrays["labels"][of_digit].astype(np.int64))


@cache
def _arrays() -> dict[str, np.ndarray]:
    try:
        content = ARCHIVE.read_bytes()
        if hashlib.sha256(content).hexdigest() != _SUM:
            raise DataError(_what_is_wrong("damaged"))
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError as error:
        raise DataError(_what_is_wrong("missing")) from error
    except (OSError, BadZipFile, ValueError) as error:
        raise DataError(_what_is_wrong("damaged")) from error


def _what_is_wrong(how: str) -> str:
    return (
        f"The pen digits cannot be read: {ARCHIVE} is {how}. Restore it (git checkout -- cnnlab/assets/pen-digits), or "
        "train on MNIST alone."
    )
