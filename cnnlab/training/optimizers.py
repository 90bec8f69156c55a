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


def learning_rate_at(progress: float, highest: float, schedule: str) -> float:
    """Return the learning rate of a step.

    "constant" leaves it as it is. "one-cycle" lets it rise in a straight line over the first quarter of the run, and
    fall in a straight line to 0 over the rest (L. N. Smith and N. Topin, Super-convergence, arXiv:1708.07120).

    Parameters
    ----------
    progress
        The share of the run that is done in the middle of the step, above 0 and below 1.
    highest
        The recipe's learning rate.
    schedule
        "constant" or "one-cycle".
    """
    return highest if schedule == "constant" else highest * min(progress / 0.25, (1 - progress) / 0.75)
