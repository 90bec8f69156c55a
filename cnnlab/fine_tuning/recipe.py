"""How a run is fine-tuned: on which of somebody's digits, and with which recipe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cnnlab.drawing.my_digits import MyDigit
from cnnlab.errors import LabError
from cnnlab.training.recipe import TrainingConfig

LEAST_DIGITS = 10  # to train on
# One pass over MNIST and pen digits, at rates that a trained network takes without forgetting: measured by
# `tests/benchmarks/fine_tuning.py`.
_FINE_TUNING: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 64,
    "optimizer": "nesterov",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "one-cycle",
    "data": "mnist+pen",
    "augment": False,
    "shift": 1,
    "validation": 0,
    "device": "auto",  # the other's may not be on this machine
}


class CannotFineTune(LabError):
    """A run cannot be fine-tuned, or not with these digits."""


def fine_tuning_recipe(config: TrainingConfig) -> TrainingConfig:
    """Return the recipe with which a run of another recipe is fine-tuned: its seed, threads and backend stay."""
    return replace(config, **_FINE_TUNING)


def parted(digits: Sequence[MyDigit]) -> tuple[list[MyDigit], list[MyDigit]]:
    """Part somebody's digits in those to train on and those held out, of each of the ten in turn.

    One with a stroke of the eraser, which has no outline, is held out.
    """
    to_train_on: list[MyDigit] = []
    held_out: list[MyDigit] = []
    turns = [0] * 10
    for each in digits:
        if any(stroke.erases for stroke in each.strokes):
            held_out.append(each)
            continue
        (held_out if turns[each.digit] % 2 else to_train_on).append(each)
        turns[each.digit] += 1
    return to_train_on, held_out
