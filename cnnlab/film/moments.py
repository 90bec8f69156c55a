"""The moments of a run's film, and what its network answered to an image at each of them."""

import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.func import functional_call

from cnnlab.inference.networks import network_at, newest_weights_of
from cnnlab.inference.test_set import DIGITS
from cnnlab.models.insight import filters_of
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import kept_steps, read_snapshot
from cnnlab.storage.checksums import origin_of


def newest_step(run: Run) -> int:
    """Return after which step a run's newest weights are.

    Raises
    ------
    NoPredictions
        If it has none yet.
    DamagedRun
        If they cannot be read.
    """
    told = origin_of(newest_weights_of(run)).get("step")
    if told is None:  # as earlier versions of the lab wrote them
        last = run.last_epoch()
        return last.step if last else 0
    if not (told.isascii() and told.isdecimal()):
        raise DamagedRun(run.weights_path, "is of no step")
    return int(told)


def moments_of(run: Run) -> tuple[int, ...]:
    """Return after which steps a run's network is known, in order: its snapshots', and that of its newest weights.

    Empty where it has no snapshots.

    Raises
    ------
    DamagedRun
        If its newest weights cannot be read.
    """
    kept = kept_steps(run)
    if not kept:
        return ()
    newest = {newest_step(run)} if run.weights_path.exists() else set()
    return tuple(sorted({*kept, *newest}))


@dataclass(frozen=True)
class Film:
    """A run's network at many moments of its training.

    Attributes
    ----------
    steps
        After which the weights are, in order.
    states
        The weights after each, as a ``state_dict`` on the CPU.
    module
        In evaluation mode, with any of them. Nobody else uses it.
    """

    steps: tuple[int, ...]
    states: tuple[dict[str, Tensor], ...]
    module: nn.Module

    def probabilities(self, image: Tensor) -> Tensor:
        """Return what the network answered to an image, shape (1, 28, 28): shape (moments, 10), each from 0 to 1."""
        with torch.inference_mode():
            logits = [functional_call(self.module, state, (image[None],)) for state in self.states]
        return torch.cat(logits).softmax(dim=1)


def film_of(run: Run) -> Film | None:
    """Return a run's film, or None where it has no snapshots.

    Raises
    ------
    NoPredictions, UnreadableRun, NoSuchRun
        If its network is another one now, or the weights of a moment cannot be read, or it is gone.
    """
    if not (steps := moments_of(run)):
        return None
    with run.existing():
        return _film_of(run, steps, newest_step(run) if run.weights_path.exists() else None, _changes_in(run))


def _changes_in(run: Run) -> int:
    return run.snapshots_folder.stat().st_mtime_ns


@lru_cache(maxsize=2)  # of up to 24 MB; another one is read in some 50 ms
def _film_of(run: Run, steps: tuple[int, ...], newest: int | None, _changes: int) -> Film:
    files = [newest_weights_of(run) if step == newest else read_snapshot(run, step) for step in steps]
    return Film(steps, tuple(map(load, files)), copy.deepcopy(network_at(run, kept_steps(run)[-1]).module))


def filters_over_training(run: Run) -> tuple[tuple[int, ...], list[list[np.ndarray]]] | None:
    """Return the steps of a run's film, and for each the filters of each convolution; None where it has no film.

    Returns
    -------
    tuple
        The steps; and for each a list of arrays of shape (filters, channels, height, width).

    Raises
    ------
    NoPredictions, UnreadableRun, NoSuchRun
        As `film_of` does.
    """
    if (film := film_of(run)) is None:
        return None
    moments = []
    for state in film.states:
        film.module.load_state_dict(state)
        moments.append([weights.numpy().copy() for weights in filters_of(film.module).values()])
    return film.steps, moments


def answers_over_training(run: Run, image: Tensor) -> pd.DataFrame | None:
    """Return what a run's network answered to an image at each moment of its film; None where it has none.

    Parameters
    ----------
    image
        Shape (1, 28, 28), float32, from 0 to 1, as the network is given it.

    Returns
    -------
    DataFrame
        A row for each moment and digit: step, digit, probability (from 0 to 1).

    Raises
    ------
    NoPredictions, UnreadableRun, NoSuchRun
        As `film_of` does.
    """
    if (film := film_of(run)) is None:
        return None
    return pd.DataFrame(
        {
            "step": np.repeat(film.steps, DIGITS),
            "digit": np.tile(np.arange(DIGITS), len(film.steps)),
            "probability": film.probabilities(image).numpy().ravel(),
        }
    )
