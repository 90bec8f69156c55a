"""PyTorch's optimizers, without its compiler."""

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
