"""My digits: drawings that a person made and labelled, as a test set of their own.

They lie in the lab's home, for each learner in a file of his own, one JSON object a line, as they are downloaded and
uploaded:

    {"digit": 7, "strokes": [{"width": 20, "points": [[81.5, 60], [190, 62.5]]}]}

with widths and points in pixels of a canvas of 280 by 280. A stroke of the eraser has "erases": true, and its line
"format": 2. A line of a later format is kept as it is.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import (
    FARTHEST,
    MOST_LENGTH,
    MOST_POINTS,
    MOST_STROKES,
    MOST_WIDTH,
    Stroke,
    ink_of,
    is_coordinate,
    is_width,
    length_of,
)
from cnnlab.errors import LabError
from cnnlab.storage.files import replacing
from cnnlab.storage.home import home, writing_to_home
from cnnlab.storage.learners import alone_with, learner_path

# Of a line; what has none is 1. From 2 on, strokes may erase.
_FORMATS = (1, 2)
MOST_DIGITS = 2_000
MOST_BYTES = 20_000_000


class InvalidDigits(LabError):
    """These are not digits that the lab has kept, or too many."""


class NewerDigits(InvalidDigits):
    """These were kept by a newer version of the lab."""


@dataclass(frozen=True)
class MyDigit:
    """A drawing and its label.

    Attributes
    ----------
    digit
        From 0 to 9.
    strokes
        At least one.
    """

    digit: int
    strokes: tuple[Stroke, ...]


@dataclass(frozen=True)
class MyDigits:
    """All the digits kept so far, the oldest first.

    Attributes
    ----------
    digits
        At most `MOST_DIGITS`.
    images
        Shape (N, 28, 28), float32: prepared for a network.
    damaged, newer
        How many lines of the file cannot be read; and how many a newer version of the lab has written.
    fingerprint
        A SHA-256 sum, of the file that they are from and of which of them are here.
    """

    digits: tuple[MyDigit, ...]
    images: np.ndarray
    damaged: int
    newer: int
    fingerprint: str

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.digits)

    @property
    def labels(self) -> np.ndarray:
        """The digits that were meant: shape (N,), int64."""
        return np.array([each.digit for each in self.digits], np.int64)

    def without(self, others: Iterable[MyDigit]) -> "MyDigits":
        """Return the same without some of them."""
        left_out = set(others)
        places = [place for place, each in enumerate(self.digits) if each not in left_out]
        digits = tuple(self.digits[place] for place in places)
        fingerprint = sha256(f"{self.fingerprint} {places}".encode()).hexdigest()
        return replace(self, digits=digits, images=self.images[places], fingerprint=fingerprint)


def my_digits(learner: str | None = None) -> MyDigits:
    """Return the digits that a learner has kept, or those of all who gave no name.

    Damaged lines are left out, and counted.
    """
    try:
        content = my_digits_path(learner).read_bytes()
    except OSError:
        content = b""
    return digits_in(content)


def my_digits_path(learner: str | None = None) -> Path:
    """Return the path of the file that holds them; it may not exist."""
    return learner_path(learner, "-digits.jsonl") if learner else home() / "my-digits.jsonl"


def keep(digit: int, strokes: Sequence[Stroke], learner: str | None = None) -> MyDigit | None:
    """Keep a drawing with its label.

    Returns
    -------
    MyDigit or None
        What was kept; None if the same is there already.

    Raises
    ------
    InvalidDigits
        If nothing is drawn, or the drawing is too long, or there are too many already.
    HomeError
        If the home cannot be written.
    """
    drawing = MyDigit(digit, tuple(strokes))
    try:
        _digit_in(_line_of(drawing))
    except InvalidDigits as error:
        raise InvalidDigits(f"This drawing cannot be kept: {error}") from error
    return drawing if add([drawing], learner) else None


def add(digits: Iterable[MyDigit], learner: str | None = None) -> int:
    """Add digits to those already kept; duplicates are skipped.

    Returns
    -------
    int
        How many are new.

    Raises
    ------
    InvalidDigits
        If there would be too many.
    HomeError
        If the home cannot be written.
    """
    path = my_digits_path(learner)
    with alone_with(path):
        there = _lines(path)
        known = set(there)
        new = [line for line in dict.fromkeys(map(_line_of, digits)) if line not in known]
        if len(there) + len(new) > MOST_DIGITS:
            raise InvalidDigits(
                f"The lab keeps at most {MOST_DIGITS:,} digits, and has {len(there):,}: download them, and delete them "
                "before more are added."
            )
        if new:
            _write(path, [*there, *new])
    return len(new)


def take_back(digit: MyDigit, learner: str | None = None) -> None:
    """Forget a digit that was kept.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    path = my_digits_path(learner)
    with alone_with(path):
        _write(path, [line for line in _lines(path) if line != _line_of(digit)])


def delete_all(learner: str | None = None) -> None:
    """Forget all digits.

    Raises
    ------
    HomeError
        If the home cannot be written.
    """
    path = my_digits_path(learner)
    with alone_with(path), writing_to_home():
        path.unlink(missing_ok=True)


def parse(content: bytes) -> list[MyDigit]:
    """Parse an uploaded file of digits.

    Raises
    ------
    InvalidDigits
        If it is too large, is none, or a line of it says what cannot be.
    """
    if len(content) > MOST_BYTES:
        raise InvalidDigits(f"This file has {len(content) / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:.0f} MB are read.")
    digits = []
    for number, line in enumerate(_lines_in(content), start=1):
        try:
            digits.append(_digit_in(line)[0])
        except InvalidDigits as error:
            raise InvalidDigits(f"Line {number:,} is not a digit that the lab has kept: {error}") from error
    return digits


@lru_cache(maxsize=4)
def digits_in(content: bytes) -> MyDigits:
    """Return the digits in a file's content; damaged lines are left out, and counted."""
    digits, images, damaged, newer = [], [], 0, 0
    for line in content.splitlines()[:MOST_DIGITS]:
        try:
            digit, image = _digit_in(line)
        except NewerDigits:
            newer += 1
        except InvalidDigits:
            damaged += 1
        else:
            digits.append(digit)
            images.append(image)
    together = np.stack(images) if images else np.zeros((0, 28, 28), np.float32)
    return MyDigits(tuple(digits), together, damaged, newer, sha256(content).hexdigest())


def strokes_in(content: bytes) -> tuple[MyDigit, ...]:
    """Return the digits in a file that the lab wrote, without their images.

    Raises
    ------
    InvalidDigits
        If there are none or too many, or a line is not a digit.
    """
    return tuple(map(_drawing_in, _lines_in(content)))


def _lines_in(content: bytes) -> list[bytes]:
    lines = [line for line in content.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MOST_DIGITS:
        raise InvalidDigits(f"This file has {len(lines):,} lines; a file of digits has 1 to {MOST_DIGITS:,}.")
    return lines


@lru_cache(maxsize=2 * MOST_DIGITS)
def _digit_in(line: bytes) -> tuple[MyDigit, np.ndarray]:
    """Read a line, and prepare what was drawn: the digit, and its image of shape (28, 28).

    Each line is read once: a digit more costs no more than one.
    """
    digit = _drawing_in(line)
    prepared = prepare(ink_of(digit.strokes))
    if prepared is None:
        raise InvalidDigits("nothing is drawn, or nothing but a dot.")
    return digit, prepared.centred


def _drawing_in(line: bytes) -> MyDigit:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidDigits("it is not JSON.") from error
    if isinstance(record, dict) and record.get("format", 1) not in _FORMATS:
        raise NewerDigits("it was kept by a newer version of the lab: open it with that version.")
    if not isinstance(record, dict) or set(record) - {"format"} != {"digit", "strokes"}:
        raise InvalidDigits('it must have "digit" and "strokes", and nothing else.')
    if type(record["digit"]) is not int or record["digit"] not in range(10):
        raise InvalidDigits('"digit" must be a whole number from 0 to 9.')
    if not isinstance(record["strokes"], list) or not 1 <= len(record["strokes"]) <= MOST_STROKES:
        raise InvalidDigits(f'"strokes" must be a list of 1 to {MOST_STROKES}.')
    digit = MyDigit(record["digit"], tuple(map(_stroke_in, record["strokes"])))
    if sum(len(stroke.points) for stroke in digit.strokes) > MOST_POINTS:
        raise InvalidDigits(f"its strokes must have at most {MOST_POINTS:,} points.")
    if sum(map(length_of, digit.strokes)) > MOST_LENGTH:
        raise InvalidDigits(f"its strokes must be at most {MOST_LENGTH:,} pixels long.")
    return digit


def _stroke_in(record: Any) -> Stroke:
    if isinstance(record, dict) and record.get("format", 1) not in _FORMATS:
        raise NewerDigits("it was kept by a newer version of the lab: open it with that version.")
    if not isinstance(record, dict) or set(record) - {"erases"} != {"width", "points"}:
        raise InvalidDigits('a stroke must have "width" and "points", and nothing else but "erases".')
    width, points, erases = record["width"], record["points"], record.get("erases", False)
    if not isinstance(erases, bool):
        raise InvalidDigits('"erases" must be true or false.')
    if not is_width(width):
        raise InvalidDigits(f'"width" must be a number from 1 to {MOST_WIDTH}.')
    if not isinstance(points, list) or not points or not all(map(_is_point, points)):
        raise InvalidDigits(f'"points" must be a list of [x, y], numbers from -{FARTHEST:,} to {FARTHEST:,}.')
    return Stroke(width, tuple((x, y) for x, y in points), erases)


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(map(is_coordinate, point))


def _line_of(digit: MyDigit) -> bytes:
    record = asdict(digit)
    for stroke in record["strokes"]:
        stroke["points"] = [[round(x, 1), round(y, 1)] for x, y in stroke["points"]]
        if stroke["erases"]:
            record["format"] = 2
        else:  # earlier versions of the lab read it too
            del stroke["erases"]
    return json.dumps(record).encode()


def lines_of(digits: Iterable[MyDigit]) -> bytes:
    """Return digits as a file that `parse` reads."""
    return b"".join(_line_of(digit) + b"\n" for digit in digits)


def _lines(path: Path) -> list[bytes]:
    """Return the file's lines, damaged ones too: what a person drew is not thrown away because it cannot be read."""
    with writing_to_home(), suppress(FileNotFoundError):
        return path.read_bytes().splitlines()
    return []


def _write(path: Path, lines: list[bytes]) -> None:
    with writing_to_home(), replacing(path) as unfinished:
        unfinished.write_bytes(b"".join(line + b"\n" for line in lines))
