"""Networks and a recipe that the tests take step by step."""

import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.recipe import TrainingConfig

CONFIG = TrainingConfig(epochs=3, batch_size=64, threads=1, device="cpu")
NETWORKS = ("sequential", "residual", "norm and dropout")


def built(network: str, seed: int) -> nn.Module:
    if network in DEFINITIONS:
        return DEFINITIONS[network].build(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return with_norm_and_dropout()


def with_norm_and_dropout() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding="same", groups=2, dilation=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(72, 10, bias=False),
    )
