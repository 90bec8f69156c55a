"""A run's predictions on two test sets, MNIST's and what people drew: computed once, and kept beside its weights."""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor
from torch.nn.functional import pad

from cnnlab.data.mnist import TEST_IMAGES, load_test_set
from cnnlab.data.pen_digits import TESTING_DIGITS, load_drawn
from cnnlab.errors import LabError
from cnnlab.inference.networks import Moment, Network, fingerprint_of, network_at, newest_network_of, newest_weights_of
from cnnlab.runs.run import Run
from cnnlab.storage.checksums import is_whole_tensors, sealed_tensors
from cnnlab.storage.files import replacing
from cnnlab.training.evaluation import predict_logits

DIGITS = 10
# MNIST's test images, or the digits that the testing writers drew with a pen.
TestSet = Literal["mnist", "pen"]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the images of a test set, in their order.

    Attributes
    ----------
    answers
        Shape (N,), uint8: the digit with the highest logit.
    confidences
        Shape (N,), float32: the probability that the softmax gives that digit, from 0 to 1.
    """

    answers: np.ndarray
    confidences: np.ndarray


def images_of(test_set: TestSet) -> tuple[Tensor, Tensor]:
    """Return a test set's images, shape (N, 1, 28, 28), float32, and labels, shape (N,), int64.

    Raises
    ------
    DataError, HomeError
        If they cannot be read.
    """
    return load_test_set() if test_set == "mnist" else load_drawn("testing")


def pen_accuracy_of(run: Run) -> float | None:
    """Return how often a run is right on what people drew, from 0 to 1; None where that cannot be measured.

    It is read off the run's log, or where an earlier version wrote that, asked of the newest weights.
    """
    with suppress(LabError):
        last = run.last_epoch()
        if last and last.pen_accuracy is not None:
            return last.pen_accuracy
        predictions = predictions_of(run, "pen")
        return float((predictions.answers == images_of("pen")[1].numpy()).mean())
    return None


def predictions_of(run: Run, test_set: TestSet = "mnist", moment: Moment = "newest") -> Predictions:
    """Return a run's predictions at a moment of its training.

    Raises
    ------
    NoPredictions
        If the run has no weights yet, or its network is not registered any more or is another one now.
    UnreadableRun
        If the weights cannot be read.
    DataError, HomeError
        If the test images cannot be read.
    """
    if moment != "newest":
        return _predictions_at(network_at(run, moment).fingerprint, run, moment, test_set)
    path = run.predictions_path if test_set == "mnist" else run.pen_predictions_path
    if kept := _kept(path, fingerprint_of(newest_weights_of(run)), test_set):
        return kept
    network = newest_network_of(run)  # of weights that may have become newer just now
    return _keep(path, network.fingerprint, _predict(network, test_set))


@lru_cache(maxsize=256)  # of 50 kB: some films
def _predictions_at(_fingerprint: str, run: Run, moment: Moment, test_set: TestSet) -> Predictions:
    return _predict(network_at(run, moment), test_set)


def moved_accuracy_of(run: Run, right: int) -> float | None:
    """Return how often a run reads MNIST's test images moved to the right by some pixels, from 0 to 1.

    None where that cannot be measured.
    """
    with suppress(LabError):
        return _moved_accuracy(newest_network_of(run).fingerprint, run, right)
    return None


@lru_cache(maxsize=256)
def _moved_accuracy(_fingerprint: str, run: Run, right: int) -> float:
    images, labels = images_of("mnist")
    images = pad(images, (right, -right))  # a negative pad cuts
    return float((predict_logits(newest_network_of(run).module, images).argmax(dim=1) == labels).double().mean())


def _predict(network: Network, test_set: TestSet) -> Predictions:
    images, _ = images_of(test_set)
    confidences, answers = predict_logits(network.module, images).softmax(dim=1).max(dim=1)
    return Predictions(answers.byte().numpy(), confidences.numpy())


def _kept(path: Path, fingerprint: str, test_set: TestSet) -> Predictions | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if not is_whole_tensors(content):
        return None
    tensors = load(content)
    if not (
        tensors.keys() == {"weights", "answers", "confidences"}
        and torch.equal(tensors["weights"], _as_tensor(fingerprint))
        and len(tensors["answers"]) == (TEST_IMAGES if test_set == "mnist" else TESTING_DIGITS)
    ):
        return None
    return Predictions(tensors["answers"].numpy(), tensors["confidences"].numpy())


def _keep(path: Path, fingerprint: str, made: Predictions) -> Predictions:
    tensors = {
        "weights": _as_tensor(fingerprint),
        "answers": torch.from_numpy(made.answers),
        "confidences": torch.from_numpy(made.confidences),
    }
    # Whoever finds them missing makes them again: neither a full home nor a run just deleted is an error here.
    with suppress(OSError), replacing(path) as unfinished:
        unfinished.write_bytes(sealed_tensors(tensors))
    return made


def _as_tensor(fingerprint: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(fingerprint)), dtype=torch.uint8)
