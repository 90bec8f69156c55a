"""A run's training state: weights, optimizer, and position in the data."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.fused.compiler import CannotFuse
from cnnlab.fused.optimizer import FusedUpdate
from cnnlab.fused.rewrite import fuse, fuses_all_convolutions, left_to_pytorch
from cnnlab.fused.step import WholeStep
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig, device_for, optimizer_arguments


class OldCheckpoint(LabError):
    """A checkpoint has a format that the lab no longer reads."""


class OtherCheckpoint(LabError):
    """A checkpoint is not of this network and optimizer."""


def as_channels_last(images: Tensor) -> Tensor:
    """Return the same images, shape (N, 1, 28, 28), in PyTorch's channels-last memory format.

    Its convolutions and poolings then work on eight or sixteen channels at once: 1.3 to 1.5 times faster on a CPU.
    """
    return images.view(len(images), *IMAGE_SHAPE[1:], 1).permute(0, 3, 1, 2)  # the same numbers: there is one channel


def takes_channels_last(model: nn.Module) -> bool:
    """Return whether a model accepts channels-last images. One that flattens them with ``view`` does not."""
    device = next(model.parameters()).device
    try:
        predict_logits(model, as_channels_last(torch.zeros(2, *IMAGE_SHAPE, device=device)))
    except RuntimeError:
        return False
    return True


class Team(Protocol):
    """Processes that train one model together, each on its part of every batch; this is one of them."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the same network, whose gradients become the mean of all processes' in ``backward``."""
        ...

    def part_of(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; the parts of all make it up."""
        ...

    def sum_of(self, number: Tensor) -> Tensor:
        """Return the sum of all processes' numbers, shape ()."""
        ...

    def has_lost_one(self, error: Exception) -> bool:
        """Return whether an error says that another process is gone."""
        ...


class TrainingState:
    """A run's training state: its weights, its optimizer's state, and its position in the data.

    Parameters
    ----------
    model
        Moved to the recipe's device.
    config
        The recipe.
    team
        The processes among which each batch is split; None where this one trains alone.

    Attributes
    ----------
    network
        What computes the logits in training; it shares the model's parameters.
    kernels
        "fused" where `network` runs the lab's kernels, else "torch".
    kernels_reason
        Why it does not, where the recipe would have them; or what the kernels leave to PyTorch, if anything.
    has_channels_last
        Whether `network` is given images as `as_channels_last` returns them.

    Raises
    ------
    InvalidConfig
        If this machine does not have the recipe's device.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, team: Team | None = None) -> None:
        self.device = device_for(config)
        self.team = team
        self.model = model.to(self.device)
        self.parameters = one_buffer_for_each_dtype(model)
        self.optimizer = OPTIMIZERS[config.optimizer](self.parameters, **optimizer_arguments(config))
        self.network, self.kernels, self.kernels_reason = _network_for_training(model, config, self.device)
        leaves_convolutions = self.kernels == "torch" or not fuses_all_convolutions(self.network)
        self.has_channels_last = leaves_convolutions and takes_channels_last(model)
        self.update = self.whole_step = None
        if self.kernels == "fused" and len(self.parameters) == 1:
            self.update = FusedUpdate(self.optimizer, config.optimizer)
            if team is None:
                self.whole_step = WholeStep.of(
                    self.network,
                    self.parameters,
                    FusedUpdate(self.optimizer, config.optimizer),  # its own, which adds up the threads' gradients, too
                    IMAGE_SHAPE,
                    config.batch_size,
                    config.threads,
                )
        if team:
            self.network = team.joined(self.network)
        self.epoch = 1
        self.batch = 0  # batches of this epoch that are done
        self.step = 0
        self.seconds = 0.0
        self.epoch_loss_sum = 0.0
        self.epoch_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return a checkpoint: tensors and plain numbers from which training resumes bit for bit."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": {device.type: _rng_module(device).get_rng_state() for device in self._rng_devices()},
            "position": {name: getattr(self, name) for name in self._POSITION},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a checkpoint, including the random number generators.

        Raises
        ------
        OtherCheckpoint
            If it is one of another network or another optimizer.
        OldCheckpoint
            If it has a format that the lab no longer reads.
        """
        try:
            self.model.load_state_dict(state_dict["model"])
        except RuntimeError as error:
            raise OtherCheckpoint("The checkpoint is one of another network: put the run's own back.") from error
        own, found = (each["param_groups"][0].keys() for each in (self.optimizer.state_dict(), state_dict["optimizer"]))
        if own != found:
            raise OtherCheckpoint(
                f"The checkpoint is not one of the optimizer {type(self.optimizer).__name__}: put the run's own back."
            )
        try:
            self.optimizer.load_state_dict(state_dict["optimizer"])
        except ValueError as error:
            raise OldCheckpoint(
                "The checkpoint was written by an earlier version of the lab, from which this one cannot go on. The "
                "weights are kept; to train further, start a new run."
            ) from error
        for device in self._rng_devices():
            if device.type in state_dict["rng"]:  # not if the checkpoint was made on another machine, without a GPU
                _rng_module(device).set_rng_state(state_dict["rng"][device.type])
        for name in self._POSITION:
            setattr(self, name, state_dict["position"][name])

    _POSITION = ("epoch", "batch", "step", "seconds", "epoch_loss_sum", "epoch_seconds")

    def _rng_devices(self) -> set[torch.device]:
        return {torch.device("cpu"), self.device}


def one_buffer_for_each_dtype(model: nn.Module) -> list[nn.Parameter]:
    """Move the parameters of a model, and their gradients, into one contiguous buffer for each dtype.

    An optimizer that works on each number by itself does the same with the buffer in one go, where going through the
    parameters one by one costs more than the arithmetic. The model's own parameters become views of the buffer.

    Returns
    -------
    list of Parameter
        Shape (numbers,) each, with gradients of 0.
    """
    by_dtype: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            by_dtype.setdefault(parameter.dtype, []).append(parameter)
    buffers = []
    for parameters in by_dtype.values():
        buffer = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        buffer.grad = torch.zeros_like(buffer)
        sizes = [parameter.numel() for parameter in parameters]
        pieces = zip(parameters, buffer.detach().split(sizes), buffer.grad.split(sizes), strict=True)
        for parameter, numbers, gradient in pieces:
            parameter.data, parameter.grad = numbers.view(parameter.shape), gradient.view(parameter.shape)
        buffers.append(buffer)
    return buffers


def _network_for_training(
    model: nn.Module, config: TrainingConfig, device: torch.device
) -> tuple[nn.Module, str, str | None]:
    if config.kernels == "torch":
        return model, "torch", None
    if device.type != "cpu":
        return model, "torch", f"it is made for the CPU, and this run trains on {device.type}"
    try:
        network = fuse(model.train(), IMAGE_SHAPE, config.threads)
        return network, "fused", ", ".join(left_to_pytorch(network)) or None
    except CannotFuse as error:
        return model, "torch", str(error)


def _rng_module(device: torch.device) -> Any:
    return torch if device.type == "cpu" else torch.get_device_module(device)
