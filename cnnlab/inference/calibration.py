"""How sure a network may be: temperature scaling, and the reliability curve before and after it.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML 2017: all logits are divided
by one number, the temperature, that makes the cross entropy on images kept apart the least. Answers stay the same.
Here these images are the choosing writers' digits, and the curve is of the testing writers'.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnlab.data.pen_digits import load_drawn
from cnnlab.inference.networks import Moment, network_at
from cnnlab.runs.run import Run
from cnnlab.training.evaluation import predict_logits

# Equal in width; most answers are in the last, so that one is cut once more.
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0)
_LOWEST, _HIGHEST, _ROUNDS = 0.05, 20.0, 60


@dataclass(frozen=True)
class Calibration:
    """A run's temperature, and what it does to what the network says.

    Attributes
    ----------
    temperature
        Above 1 where the network is too sure of itself.
    curve
        A row for each range of the stated probability of the answer, and for each of two versions: scaled (False or
        True), low, high, answers (how many), stated (their mean probability) and right (how many of them are, from 0 to
        1; missing where there are no answers).
    error_before, error_after
        The expected calibration error: the mean difference between stated and right, weighted by answers.
    """

    temperature: float
    curve: pd.DataFrame
    error_before: float
    error_after: float


def calibration_of(run: Run, moment: Moment = "newest") -> Calibration:
    """Return how well a run's stated probabilities hold on what people drew, at a moment of its training.

    Raises
    ------
    NoPredictions, UnreadableRun
        As `cnnlab.inference.networks.network_at` does.
    DataError
        If the pen digits cannot be read.
    """
    return _calibration_of(network_at(run, moment).fingerprint, run, moment)


@lru_cache(maxsize=64)
def _calibration_of(_fingerprint: str, run: Run, moment: Moment) -> Calibration:
    module = network_at(run, moment).module
    choosing, choosing_labels = load_drawn("choosing")
    testing, labels = load_drawn("testing")
    temperature = temperature_for(predict_logits(module, choosing), choosing_labels)
    logits = predict_logits(module, testing)
    before, after = (reliability(logits / divisor, labels) for divisor in (1.0, temperature))
    curve = pd.concat([before.assign(scaled=False), after.assign(scaled=True)], ignore_index=True)
    return Calibration(temperature, curve, expected_error(before), expected_error(after))


def temperature_for(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature with the least cross entropy, from 0.05 to 20.

    Parameters
    ----------
    logits
        Shape (N, 10).
    labels
        Shape (N,), int64.
    """

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits.double() / math.exp(log_temperature), labels).item()

    # Over the inverse temperature the cross entropy is convex, so it has one valley: the golden section finds it.
    low, high, golden = math.log(_LOWEST), math.log(_HIGHEST), (math.sqrt(5) - 1) / 2
    for _ in range(_ROUNDS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def reliability(logits: Tensor, labels: Tensor) -> pd.DataFrame:
    """Return what share of the answers is right where a network says how sure it is: a row for each range of `EDGES`.

    Returns
    -------
    DataFrame
        Columns low, high, answers, stated and right, as `Calibration.curve` has them.
    """
    stated, answers = (each.numpy() for each in torch.softmax(logits.double(), dim=1).max(dim=1))
    is_right = answers == labels.numpy()
    ranges = np.clip(np.searchsorted(EDGES, stated, side="right") - 1, 0, len(EDGES) - 2)
    rows = []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        within = ranges == number
        count = int(within.sum())
        rows.append(
            {
                "low": low,
                "high": high,
                "answers": count,
                "stated": float(stated[within].mean()) if count else math.nan,
                "right": float(is_right[within].mean()) if count else math.nan,
            }
        )
    return pd.DataFrame(rows)


def expected_error(curve: pd.DataFrame) -> float:
    """Return the expected calibration error of a curve that `reliability` has returned, from 0 to 1."""
    off = (curve["stated"] - curve["right"]).abs()  # missing where there are no answers, and left out by the sum
    return float((off * curve["answers"]).sum() / curve["answers"].sum())
