"""Runs' predictions for a few images, with their networks kept in memory."""

from dataclasses import dataclass

import numpy as np
import torch

from cnnlab.drawing.my_digits import MyDigits
from cnnlab.inference.networks import Moment, network_at
from cnnlab.runs.run import Run
from cnnlab.training.evaluation import predict_logits


@dataclass(frozen=True)
class Answer:
    """A network's prediction for one image.

    Attributes
    ----------
    probabilities
        Shape (10,), float32: the softmax's probability of each digit, from 0 to 1.
    """

    probabilities: np.ndarray

    @property
    def digit(self) -> int:
        """The most probable digit."""
        return int(self.probabilities.argmax())

    @property
    def confidence(self) -> float:
        """The probability of that digit."""
        return float(self.probabilities.max())


def answers_of(run: Run, images: np.ndarray, moment: Moment = "now") -> list[Answer]:
    """Return a run's predictions for some images, with the weights that it has now, or had at a moment of its training.

    Parameters
    ----------
    images
        Shape (N, 28, 28), float32, prepared as `cnnlab.drawing.preparation.prepare` prepares them.

    Raises
    ------
    NoPredictions, UnreadableRun
        As `network_at` does.
    """
    logits = predict_logits(network_at(run, moment).module, torch.from_numpy(images).unsqueeze(1))
    return [Answer(probabilities) for probabilities in logits.softmax(dim=1).numpy()]


def right_of(run: Run, digits: MyDigits, moment: Moment = "newest") -> int:
    """Return how many of my digits a run classifies correctly, with its newest weights or those of another moment.

    Raises
    ------
    NoPredictions, UnreadableRun
        As `network_at` does.
    """
    network = network_at(run, moment)
    key = (run.model, network.fingerprint, digits.fingerprint)
    if key not in _right:
        if len(_right) > 1_000:
            _right.clear()
        logits = predict_logits(network.module, torch.from_numpy(digits.images).unsqueeze(1))
        _right[key] = int((logits.argmax(dim=1).numpy() == digits.labels).sum())
    return _right[key]


_right: dict[tuple[str, str, str], int] = {}
