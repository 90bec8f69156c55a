"""What *Fine-tune on my digits* gives: unseen writers, each of whom fine-tunes a network with half of his digits.

    python tests/benchmarks/fine_tuning.py [--part testing] [--writers 8] [--turned 0] [--learning-rate 0.01]

Of each writer, at most thirty digits are trained on; the others are held out, drawn with a brush of 18 px, and asked
before and after. With ``--turned``, all that he writes is turned by so many degrees: a hand that nobody else has.
"""

import argparse
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from cnnlab.data import mnist
from cnnlab.data.pen_digits import PenDigits, load_strokes
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.pen import load_pen_data, outlines_of, plain_drawings
from cnnlab.drawing.strokes import Stroke
from cnnlab.fine_tuning.recipe import fine_tuning_recipe, parted
from cnnlab.fused.pen import drawn
from cnnlab.runs.shelf import find_run
from cnnlab.training.evaluation import evaluate
from cnnlab.training.loop import train

LEAST_DIGITS, MOST_TRAINED_ON, BRUSH = 40, 30, 18.0


def digits_of(writer: str, digits: PenDigits, turned: float) -> list[MyDigit]:
    cos, sin = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    turn = np.array([[cos, sin], [-sin, cos]])
    found = []
    for label, whose, strokes in zip(digits.labels, digits.writers, digits.strokes, strict=True):
        if whose == writer:
            points = [(stroke - 127.5) @ turn * 0.7 + 140 for stroke in strokes]
            found.append(MyDigit(int(label), tuple(Stroke(BRUSH, tuple(map(tuple, each.tolist()))) for each in points)))
    return found


def images_of(digits: list[MyDigit]) -> tuple[torch.Tensor, torch.Tensor]:
    labels = np.array([each.digit for each in digits], np.int64)
    strokes = tuple(tuple(np.array(stroke.points) / 180 * 255 for stroke in each.strokes) for each in digits)
    outlines = outlines_of(PenDigits(labels, ("",) * len(digits), strokes))
    return drawn(outlines, torch.arange(len(digits)), plain_drawings(len(digits), BRUSH)), torch.from_numpy(labels)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--part", default="testing", choices=("choosing", "testing"))
    arguments.add_argument("--writers", type=int, default=8)
    arguments.add_argument("--turned", type=float, default=0.0, help="degrees")
    arguments.add_argument("--learning-rate", type=float, help="another one than the lab's")
    arguments.add_argument("--threads", type=int)
    chosen = arguments.parse_args()
    digits = load_strokes(chosen.part)
    counts = Counter(digits.writers)
    writers = sorted(writer for writer, count in counts.items() if count >= LEAST_DIGITS)[: chosen.writers]
    images = mnist.load(train_images_as_bytes=True)
    print(f"{len(writers)} writers of the {chosen.part} part, turned by {chosen.turned:g} degrees")
    print("run\theld out\tright before\tright after\tMNIST after\tdrawn by people after\tseconds")
    for run_id in ("reference-sequential", "reference-drawing"):
        run = find_run(run_id)
        changes = {"learning_rate": chosen.learning_rate, "threads": chosen.threads}
        config = replace(fine_tuning_recipe(run.config), **{name: each for name, each in changes.items() if each})
        total, before, after, on_mnist, on_people, seconds = 0, 0, 0, [], [], []
        for writer in writers:
            to_train_on, held_out = parted(digits_of(writer, digits, chosen.turned))
            model = run.definition.build(seed=0)
            model.load_state_dict(run.load_weights())
            asked = images_of(held_out)
            total += len(held_out)
            before += round(evaluate(model, *asked).accuracy * len(held_out))
            pen = load_pen_data(with_training=True, own_digits=to_train_on[:MOST_TRAINED_ON])
            begun = time.monotonic()
            *_, last = train(model, images, config, pen=pen)
            seconds.append(time.monotonic() - begun)
            after += round(evaluate(model, *asked).accuracy * len(held_out))
            on_mnist.append(last.test_accuracy)
            on_people.append(last.pen_accuracy)
        print(
            f"{run.name}\t{total}\t{before} ({before / total:.2%})\t{after} ({after / total:.2%})\t"
            f"{np.mean(on_mnist):.2%}\t{np.mean(on_people):.2%}\t{np.median(seconds):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
