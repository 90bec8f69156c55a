"""The recipe of a run: its settings, their bounds, and the presets."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from cnnlab.data.mnist import TRAIN_IMAGES
from cnnlab.data.pen_digits import TRAINING_DIGITS
from cnnlab.errors import LabError
from cnnlab.storage.cores import available_cores
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.setting_kinds import choice, number, settings_of, switch, whole

# The CPU generator of PyTorch takes 32 bits of its seed and ignores the rest.
MAX_SEED = 2**32 - 1
MAX_EPOCHS = 1_000
MAX_THREADS = 256

# Of each pen digit in each epoch: so they and MNIST's images come about equally often.
DRAWINGS_OF_A_DIGIT = 4


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
    """A recipe: all that a run's losses depend on besides its network. The defaults are the tutorial's.

    Each field is a `cnnlab.training.setting_kinds.Setting`, which says what the field means and allows.

    Raises
    ------
    InvalidConfig
        If a value is not allowed.
    """

    epochs: int = whole(
        10,
        low=1,
        high=MAX_EPOCHS,
        unit="epoch",
        label="Epochs",
        help="How often the network sees all the images that it is trained on.",
        is_always_named=True,
        tried=(5, 10),
    )
    batch_size: int = whole(
        128,
        low=1,
        high=TRAIN_IMAGES,
        label="Batch size",
        help="How many images the network sees before each change of its weights; the last batch of an epoch may be "
        "smaller.",
        phrase="batch size {}",
        is_always_named=True,
        tried=(64, 128, 256),
    )
    optimizer: str = choice(
        "rmsprop",
        tuple(OPTIMIZERS),
        titles={name: optimizer.__name__ for name, optimizer in OPTIMIZERS.items()} | {"nesterov": "SGD, Nesterov"},
        label="Optimizer",
        help="The rule that turns gradients into changes of the weights.",
        is_always_named=True,
        tried=tuple(OPTIMIZERS),
    )
    learning_rate: float = number(
        0.001,
        low=0,
        high=1_000,
        excludes_low=True,
        step=0.0005,
        is_logarithmic=True,
        label="Learning rate",
        help="How large each change is. Too large, and the loss grows instead of falling.",
        phrase="learning rate {}",
        is_always_named=True,
        tried=(0.0003, 0.001, 0.003),
    )
    momentum: float = number(
        0.9,
        low=0,
        high=1,
        excludes_high=True,
        step=0.05,
        label="Momentum",
        help="How much of the last change is kept in the next one; in Adam and AdamW, the first beta.",
        phrase="momentum {}",
        is_always_named=True,
        tried=(0, 0.5, 0.9),
    )
    weight_decay: float = number(
        0.0,
        low=0,
        high=1,
        step=0.0005,
        is_logarithmic=True,
        label="Weight decay",
        help="How strongly each step pulls the weights towards 0; the tutorial does not.",
        phrase="weight decay {}",
        tried=(0, 0.0005),
    )
    schedule: str = choice(
        "constant",
        ("constant", "one-cycle"),
        label="Schedule",
        help="How the learning rate changes: constant, or rising over the first quarter and falling to 0.",
        phrase="{} schedule",
        tried=("constant", "one-cycle"),
    )
    data: str = choice(
        "mnist",
        ("mnist", "mnist+pen"),
        titles={"mnist": "MNIST", "mnist+pen": "MNIST and pen digits"},
        label="Trained on",
        help="MNIST alone, as in the tutorial, or with it digits that people wrote with a pen, drawn afresh for each "
        "epoch: rotated, sheared, stretched and with another brush.",
        phrase="trained on {}",
        tried=("mnist", "mnist+pen"),
    )
    augment: bool = switch(
        False,
        label="Augmentation",
        help="Changes each training image at random: slanted, stretched, with other strokes. For digits that people "
        "draw; the tutorial does not.",
        phrase="augmentation",
        tried=(False, True),
    )
    shift: int = whole(
        0,
        low=0,
        high=4,
        unit="pixel",
        label="Shift (pixels)",
        help="How far each training image is moved at random, at most. The tutorial leaves them in place.",
        phrase="images shifted by up to {}",
        tried=(0, 1),
    )
    validation: int = whole(
        0,
        low=0,
        high=TRAIN_IMAGES // 2,
        unit="image",
        label="Validation images",
        help="How many of the training images, the last ones, are kept out of training. Compare recipes on them, so "
        "that nothing is chosen by the test set.",
        phrase="{} for validation",
    )
    seed: int = whole(
        0,
        low=0,
        high=MAX_SEED,
        is_name=True,
        label="Seed",
        help="Decides the initial weights, the order of the images and how they are augmented. The same seed gives the "
        "same losses where threads and backend are the same too: others change their last digits, and with them, after "
        "some epochs, a few answers.",
        phrase="seed {}",
        is_always_named=True,
        tried=(0, 1, 2),
    )
    device: str = choice(
        "auto",
        ("auto", "cpu", "cuda", "mps"),
        label="Device",
        help="Where the network is trained: auto is a GPU where there is one.",
        is_always_named=True,
    )
    # Sums that are split over another number of threads differ in their last bits: so it is part of the recipe.
    threads: int = whole(
        available_cores,
        low=1,
        high=MAX_THREADS,
        unit="thread",
        label="Threads",
        help="How many CPU cores one run uses. With half of them, two runs train at once.",
        is_always_named=True,
    )
    # "auto" and "fused" both fall back to PyTorch's; `TrainingState.kernels` has what a run really used.
    kernels: str = choice(
        "auto",
        ("auto", "fused", "torch"),
        label="Backend",
        help="What computes the layers: fused, the lab's own kernels, and PyTorch's layers where they do not serve; "
        "torch, PyTorch's layers alone; auto is fused where it can be used. Losses differ in their last digits.",
        phrase="{} backend",
        tried=("auto", "fused", "torch"),
    )

    def __post_init__(self) -> None:
        for name, setting in settings_of(type(self)).items():
            self._require(name, setting.allows(getattr(self, name)), setting.allowed)
        if self.optimizer == "nesterov":
            self._require("momentum", self.momentum > 0, "above 0 with the optimizer nesterov")
        self._require(
            "batch_size", self.batch_size <= self.images_per_epoch, f"at most {self.images_per_epoch:,} images"
        )

    @property
    def images_per_epoch(self) -> int:
        """How many images are trained on in each epoch: MNIST's, and drawings of pen digits."""
        drawings = DRAWINGS_OF_A_DIGIT * TRAINING_DIGITS if self.has_pen_digits else 0
        return self.mnist_images + drawings

    @property
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(self.images_per_epoch / self.batch_size)

    @property
    def total_steps(self) -> int:
        """How many steps the whole run has."""
        return self.epochs * self.steps_per_epoch

    @property
    def mnist_images(self) -> int:
        """How many of MNIST's training images are trained on."""
        return TRAIN_IMAGES - self.validation

    @property
    def has_pen_digits(self) -> bool:
        """Whether pen digits are trained on."""
        return self.data == "mnist+pen"

    def described(self) -> list[str]:
        """Return the recipe in words, a part for each setting that is worth naming: "10 epochs", "batch size 128"."""
        parts = [setting.described(getattr(self, name)) for name, setting in settings_of(type(self)).items()]
        return [part for part in parts if part]

    def _require(self, name: str, is_allowed: bool, allowed: str) -> None:
        if not is_allowed:
            raise InvalidConfig(name, getattr(self, name), allowed)


SETTINGS = settings_of(TrainingConfig)

# The presets: what each changes in the tutorial's recipe.
PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {},
    "drawing": {
        "epochs": 15,
        "batch_size": 64,
        "optimizer": "nesterov",
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "schedule": "one-cycle",
        "data": "mnist+pen",
        "shift": 1,
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
