"""A run's predictions on MNIST's test set: computed once, and kept beside its weights."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from cnnlab.data.mnist import load_test_set
from cnnlab.inference.networks import Network, fingerprint_of, newest_network_of, newest_weights_of
from cnnlab.runs.run import Run
from cnnlab.storage.checksums import is_whole_tensors, sealed_tensors
from cnnlab.storage.files import replacing
from cnnlab.training.evaluation import predict_logits

DIGITS = 10


@dataclass(frozen=True)
class Predictions:
    """Predictions for the test images, in their order.

    Attributes
    ----------
    answers
        Shape (10000,), uint8: the digit with the highest logit.
    confidences
        Shape (10000,), float32: the probability that the softmax gives that digit, from 0 to 1.
    """

    answers: np.ndarray
    confidences: np.ndarray


def predictions_of(run: Run) -> Predictions:
    """Return a run's predictions with its newest weights.

    Raises
    ------
    NoPredictions
        If the run has no weights yet, or its network is not registered any more or is another one now.
    DamagedRun
        If the weights cannot be read.
    DataError, HomeError
        If the test images cannot be read.
    """
    if kept := _kept(run, fingerprint_of(newest_weights_of(run))):
        return kept
    network = newest_network_of(run)  # of weights that may have become newer just now
    return _keep(run, network.fingerprint, _predict(network))


def _predict(network: Network) -> Predictions:
    images, _ = load_test_set()
    confidences, answers = predict_logits(network.module, images).softmax(dim=1).max(dim=1)
    return Predictions(answers.byte().numpy(), confidences.numpy())


def _kept(run: Run, fingerprint: str) -> Predictions | None:
    try:
        content = run.predictions_path.read_bytes()
    except OSError:
        return None
    if not is_whole_tensors(content):
        return None
    tensors = load(content)
    if not (
        tensors.keys() == {"weights", "answers", "confidences"}
        and torch.equal(tensors["weights"], _as_tensor(fingerprint))
    ):
        return None
    return Predictions(tensors["answers"].numpy(), tensors["confidences"].numpy())


def _keep(run: Run, fingerprint: str, made: Predictions) -> Predictions:
    tensors = {
        "weights": _as_tensor(fingerprint),
        "answers": torch.from_numpy(made.answers),
        "confidences": torch.from_numpy(made.confidences),
    }
    # Whoever finds them missing makes them again: neither a full home nor a run just deleted is an error here.
    with suppress(OSError), replacing(run.predictions_path) as unfinished:
        unfinished.write_bytes(sealed_tensors(tensors))
    return made


def _as_tensor(fingerprint: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(fingerprint)), dtype=torch.uint8)
