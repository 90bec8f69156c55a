"""The training loop, as a generator that knows no disk, no process and no screen.

    for event in train(model, data, TrainingConfig()):
        match event:
            case BatchEvent(): ...
            case EpochEvent(): ...

Whoever iterates decides what becomes of the events: a notebook, the command line, a worker process and the tests all
iterate this one loop.
"""

import inspect
import math
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn, optim

from cnnlab.data.augmentation import augment, shift
from cnnlab.data.mnist import IMAGE_SHAPE, MNIST, TRAIN_IMAGES, as_input
from cnnlab.errors import LabError
from cnnlab.evaluation import evaluate, predict_logits
from cnnlab.fused import CannotFuse, fuse, fuses_all_convolutions


def _without_compiler(optimizer: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return an optimizer of PyTorch's that does the same and leaves PyTorch's compiler out.

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
DEVICES = ("auto", "cpu", "cuda", "mps")
SCHEDULES = ("constant", "one-cycle")
KERNELS = ("auto", "fused", "torch")

# How many steps pass before their losses are read. To read a loss is to wait for it: a CPU has it after the step, a GPU
# is still at work on a queue of steps by then, and would stand idle before the next ones are sent.
STEPS_AT_ONCE = {"cpu": 1}
STEPS_AT_ONCE_ON_A_GPU = 20

# The CPU generator of PyTorch takes 32 bits of its seed and ignores the rest.
MAX_SEED = 2**32 - 1
MAX_EPOCHS = 1_000
MAX_LEARNING_RATE = 1_000
MAX_WEIGHT_DECAY = 1
MAX_SHIFT = 4
MAX_THREADS = 256
# Of the training images: half of them.
MAX_VALIDATION = TRAIN_IMAGES // 2


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class InvalidConfig(LabError, ValueError):
    """A setting of the recipe has a value that is not allowed.

    Attributes
    ----------
    field, value
        The setting's name, and what it was.
    allowed
        What it may be, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}; allowed is {allowed}.")
        self.field = field
        self.value = value
        self.allowed = allowed


class Diverged(LabError):
    """The loss became NaN or infinite. The model holds the last weights whose loss was finite."""


class OldCheckpoint(LabError):
    """A checkpoint is of a form that is not read any more."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A recipe. The defaults are the tutorial's.

    Attributes
    ----------
    epochs
        How often the training set is gone through.
    batch_size
        Images for each step; the last batch of an epoch holds what is left.
    optimizer
        A key of `OPTIMIZERS`.
    learning_rate
        The optimizer's ``lr``.
    momentum
        The ``momentum`` of RMSprop and SGD, the first of the two ``betas`` of Adam and AdamW.
    weight_decay
        The optimizer's ``weight_decay``: how strongly each step pulls the weights towards 0.
    schedule
        One of `SCHEDULES`: what becomes of the learning rate, as `learning_rate_at` says.
    augment
        Whether the training images are changed at random, as `cnnlab.augmentation` says.
    shift
        By how many pixels they are moved at random, at most.
    validation
        How many of the training images, the last ones, are kept out of training. Recipes are compared on them, so that
        nothing is chosen by the test set.
    seed
        Decides the initial weights, the order of the images and their random changes.
    device
        One of `DEVICES`; "auto" is a GPU where there is one.
    threads
        CPU threads. Part of the recipe, since sums split over another number of threads differ in their last bits.
    kernels
        One of `KERNELS`: what computes the blocks of convolution, ReLU and pooling. "fused" is the lab's own kernel
        (`cnnlab.fused`), "torch" PyTorch's layers; their sums differ in the last bits. "auto" and "fused" both take
        PyTorch's where the lab's cannot be used, and `TrainingState.kernels` tells which it was.

    Raises
    ------
    InvalidConfig
        If a value is not allowed.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "rmsprop"
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    augment: bool = False
    shift: int = 0
    validation: int = 0
    seed: int = 0
    device: str = "auto"
    threads: int = field(default_factory=available_cores)
    kernels: str = "auto"

    def __post_init__(self) -> None:
        self._require_whole("epochs", 1, MAX_EPOCHS)
        self._require_whole("batch_size", 1, TRAIN_IMAGES)
        self._require_choice("optimizer", tuple(OPTIMIZERS))
        self._require(
            "learning_rate",
            _is_number(self.learning_rate) and 0 < self.learning_rate <= MAX_LEARNING_RATE,
            f"a number above 0 and at most {MAX_LEARNING_RATE:,}",
        )
        self._require(
            "momentum", _is_number(self.momentum) and 0 <= self.momentum < 1, "a number from 0 up to, not including, 1"
        )
        if self.optimizer == "nesterov":
            self._require("momentum", self.momentum > 0, "above 0 with the optimizer nesterov")
        self._require(
            "weight_decay",
            _is_number(self.weight_decay) and 0 <= self.weight_decay <= MAX_WEIGHT_DECAY,
            f"a number from 0 to {MAX_WEIGHT_DECAY}",
        )
        self._require_choice("schedule", SCHEDULES)
        self._require("augment", isinstance(self.augment, bool), "true or false")
        self._require_whole("shift", 0, MAX_SHIFT)
        self._require_whole("validation", 0, MAX_VALIDATION)
        self._require_whole("seed", 0, MAX_SEED)
        self._require_choice("device", DEVICES)
        self._require_whole("threads", 1, MAX_THREADS)
        self._require_choice("kernels", KERNELS)
        self._require(
            "batch_size", self.batch_size <= self.images_per_epoch, f"at most {self.images_per_epoch:,} images"
        )

    @property
    def images_per_epoch(self) -> int:
        """How many of MNIST's training images are trained on."""
        return TRAIN_IMAGES - self.validation

    def _require(self, name: str, is_allowed: bool, allowed: str) -> None:
        if not is_allowed:
            raise InvalidConfig(name, getattr(self, name), allowed)

    def _require_whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        self._require(name, is_whole and low <= value <= high, f"a whole number from {low:,} to {high:,}")

    def _require_choice(self, name: str, choices: tuple[str, ...]) -> None:
        self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")


# What a recipe is good for, and how it differs from the tutorial's.
PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {},
    "drawing": {
        "epochs": 12,
        "optimizer": "adamw",
        "learning_rate": 0.006,
        "weight_decay": 0.01,
        "schedule": "one-cycle",
        "augment": True,
    },
    "speedrun": {
        "epochs": 4,
        "batch_size": 64,
        "optimizer": "nesterov",
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "schedule": "one-cycle",
        "shift": 1,
    },
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class BatchEvent:
    """One step of the optimizer.

    Attributes
    ----------
    step
        Counted from 1 over the whole run.
    epoch
        Counted from 1.
    loss
        Mean cross entropy of the batch, in nats, before the step.
    seconds
        Time spent training since the run began; evaluating and whoever iterates do not count.
    """

    step: int
    epoch: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class EpochEvent:
    """One pass over the training set.

    Attributes
    ----------
    epoch, step
        The epoch, counted from 1, and its last step.
    train_loss
        The mean of the epoch's batch losses, as the tutorial prints it, in nats.
    test_loss, test_accuracy
        On the test set, after the epoch; the accuracy is a share from 0 to 1.
    seconds
        Time spent training in this epoch, without evaluating.
    images_per_second
        Training images over `seconds`.
    validation_loss, validation_accuracy
        The same as on the test set, on the images that the recipe keeps out of training; None if it keeps none.
    """

    epoch: int
    step: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


Event = BatchEvent | EpochEvent


def optimizer_arguments(config: TrainingConfig) -> dict[str, Any]:
    """Return the keyword arguments that a recipe gives to its optimizer's class."""
    arguments = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    match config.optimizer:
        case "rmsprop" | "sgd":
            return {**arguments, "momentum": config.momentum}
        case "nesterov":
            return {**arguments, "momentum": config.momentum, "nesterov": True}
        case "adam" | "adamw":
            return {**arguments, "betas": (config.momentum, 0.999)}
        case unknown:
            raise AssertionError(f"{unknown} is in OPTIMIZERS and has no arguments")


def available_devices() -> list[str]:
    """Return the devices of this machine that PyTorch can train on, the fastest first."""
    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def device_for(config: TrainingConfig) -> torch.device:
    """Return the device a recipe asks for.

    Raises
    ------
    InvalidConfig
        If this machine does not have it.
    """
    available = available_devices()
    if config.device == "auto":
        return torch.device(available[0])
    if config.device not in available:
        raise InvalidConfig("device", config.device, f"one of auto, {', '.join(available)} on this machine")
    return torch.device(config.device)


def shuffled(size: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch takes the images: shape (size,), int64, on the CPU.

    It depends on the seed and the epoch alone, so that a resumed run sees the batches it would have seen.
    """
    # PyTorch's generator takes 32 bits of a seed, so the two numbers are hashed into 32.
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}, {epoch}".encode()))
    return torch.randperm(size, generator=generator)


def as_channels_last(images: Tensor) -> Tensor:
    """Return the same images, shape (N, 1, 28, 28), with strides that tell PyTorch to lay channels side by side.

    Its convolutions and poolings then work on eight or sixteen channels at once: 1.3 to 1.5 times faster on a CPU.
    """
    return images.view(len(images), *IMAGE_SHAPE[1:], 1).permute(0, 3, 1, 2)  # the same numbers: there is one channel


def takes_channels_last(model: nn.Module) -> bool:
    """Return whether a model can be given such images. One that flattens them with ``view`` cannot."""
    device = next(model.parameters()).device
    try:
        predict_logits(model, as_channels_last(torch.zeros(2, *IMAGE_SHAPE, device=device)))
    except RuntimeError:
        return False
    return True


def random_changes(seed: int, step: int) -> Generator:
    """Return the generator from which the images of a step, counted from 0, take their random changes.

    It depends on the seed and the step alone, so that a resumed run sees the images it would have seen.
    """
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}, step {step}".encode()))


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
        One of `SCHEDULES`.
    """
    return highest if schedule == "constant" else highest * min(progress / 0.25, (1 - progress) / 0.75)


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
    """All that a run is at a moment: its weights, its optimizer's memory and its place in the data.

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
        Why it does not, where the recipe would have them.
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
        self.has_channels_last = self.kernels == "torch" and takes_channels_last(model)
        if team:
            self.network = team.joined(self.network)
        self.epoch = 1
        self.batch = 0  # batches of this epoch that are done
        self.step = 0
        self.seconds = 0.0
        self.epoch_loss_sum = 0.0
        self.epoch_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return a checkpoint: tensors and plain numbers, from which training goes on bit for bit."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": {device.type: _rng_module(device).get_rng_state() for device in self._rng_devices()},
            "position": {name: getattr(self, name) for name in self._POSITION},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to a checkpoint, the random number generators included."""
        self.model.load_state_dict(state_dict["model"])
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
    """Lay the parameters of a model, and their gradients, side by side in one buffer for each of their types.

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
        return fuse(model.train(), IMAGE_SHAPE, config.threads), "fused", None
    except CannotFuse as error:
        return model, "torch", str(error)


def _rng_module(device: torch.device) -> Any:
    return torch if device.type == "cpu" else torch.get_device_module(device)


def train(model: nn.Module, data: MNIST, config: TrainingConfig, state: TrainingState | None = None) -> Iterator[Event]:
    """Train a model, and tell of every batch and every epoch.

    Parameters
    ----------
    model
        Maps (N, 1, 28, 28) to logits (N, 10). Trained in place.
    data
        The images; moved to the recipe's device.
    config
        The recipe. Its seed decides the order of the images; the initial weights are the model's own.
    state
        Made of `model` and `config` if left out. Keep it to take a checkpoint between two events, or to go on from one.

    Yields
    ------
    Event
        A `BatchEvent` for each step, and an `EpochEvent` after the last of each epoch. On a GPU, the events of
        `STEPS_AT_ONCE_ON_A_GPU` steps come after the last of them: a checkpoint between two events is whole only after
        one whose `step` is the state's.

    Raises
    ------
    InvalidConfig
        If the batch is larger than the training set or too small for the team, or the machine does not have the device.
    Diverged
        If a loss is NaN or infinite.
    """
    size = len(data.train_labels) - config.validation
    if config.batch_size > size:
        raise InvalidConfig("batch_size", config.batch_size, f"at most {size:,}, the size of the training set")
    state = state or TrainingState(model, config)
    if state.team:
        require_an_image_for_each(state.team.size, size, config.batch_size)
    data = data.to(state.device)
    _prepare_process(config, state)
    at_once = STEPS_AT_ONCE.get(state.device.type, STEPS_AT_ONCE_ON_A_GPU)

    weights = _GoodWeights([*state.parameters, *model.buffers()])
    while state.epoch <= config.epochs:
        batches = shuffled(size, config.seed, state.epoch).to(state.device).split(config.batch_size)
        total_steps = config.epochs * len(batches)
        model.train()
        torch.set_num_threads(_threads_between_kernels(config, state))
        while state.batch < len(batches):
            started = time.perf_counter()
            weights.note()
            pending: list[Tensor] = []
            for indices in batches[state.batch : state.batch + at_once]:
                step = state.step + len(pending)
                _set_learning_rate(state.optimizer, (step + 0.5) / total_steps, config)
                images, labels = _batch(data, indices, config, step)
                if state.has_channels_last:
                    images = as_channels_last(images)
                pending.append(_take_step(state, images, labels))
            losses = torch.stack(pending).tolist()
            elapsed = time.perf_counter() - started

            first_step, first_seconds = state.step, state.seconds
            state.batch += len(losses)
            state.step += len(losses)
            state.seconds += elapsed
            state.epoch_seconds += elapsed
            state.epoch_loss_sum += sum(losses)
            for count, loss in enumerate(losses, start=1):
                if not math.isfinite(loss):
                    weights.put_back()
                    raise Diverged(_divergence("training loss", loss, config, state.epoch, first_step + count - 1))
                seconds = first_seconds + elapsed * count / len(losses)
                yield BatchEvent(first_step + count, state.epoch, loss, seconds)
            weights.keep()

        torch.set_num_threads(config.threads)
        test_loss, test_accuracy = evaluate(model, data.test_images, data.test_labels)
        validation_loss, validation_accuracy = _validate(model, data, config)
        for which, loss in (("test loss", test_loss), ("validation loss", validation_loss or 0.0)):
            if not math.isfinite(loss):
                weights.put_back()
                raise Diverged(_divergence(which, loss, config, state.epoch, state.step))
        event = EpochEvent(
            epoch=state.epoch,
            step=state.step,
            train_loss=state.epoch_loss_sum / len(batches),
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            seconds=state.epoch_seconds,
            images_per_second=size / state.epoch_seconds,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
        )
        state.epoch += 1
        state.batch = 0
        state.epoch_loss_sum = 0.0
        state.epoch_seconds = 0.0
        yield event


def require_an_image_for_each(processes: int, images: int, batch_size: int) -> None:
    """See that each process has a part of every batch, also of the last and smallest of an epoch.

    Raises
    ------
    InvalidConfig
        If one has none.
    """
    if (images % batch_size or batch_size) < processes:
        allowed = f"one that leaves each of the {processes} processes an image of every batch"
        raise InvalidConfig("batch_size", batch_size, allowed)


def _validate(model: nn.Module, data: MNIST, config: TrainingConfig) -> tuple[float, float] | tuple[None, None]:
    if not config.validation:
        return None, None
    images = data.train_images[-config.validation :]
    if images.dtype == torch.uint8:
        images = as_input(images)
    return evaluate(model, images, data.train_labels[-config.validation :])


def _threads_between_kernels(config: TrainingConfig, state: TrainingState) -> int:
    """Return how many threads PyTorch shall use for what the lab's kernels leave to it.

    Without a convolution that is so little that to share it costs more than to do it: threads that meet at the end of
    each of twenty small operations wait for the slowest twenty times, and on a busy machine one always is slow.
    """
    return 1 if state.kernels == "fused" and fuses_all_convolutions(state.network) else config.threads


def _batch(data: MNIST, indices: Tensor, config: TrainingConfig, step: int) -> tuple[Tensor, Tensor]:
    """Return the images of a step, counted from 0, changed as the recipe says, and their labels."""
    images, labels = data.train_images.index_select(0, indices), data.train_labels.index_select(0, indices)
    if images.dtype == torch.uint8:
        images = as_input(images)
    if config.augment or config.shift:
        changes = random_changes(config.seed, step)
        if config.augment:
            images = augment(images, labels, changes)
        if config.shift:
            images = shift(images, config.shift, changes)
    return images, labels


def _set_learning_rate(optimizer: optim.Optimizer, progress: float, config: TrainingConfig) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(progress, config.learning_rate, config.schedule)


def _take_step(state: TrainingState, images: Tensor, labels: Tensor) -> Tensor:
    """Change the weights once, and return the loss before that, shape ()."""
    for parameters in state.parameters:
        assert parameters.grad is not None
        parameters.grad.zero_()
    if state.team is None:
        loss = F.cross_entropy(state.network(images), labels)
        loss.backward()
    else:
        loss = _loss_of_team(state.team, state.network, images, labels)
    state.optimizer.step()
    return loss.detach()


def _loss_of_team(team: Team, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Give the parameters the gradients of the whole batch's mean loss, and return that, shape ()."""
    logits = network(team.part_of(images))
    share = F.cross_entropy(logits, team.part_of(labels), reduction="sum") / len(labels)
    (share * team.size).backward()  # the mean of these gradients is the sum of the shares'
    return team.sum_of(share.detach())


class _GoodWeights:
    """The last weights that are known to have given a finite loss.

    Those from which some steps begin are noted, and kept when the losses of these steps turn out to be finite: the
    first of them was theirs.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self._current = [tensor.detach() for tensor in tensors]
        self._noted = [tensor.clone() for tensor in self._current]
        self._kept = [tensor.clone() for tensor in self._current]

    def note(self) -> None:
        _copy(self._current, self._noted)

    def keep(self) -> None:
        self._noted, self._kept = self._kept, self._noted

    def put_back(self) -> None:
        _copy(self._kept, self._current)


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for from_tensor, to_tensor in zip(source, target, strict=True):
        to_tensor.copy_(from_tensor)


def _divergence(which: str, loss: float, config: TrainingConfig, epoch: int, step: int) -> str:
    return (
        f"The {which} became {loss} in epoch {epoch}, after step {step:,}: training has diverged, most "
        f"often because the learning rate ({config.learning_rate:g}) is too high. The last weights with a finite loss "
        "are kept."
    )


def _prepare_process(config: TrainingConfig, state: TrainingState) -> None:
    """Settle what PyTorch keeps for the whole process and the losses or the speed depend on."""
    torch.set_num_threads(config.threads)
    if state.step == 0:
        torch.manual_seed(config.seed)  # for layers that draw random numbers, such as dropout
    if state.device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    # glibc gives each large block back to the system when it is freed, and fetching it again costs a page fault for
    # every 4 KiB. Having freed one block of 32 MB it keeps blocks up to that size: 1.5 to 1.9 times faster on a CPU.
    torch.empty(8_000_000)
