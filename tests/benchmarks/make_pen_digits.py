"""Makes the pen digits that ship with the lab, cnnlab/assets/pen-digits/pen-digits.npz, from the two collections.

    PYTHONPATH=. python tests/benchmarks/make_pen_digits.py UNIPEN_DIGITS PENDIGITS_TRAIN

UNIPEN_DIGITS is a file of one JSON object a line, gzipped, as cut out of UNIPEN's train_r01_v07 (Consortium, 1999,
doi:10.5281/zenodo.1195803, CC BY 4.0): {"writer": "app-017", "digit": 7, "strokes": [[[x, y], …], …]}, y downwards.
PENDIGITS_TRAIN is the file that `drawn_digits.py` reads.

A writer is in one part alone: of each institution's writers, 70 % train, 15 % choose and 15 % test.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn_digits import read_pen_digits

from cnnlab.data.pen_digits import ARCHIVE, PARTS, TEST_BRUSHES, PenDigits
from cnnlab.drawing.pen import outlines_of, plain_drawings
from cnnlab.fused.pen import drawn

FARTHEST = 255  # the longer side of the box around a digit's points
NEAREST = 3  # points nearer to the last one are left out
SPLIT_SEED = 19
# Digits that nobody would read as their label says, by collection and place in its file, counted from 0. Three networks
# that were trained on these digits disagreed with 109 labels, on the mean over brushes of 10, 18 and 26 px; of these,
# looked at one by one, 53 are wrong. 48 are ibm's: mostly a four, a zero or an eight of which one stroke was cut out.
WRONG: dict[str, frozenset[int]] = {
    "unipen": frozenset(
        {
            3860,
            3861,
            4031,
            6302,
            6337,
            6340,
            6342,
            6343,
            6344,
            6345,
            6390,
            6398,
            6400,
            6449,
            6500,
            6552,
            6593,
            6600,
            6655,
            6658,
            6722,
            6729,
            6794,
            6799,
            6800,
            6801,
            6871,
            6936,
            7030,
            7199,
            7201,
            7281,
            7355,
            7360,
            7437,
            7441,
            7539,
            7625,
            7630,
            7718,
            7719,
            7720,
            7721,
            7722,
            7727,
            7728,
            7729,
            7819,
            7821,
            7822,
            7824,
        }
    ),
    "pen": frozenset({1469, 5207}),
}


def unipen_digits(path: Path) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for place, line in enumerate(file):
            record = json.loads(line)
            if place not in WRONG["unipen"]:
                yield record["writer"], record["digit"], [np.array(stroke, float) for stroke in record["strokes"]]


def tablet_digits(path: Path) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    for place, digit in enumerate(read_pen_digits(path)):
        if place not in WRONG["pen"]:
            yield f"pen-{digit.writer:03}", digit.label, digit.strokes


def compact(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """Scale strokes to whole numbers from 0 to 255, and thin their points."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = FARTHEST / max(*(high - low), 1)
    return [thinned(np.rint((stroke - low) * scale)) for stroke in strokes]


def thinned(stroke: np.ndarray) -> np.ndarray:
    kept = [stroke[0]]
    for point in stroke[1:]:
        if np.hypot(*(point - kept[-1])) >= NEAREST:
            kept.append(point)
    if len(stroke) > 1 and not np.array_equal(kept[-1], stroke[-1]):  # the pen was lifted there
        kept.append(stroke[-1])
    return np.array(kept, np.uint8)


def part_of_each(writers: list[str]) -> dict[str, int]:
    """Split the writers, institution by institution, into training, choosing and testing ones."""
    random = np.random.default_rng(SPLIT_SEED)
    parts = {}
    for institution in sorted({writer[:3] for writer in writers}):
        own = sorted(writer for writer in writers if writer.startswith(institution))
        aside = round(0.15 * len(own))
        order = random.permutation(len(own))
        for place, index in enumerate(order):
            parts[own[index]] = 1 if place < aside else 2 if place < 2 * aside else 0
    return parts


def images_of(strokes: list[list[np.ndarray]]) -> np.ndarray:
    """Return digits as the lab sees them when they are drawn in the middle of the canvas: (N, 28, 28), uint8."""
    outlines = outlines_of(PenDigits(np.zeros(len(strokes), np.int64), (), tuple(map(tuple, strokes))))
    drawings = plain_drawings(len(strokes), brush=1)
    drawings[:, 6] = torch.tensor(TEST_BRUSHES)[torch.arange(len(strokes)) % len(TEST_BRUSHES)] / 2
    images = drawn(outlines, torch.arange(len(strokes)), drawings)
    return (images[:, 0] * 255).round().byte().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unipen", type=Path)
    parser.add_argument("tablet", type=Path)
    arguments = parser.parse_args()

    digits = [*unipen_digits(arguments.unipen), *tablet_digits(arguments.tablet)]
    writers = sorted({writer for writer, _, _ in digits})
    parts = part_of_each(writers)
    digits.sort(key=lambda digit: parts[digit[0]])  # one part after the other; within one, as they came
    strokes = [compact(digit[2]) for digit in digits]
    points = np.concatenate([stroke for digit in strokes for stroke in digit])
    part_of = np.array([parts[writer] for writer, _, _ in digits])
    images = {
        part: images_of([strokes[place] for place in np.flatnonzero(part_of == number)])
        for number, part in enumerate(PARTS)
        if part != "training"
    }
    ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        ARCHIVE,
        writer_names=np.array(writers),
        writer_parts=np.array([parts[writer] for writer in writers], np.uint8),
        labels=np.array([digit for _, digit, _ in digits], np.uint8),
        writers=np.array([writers.index(writer) for writer, _, _ in digits], np.uint16),
        stroke_counts=np.array([len(digit) for digit in strokes], np.uint8),
        point_counts=np.array([len(stroke) for digit in strokes for stroke in digit], np.uint16),
        steps=np.diff(
            points, axis=0, prepend=np.zeros((1, 2), np.uint8)
        ).T,  # modulo 256; they are small, and pack well
        choosing_images=images["choosing"],
        testing_images=images["testing"],
    )
    print(f"{ARCHIVE.stat().st_size:,} bytes, SHA-256 {hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()}")
    for number, part in enumerate(PARTS):
        own = [writer for writer, _, _ in digits if parts[writer] == number]
        print(f"{part}: {len(own):,} digits of {len(set(own)):,} writers")


if __name__ == "__main__":
    main()
