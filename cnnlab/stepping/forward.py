"""What a batch's images are answered in a step, and what each of them costs."""

from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.stepping.stepper import Step
from cnnlab.training.state import as_channels_last


@dataclass(frozen=True)
class Answers:
    """What a network makes of a batch, in training mode.

    Attributes
    ----------
    logits, probabilities
        Shape (N, 10); the probabilities are the softmax of the logits.
    losses
        Shape (N,), in nats: -log of the probability of the right digit.
    """

    logits: Tensor
    probabilities: Tensor
    losses: Tensor

    @property
    def loss(self) -> float:
        """The mean of the images' losses, the batch's loss."""
        return self.losses.mean().item()


def answers_in(step: Step, network: nn.Module | None = None) -> Answers:
    """Return what a network answers to the batch of a step, with the random numbers of that step.

    Parameters
    ----------
    step
        The step.
    network
        Its network before the step if left out. It stays as it is.
    """
    with torch.no_grad():
        logits = logits_in(step, deepcopy(network or step.before), step.images)
    return Answers(logits, logits.softmax(dim=1), F.cross_entropy(logits, step.labels, reduction="none"))


def loss_in(step: Step, network: nn.Module) -> float:
    """Return the batch's loss with another network, in nats. The network stays as it is."""
    return answers_in(step, network).loss


def logits_in(step: Step, network: nn.Module, images: Tensor) -> Tensor:
    """Return logits, shape (N, 10), from a network in training mode: its running statistics change."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(step.random_state)
        logits: Tensor = network(as_channels_last(images) if step.has_channels_last else images)
    return logits
