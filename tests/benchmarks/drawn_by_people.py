"""How runs do on what people drew: right answers at three brushes, letters told from digits, and calibration.

    PYTHONPATH=. python tests/benchmarks/drawn_by_people.py RUN... [--letters FILE]

The digits are the testing writers'. FILE is a file of one JSON object a line, gzipped, of letters that cannot be read
as digits: {"writer": "mot-001", "letter": "m", "strokes": [[[x, y], …], …]}. Letters of writers whose digits are
trained on or choose are left out.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch

from cnnlab.data.pen_digits import TEST_BRUSHES, PenDigits, load_strokes
from cnnlab.drawing.pen import outlines_of, plain_drawings
from cnnlab.fused.pen import drawn
from cnnlab.inference.answers import answers_of
from cnnlab.inference.calibration import calibration_of
from cnnlab.inference.test_set import images_of, predictions_of
from cnnlab.inference.unlike import are_digits
from cnnlab.runs.shelf import find_run


def drawings_of(digits: PenDigits, brush: float) -> np.ndarray:
    """Return digits drawn in the middle of the canvas: shape (N, 28, 28)."""
    return drawn(outlines_of(digits), torch.arange(len(digits)), plain_drawings(len(digits), brush))[:, 0].numpy()


def letters_in(path: Path) -> PenDigits:
    known = set(load_strokes("training").writers) | set(load_strokes("choosing").writers)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [record for record in map(json.loads, file) if record["writer"] not in known]
    strokes = tuple(tuple(np.array(stroke, float) for stroke in record["strokes"]) for record in records)
    return PenDigits(np.zeros(len(records), np.int64), tuple(record["writer"] for record in records), strokes)


def percent_of(values: np.ndarray) -> str:
    return f"{100 * float(np.mean(values)):.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="identifiers of runs")
    parser.add_argument("--letters", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    digits = load_strokes("testing")
    images = {brush: drawings_of(digits, brush) for brush in TEST_BRUSHES}
    letters = letters_in(arguments.letters) if arguments.letters else None
    for run in map(find_run, arguments.runs):
        print(run.name)
        right = predictions_of(run).answers == images_of("mnist")[1].numpy()
        print(f"  MNIST {percent_of(right)}")
        for brush, drawings in images.items():
            answers = np.array([answer.digit for answer in answers_of(run, drawings)])
            flagged = ~are_digits(run, drawings)
            print(f"  brush {brush} px: right {percent_of(answers == digits.labels)}, no digit {percent_of(flagged)}")
        if letters is not None:
            for brush in TEST_BRUSHES:
                drawings = drawings_of(letters, brush)
                sure = np.array([answer.confidence for answer in answers_of(run, drawings)]) >= 0.99
                flagged = ~are_digits(run, drawings)
                print(
                    f"  {len(letters):,} letters, brush {brush} px: no digit {percent_of(flagged)}, "
                    f"answered with 99 % or more {percent_of(sure)}"
                )
        calibration = calibration_of(run)
        print(
            f"  temperature {calibration.temperature:.2f}, expected calibration error "
            f"{100 * calibration.error_before:.2f} % before, {100 * calibration.error_after:.2f} % after"
        )
        print(calibration.curve.to_string(index=False))


if __name__ == "__main__":
    main()
