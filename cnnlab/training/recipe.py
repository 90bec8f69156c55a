"""The recipe of a run: its settings, their bounds, and the presets."""

import os
from dataclasses import dataclass, field
from typing import Any

import torch

from cnnlab.data.mnist import TRAIN_IMAGES
from cnnlab.errors import LabError
from cnnlab.training.optimizers import OPTIMIZERS

DEVICES = ("auto", "cpu", "cuda", "mps")
SCHEDULES = ("constant", "one-cycle")
KERNELS = ("auto", "fused", "torch")

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
        Whether the training images are changed at random, as `cnnlab.data.augmentation` says.
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
