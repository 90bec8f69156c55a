"""Whether an image is unlike everything that a network was trained on: no digit, most likely.

Any trained run can be asked, without training it anew. An image is compared with digits by what the network's
convolutions make of it, the numbers that its first linear layer is given, as directions: the measure is the mean
Euclidean distance to the five nearest of them (Y. Sun, Y. Ming, X. Zhu, Y. Li, Out-of-distribution detection with deep
nearest neighbors, ICML 2022). The threshold is the distance that one in a hundred of the choosing writers' digits
exceeds.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.data import mnist
from cnnlab.data.pen_digits import load_drawn, load_strokes
from cnnlab.drawing.pen import outlines_of, random_drawings
from cnnlab.fused.pen import drawn
from cnnlab.inference.nearest import Directions
from cnnlab.inference.networks import newest_network_of
from cnnlab.runs.run import Run
from cnnlab.training.evaluation import EVALUATION_BATCH_SIZE

NEIGHBOURS = 5
FLAGGED = 0.01  # of drawn digits, by the threshold
_MNIST_IMAGES, _PEN_DRAWINGS = 8_000, 6_000  # to compare with
# So many of the numbers that the first linear layer is given are compared, evenly spread: a layer on large feature maps
# is given tens of thousands, which would be a gigabyte for one network.
_MOST_NUMBERS = 1_024
_MOST_KEPT = 400_000_000  # bytes; the tutorial's network takes 17 million, and a class has one for each learner

_lock = Lock()
_kept: OrderedDict[tuple[str, str], "Familiar"] = OrderedDict()


@dataclass(frozen=True)
class Familiar:
    """What a network makes of many digits.

    Attributes
    ----------
    directions
        Of the digits.
    threshold
        The greatest distance of what counts as a digit.
    """

    directions: Directions
    threshold: float


def distances_of(run: Run, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return how far some images are from digits, in the eyes of a run's network, and how far a digit is at most.

    Parameters
    ----------
    images
        Shape (N, 28, 28), float32, prepared as `cnnlab.drawing.preparation.prepare` prepares them.

    Returns
    -------
    tuple of numpy.ndarray and float
        The distances, shape (N,), from 0 to 2, and the threshold.

    Raises
    ------
    NoPredictions
        As `cnnlab.inference.networks.newest_network_of` does.
    DataError, HomeError
        If the digits to compare with cannot be read.
    """
    network = newest_network_of(run)
    with _lock:
        familiar = _kept.pop((run.source, network.fingerprint), None) or _familiar_to(network.module)
        _kept[run.source, network.fingerprint] = familiar
        while len(_kept) > 1 and sum(each.directions.nbytes for each in _kept.values()) > _MOST_KEPT:
            _kept.popitem(last=False)
    features = _directions(network.module, torch.from_numpy(images).unsqueeze(1))
    return _distances(features, familiar.directions).numpy(), familiar.threshold


def answers_at_once(run: Run) -> bool:
    """Return whether a run has been asked before, with its newest weights: else `are_digits` takes a second or two.

    Raises
    ------
    NoPredictions
        As `cnnlab.inference.networks.newest_network_of` does.
    """
    key = (run.source, newest_network_of(run).fingerprint)
    with _lock:
        return key in _kept


def are_digits(run: Run, images: np.ndarray) -> np.ndarray:
    """Return which of some images a run's network finds like digits: shape (N,), bool; arguments as `distances_of`."""
    distances, threshold = distances_of(run, images)
    return distances <= threshold


def _familiar_to(module: nn.Module) -> Familiar:
    directions = Directions(_directions(module, _digits()))
    choosing, _ = load_drawn("choosing")
    distances = _distances(_directions(module, choosing), directions)
    return Familiar(directions, float(distances.quantile(1 - FLAGGED)))


@cache
def _digits() -> Tensor:
    """Return MNIST's images and the training writers' drawings, to compare with: shape (N, 1, 28, 28)."""
    train_images = mnist.load(train_images_as_bytes=True).train_images[:_MNIST_IMAGES]
    outlines = outlines_of(load_strokes("training"))
    generator = torch.Generator().manual_seed(0)
    which = torch.randperm(len(outlines), generator=generator)[:_PEN_DRAWINGS]
    return torch.cat([mnist.as_input(train_images), drawn(outlines, which, random_drawings(len(which), generator))])


def _directions(module: nn.Module, images: Tensor) -> Tensor:
    """Return what a network's first linear layer is given for images, shape (N, features), each of length 1.

    Of more than `_MOST_NUMBERS`, so many are taken. What is not finite becomes 0.
    """
    first = next((layer for layer in module.modules() if isinstance(layer, nn.Linear)), None)
    given: list[Tensor] = []
    hook = first and first.register_forward_pre_hook(lambda _, inputs: given.append(_some_of(inputs[0].flatten(1))))
    with torch.inference_mode():
        for batch in images.split(EVALUATION_BATCH_SIZE):
            answers = module(batch)
            if first is None:
                given.append(answers)
    if hook:
        hook.remove()
    return F.normalize(torch.cat(given), dim=1).nan_to_num()


def _some_of(numbers: Tensor) -> Tensor:
    """Return the columns of a matrix, or where they are too many, some that are evenly spread."""
    count = numbers.shape[1]
    if count <= _MOST_NUMBERS:
        return numbers
    return numbers[:, torch.linspace(0, count - 1, _MOST_NUMBERS).round().long()]


def _distances(directions: Tensor, familiar: Directions) -> Tensor:
    """Return the mean distance to the nearest, shape (N,)."""
    batches = directions.split(EVALUATION_BATCH_SIZE)
    cosines = torch.cat([familiar.nearest_cosines(batch, NEIGHBOURS) for batch in batches])
    return (2 - 2 * cosines).clamp(min=0).sqrt().mean(dim=1)
