"""PyTorch's optimizers, without its compiler, and how the learning rate changes over a run."""

import inspect
from typing import Any

import torch
from torch import optim


def _without_compiler(optimizer: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return a PyTorch optimizer that does the same without importing PyTorch's compiler.

    Its methods import the compiler at their first call, only to tell it to leave them alone: a second and 80 MB for
    each process that trains.
    """

    def unwrapped(name: str) -> Any:
        return inspect.unwrap(getattr(optimizer, name))

    methods = {name: unwrapped(name) for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad")}
    return type(optimizer.__name__, (optimizer,), {**methods, "step": torch.no_grad()(unwrapped("step"))})


OPTIMIZERS = {
    "rmsprop": _without_compiler(optim.RMSprop),
    "sgd": _without_compiler(optim.SGD),
    "nesterov": _without_compiler(optim.SGD),
    "adam": _without_compiler(optim.Adam),
    "adamw": _without_compiler(optim.AdamW),
}


def highest_learning_rate(step: int, at_first: float, changes: dict[int, float]) -> float:
    """Return the learning rate that is set in a step, counted from 1: the last one set for it or for an earlier one.

    Parameters
    ----------
    at_first
        The recipe's.
    changes
        The learning rates that somebody set while the run trained, by the steps from which they hold, in order.
    """
    return next((rate for first, rate in reversed(changes.items()) if first <= step), at_first)


MOST_CHANGES = 1_000  # of one run's learning rate


def with_change(changes: dict[int, float], step: int, learning_rate: float) -> dict[int, float]:
    """Return such changes with one more, from a step on. Those of later steps, of a run that went back, are undone.

    Raises
    ------
    ValueError
        If there are more than `MOST_CHANGES`.
    """
    changed = {first: rate for first, rate in changes.items() if first < step} | {step: learning_rate}
    if len(changed) > MOST_CHANGES:
        raise ValueError(f"The learning rate was changed more than {MOST_CHANGES:,} times.")
    return changed


def learning_rate_at(progress: float, highest: float, schedule: str) -> float:
    """Return the learning rate of a step.

    "constant" leaves it as it is. "one-cycle" lets it rise in a straight line over the first quarter of the run, and
    fall in a straight line to 0 over the rest (L. N. Smith and N. Topin, Super-convergence, arXiv:1708.07120).

    Parameters
    ----------
    progress
        The share of the run that is done in the middle of the step, above 0 and below 1.
    highest
        The learning rate that is set.
    schedule
        "constant" or "one-cycle".
    """
    return highest if schedule == "constant" else highest * min(progress / 0.25, (1 - progress) / 0.75)
