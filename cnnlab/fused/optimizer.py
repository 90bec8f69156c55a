"""An optimizer's update as one pass over a network's numbers."""

import ctypes
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, optim

from cnnlab.fused.compiler import address_of, kernel_of

SOURCE = Path(__file__).with_name("optimizer.c")


class Update(ctypes.Structure):
    """What a kernel is called with: the ``Update`` of optimizer.c, which is compiled only if it has the same size."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("parameters", "gradients", "momentum", "mean_square", "shares")),
        ("numbers", ctypes.c_int64),
        *(
            (name, ctypes.c_float)
            for name in (
                "learning_rate",
                "weight_decay",
                "momentum_decay",
                "square_decay",
                "mean_share",
                "square_share",
                "epsilon",
                "mean_correction",
                "square_correction",
            )
        ),
        ("slices", ctypes.c_int32),
    )


def update_kernels() -> ctypes.CDLL:
    """Return the kernels, a function for each optimizer, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If they cannot be.
    """
    return kernel_of(SOURCE, Update)


class FusedUpdate:
    """The updates of an optimizer that has one parameter, in which all numbers of a network lie.

    PyTorch takes the first update, in which it makes the optimizer's memory; the kernel works on that memory, so that a
    checkpoint is the same whoever took the step.

    Parameters
    ----------
    optimizer
        Of torch.optim.
    name
        The function of optimizer.c that has its rule.

    Attributes
    ----------
    function, call
        That function, and what it is called with.

    Raises
    ------
    CannotFuse
        If the kernels cannot be compiled.
    """

    def __init__(self, optimizer: optim.Optimizer, name: str) -> None:
        self._optimizer = optimizer
        self.function = getattr(update_kernels(), name)
        ((self._parameter,),) = (group["params"] for group in optimizer.param_groups)
        self.call = Update(numbers=self._parameter.numel(), slices=0)

    def get_ready(self) -> bool:
        """Fill in what the next update needs and count it, and return whether the kernel can take it."""
        call, group = self.call, self._optimizer.param_groups[0]
        state = self._optimizer.state.get(self._parameter, {})
        if not state and (group.get("momentum", 0) or "alpha" in group or "betas" in group):
            return False
        if not self._is_whole(state.get(name) for name in ("momentum_buffer", "square_avg", "exp_avg", "exp_avg_sq")):
            return False
        gradient = self._parameter.grad
        assert gradient is not None
        call.parameters, call.gradients = self._parameter.data_ptr(), gradient.data_ptr()
        call.learning_rate, call.weight_decay = group["lr"], group["weight_decay"]
        if "betas" in group:
            (call.momentum_decay, call.square_decay), call.epsilon = group["betas"], group["eps"]
            call.mean_share, call.square_share = (1 - beta for beta in group["betas"])
            state["step"] += 1
            step = state["step"].item()
            call.momentum, call.mean_square = state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()
            call.mean_correction, call.square_correction = (1 - beta**step for beta in group["betas"])
        else:
            call.momentum_decay = group["momentum"]
            call.momentum = address_of(state.get("momentum_buffer"))
            if "alpha" in group:
                call.square_decay, call.square_share, call.epsilon = group["alpha"], 1 - group["alpha"], group["eps"]
                call.mean_square = state["square_avg"].data_ptr()
                state["step"] += 1
        return True

    def _is_whole(self, memory: Iterable[Tensor | None]) -> bool:
        """Return whether all of an optimizer's memory lies as the kernel takes it; PyTorch tells what is wrong."""
        return all(
            each is None
            or (each.shape, each.dtype, each.is_contiguous()) == (self._parameter.shape, torch.float32, True)
            for each in memory
        )

    def step(self) -> None:
        """Update the numbers by their gradients."""
        if self.get_ready():
            self.function(ctypes.byref(self.call), 0)
        else:
            self._optimizer.step()
