"""What runs answer to a few images, at once: their networks stay in memory."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

import numpy as np
import torch
from torch import nn

from cnnlab.predictions import network_of, newest_weights_of
from cnnlab.runs.run import Run
from cnnlab.training.evaluation import predict_logits

_MOST_NETWORKS = 64  # of 120 kB each

_networks: OrderedDict[tuple[str, str], nn.Module] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Answer:
    """What a network answers to one image.

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


@dataclass(frozen=True)
class Network:
    """A run's network with the weights that were the newest when it was asked for.

    Attributes
    ----------
    module
        In evaluation mode, on the CPU.
    fingerprint
        The SHA-256 sum of the weights' file.
    """

    module: nn.Module
    fingerprint: str


def newest_network_of(run: Run) -> Network:
    """Return a run's network with its newest weights, from memory if it was asked for lately.

    Raises
    ------
    NoPredictions
        If the run has no weights yet, or its network is not registered any more or is another one now.
    """
    weights = newest_weights_of(run)
    fingerprint = sha256(weights).hexdigest()
    key = (run.model, fingerprint)
    with _lock:
        module = _networks.pop(key, None) or network_of(run, weights).eval()
        _networks[key] = module
        if len(_networks) > _MOST_NETWORKS:
            _networks.popitem(last=False)
    return Network(module, fingerprint)


def answers_of(run: Run, images: np.ndarray) -> list[Answer]:
    """Return what the newest weights of a run answer to images.

    Parameters
    ----------
    images
        Shape (N, 28, 28), float32, prepared as `cnnlab.drawing.prepare` prepares them.

    Raises
    ------
    NoPredictions
        As `newest_network_of` does.
    """
    logits = predict_logits(newest_network_of(run).module, torch.from_numpy(images).unsqueeze(1))
    return [Answer(probabilities) for probabilities in logits.softmax(dim=1).numpy()]
