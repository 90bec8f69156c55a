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

from cnnlab.inference.networks import network_after, newest_weights_of
from cnnlab.inference.test_set import DIGITS
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
    last = run.last_epoch()
    return int(told) if told is not None else last.step if last else 0


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
        In evaluation mode, with the last of them. Nobody else uses it.
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
    NoPredictions, UnreadableRun
        If its network is another one now, or the weights of a moment cannot be read.
    """
    if not (steps := moments_of(run)):
        return None
    return _film_of(run, steps, run.snapshots_folder.stat().st_mtime_ns)


@lru_cache(maxsize=2)  # of up to 24 MB; another one is read in some 50 ms
def _film_of(run: Run, steps: tuple[int, ...], _changed: int) -> Film:
    module = copy.deepcopy(network_after(run, kept_steps(run)[-1]).module)
    return Film(steps, tuple(load(_weights_after(run, step)) for step in steps), module)


def _weights_after(run: Run, step: int) -> bytes:
    return read_snapshot(run, step) if run.snapshot_path(step).exists() else newest_weights_of(run)


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
    NoPredictions, UnreadableRun
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
