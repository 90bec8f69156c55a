"""The tutorial's network, written in the two ways that PyTorch offers, a relative, and the registry that names them.

To add a network, write one function or class that takes no arguments and returns an `nn.Module`, and give it one entry
in `DEFINITIONS`. It maps images of shape (N, 1, 28, 28), float32 in [0, 1], to logits of shape (N, 10).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import LabError


def sequential() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3),  # (1, 28, 28) -> (8, 26, 26)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (8, 13, 13)
        nn.Conv2d(8, 16, kernel_size=3),  # -> (16, 11, 11)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (16, 5, 5)
        nn.Flatten(),  # -> (400,)
        nn.Linear(16 * 5 * 5, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3)
        self.fc1 = nn.Linear(16 * 5 * 5, 64)
        self.fc2 = nn.Linear(64, 32)
        self.fc3 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (1, 28, 28) -> (8, 13, 13)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # -> (16, 5, 5)
        x = x.flatten(start_dim=1)  # -> (400,)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3)
        self.branch = nn.Conv2d(8, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3)
        self.fc1 = nn.Linear(16 * 5 * 5, 64)
        self.fc2 = nn.Linear(64, 32)
        self.fc3 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (1, 28, 28) -> (8, 13, 13)
        x = x + F.relu(self.branch(x))  # -> (8, 13, 13)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # -> (16, 5, 5)
        x = x.flatten(start_dim=1)  # -> (400,)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class UnknownDefinition(LabError):
    """No network is registered under this name."""


@dataclass(frozen=True)
class Definition:
    """One way to write a network.

    Attributes
    ----------
    name
        What the command line and the runs call it.
    title
        What the pages call it.
    description
        One line for a learner.
    factory
        The function or class that makes the module; its source is what the pages show.
    tutorial_losses
        The mean training loss of each epoch as the tutorial prints it; empty where the tutorial has none.
    """

    name: str
    title: str
    description: str
    factory: Callable[[], nn.Module]
    tutorial_losses: tuple[float, ...] = ()

    @cached_property
    def source(self) -> str:
        """The Python source of the definition, as it stands in this file."""
        return inspect.getsource(self.factory)

    @cached_property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(parameter.numel() for parameter in self.build(seed=0).parameters())

    def build(self, seed: int) -> nn.Module:
        """Make the module with the initial weights that belong to a seed.

        The caller's random number generator is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.factory()


DEFINITIONS: dict[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition(
            name="sequential",
            title="nn.Sequential",
            description="The layers as a list: each one takes what the one before it gives.",
            factory=sequential,
            tutorial_losses=(0.2298, 0.0815, 0.0670, 0.0576, 0.0518, 0.0484, 0.0480, 0.0440, 0.0435, 0.0431),
        ),
        Definition(
            name="module",
            title="nn.Module",
            description="The layers as attributes of a class, and a forward method that says how they are joined.",
            factory=Net,
            tutorial_losses=(0.2158, 0.0795, 0.0644, 0.0553, 0.0502, 0.0440, 0.0441, 0.0391, 0.0380, 0.0359),
        ),
        Definition(
            name="residual",
            title="Residual nn.Module",
            description="nn.Module with one more convolution on a branch that is added back: no list can say that.",
            factory=ResidualNet,
        ),
    )
}
