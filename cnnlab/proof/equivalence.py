"""The proof that the tutorial's two definitions are one network, and why its two tables of losses differ all the same.
That any two are one is shown by `prove_pair`.

    for finding in prove_equivalence(data):
        print(sentence_of(finding))

It knows no disk, no process and no screen. But training settles the number of threads and the random numbers of the
whole process, so a process that has other things to do had better have another one prove it.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from cnnlab.data.mnist import MNIST
from cnnlab.models.definitions import DEFINITIONS, Definition, Net
from cnnlab.proof.weights import carry_weights
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.events import BatchEvent
from cnnlab.training.loop import train
from cnnlab.training.recipe import TrainingConfig

STEPS = 100
SEED = 0


class NetDeclaredBackwards(Net):
    """The tutorial's `nn.Module` with its layers declared in the opposite order; it computes the same."""

    def __init__(self) -> None:
        nn.Module.__init__(self)  # not Net's, which would draw the first weights in its own order
        self.fc3 = nn.Linear(32, 10)
        self.fc2 = nn.Linear(64, 32)
        self.fc1 = nn.Linear(16 * 5 * 5, 64)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3)
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3)


# Not one of DEFINITIONS: as a network to train it is nothing new.
DECLARED_BACKWARDS = Definition(
    name="module-declared-backwards",
    title="nn.Module declared backwards",
    description="The layers of nn.Module, declared in the opposite order.",
    factory=NetDeclaredBackwards,
)


@dataclass(frozen=True)
class CarriedOver:
    """What two networks answer when one has been given the other's weights.

    Attributes
    ----------
    first, second
        The titles of the definitions.
    names
        The name map: each name in the first one's ``state_dict``, and the one it has in the second's.
    images
        How many images were shown.
    largest_difference
        The largest absolute difference of two logits, over all images and digits.
    """

    first: str
    second: str
    names: dict[str, str]
    images: int
    largest_difference: float


@dataclass(frozen=True)
class TrainedBoth:
    """Two networks trained on the same images, in the same order.

    Attributes
    ----------
    first, second
        The titles of the definitions.
    seed
        Of the order of the images, and of the first weights.
    weights_carried
        Whether the second one began with the first one's weights, instead of drawing its own from the seed.
    first_losses, second_losses
        Of each step: mean cross entropy of the batch, in nats, before the step.
    first_difference
        The first step, counted from 1, at which the losses are not the same to the last bit; None if they always are.
    """

    first: str
    second: str
    seed: int
    weights_carried: bool
    first_losses: list[float]
    second_losses: list[float]
    first_difference: int | None


@dataclass(frozen=True)
class Finished:
    """The end of the proof.

    Attributes
    ----------
    seconds
        How long it took.
    torch_version
        Whose arithmetic it holds for.
    """

    seconds: float
    torch_version: str


Finding = CarriedOver | TrainedBoth | Finished


def prove_equivalence(data: MNIST, steps: int = STEPS, seed: int = SEED) -> Iterator[Finding]:
    """Compare the tutorial's two definitions, then `nn.Module` with itself declared backwards.

    Parameters
    ----------
    data
        The logits are compared on the test images; the training images are trained on.
    steps
        How many steps each network is trained, with the tutorial's recipe and one thread.
    seed
        Of the first weights and the order of the images.

    Yields
    ------
    Finding
        `CarriedOver` and `TrainedBoth` for the two definitions; two `TrainedBoth` for the one declared backwards, with
        weights of its own and with those carried over; and `Finished`.

    Raises
    ------
    CannotCarryWeights, CannotTrace
        If the definitions have been changed so that they are not one network any more.
    """
    began = time.perf_counter()
    sequential, module = DEFINITIONS["sequential"], DEFINITIONS["module"]
    yield carried_over(sequential, module, data.test_images, seed)

    sequential_losses = training_losses(sequential.build(seed), data, steps, seed)
    module_losses = training_losses(module.build(seed), data, steps, seed)
    yield _trained_both(sequential, module, seed, sequential_losses, module_losses)

    backwards = DECLARED_BACKWARDS.build(seed)
    yield _trained_both(module, DECLARED_BACKWARDS, seed, module_losses, training_losses(backwards, data, steps, seed))
    backwards = DECLARED_BACKWARDS.build(seed)
    carry_weights(module.build(seed), backwards)
    yield _trained_both(
        module,
        DECLARED_BACKWARDS,
        seed,
        module_losses,
        training_losses(backwards, data, steps, seed),
        weights_carried=True,
    )
    yield Finished(time.perf_counter() - began, torch.__version__)


def prove_pair(
    first: Definition, second: Definition, data: MNIST, steps: int = STEPS, seed: int = SEED
) -> Iterator[Finding]:
    """Carry the weights of one network into another, and compare their logits, and their losses from there on.

    Parameters
    ----------
    data, steps, seed
        As `prove_equivalence` takes them.

    Yields
    ------
    Finding
        A `CarriedOver`, a `TrainedBoth` and `Finished`.

    Raises
    ------
    CannotCarryWeights, CannotTrace
        If the weights of the first have no place in the second.
    """
    began = time.perf_counter()
    yield carried_over(first, second, data.test_images, seed)
    models = first.build(seed), second.build(seed + 1)
    carry_weights(*models)
    losses, others = (training_losses(model, data, steps, seed) for model in models)
    yield _trained_both(first, second, seed, losses, others, weights_carried=True)
    yield Finished(time.perf_counter() - began, torch.__version__)


def carried_over(first: Definition, second: Definition, images: Tensor, seed: int) -> CarriedOver:
    """Give a network the weights of another, and compare what the two answer.

    Parameters
    ----------
    images
        Shape (N, 1, 28, 28).

    Raises
    ------
    CannotCarryWeights
        If the weights of the first have no place in the second.
    """
    source, target = first.build(seed), second.build(seed + 1)  # of another seed: all that is alike was carried
    names = carry_weights(source, target)
    difference = (predict_logits(source, images) - predict_logits(target, images)).abs().max().item()
    return CarriedOver(first.title, second.title, names, len(images), difference)


def training_losses(model: nn.Module, data: MNIST, steps: int, seed: int) -> list[float]:
    """Train a network with the tutorial's recipe, and return the loss of each of the first steps.

    One thread does it, on the CPU, so that the losses are the same wherever the same PyTorch runs.

    Parameters
    ----------
    model
        Trained in place.
    seed
        Of the order of the images; the first weights are the model's own.
    """
    recipe = TrainingConfig(seed=seed, device="cpu", threads=1)
    steps_per_epoch = math.ceil(len(data.train_labels) / recipe.batch_size)
    config = TrainingConfig(epochs=math.ceil(steps / steps_per_epoch), seed=seed, device="cpu", threads=1)
    losses: list[float] = []
    for event in train(model, data, config):
        if isinstance(event, BatchEvent):
            losses.append(event.loss)
        if len(losses) == steps:
            break
    return losses


def first_difference(losses: list[float], others: list[float]) -> int | None:
    """Return the first step, counted from 1, at which two lists of losses differ, or None."""
    return next((step for step, (a, b) in enumerate(zip(losses, others, strict=True), start=1) if a != b), None)


def _trained_both(
    first: Definition,
    second: Definition,
    seed: int,
    losses: list[float],
    others: list[float],
    *,
    weights_carried: bool = False,
) -> TrainedBoth:
    return TrainedBoth(
        first=first.title,
        second=second.title,
        seed=seed,
        weights_carried=weights_carried,
        first_losses=losses,
        second_losses=others,
        first_difference=first_difference(losses, others),
    )


_FINDINGS: dict[str, type[Finding]] = {kind.__name__: kind for kind in (CarriedOver, TrainedBoth, Finished)}


def to_json(finding: Finding) -> str:
    """Return a finding as one line of JSON, for `from_json`."""
    return json.dumps({"finding": type(finding).__name__, **asdict(finding)})


def from_json(line: str) -> Finding:
    """Return the finding that `to_json` made a line of."""
    record = json.loads(line)
    return _FINDINGS[record.pop("finding")](**record)


def sentence_of(finding: Finding) -> str:
    """Return a finding as a sentence with its numbers."""
    match finding:
        case CarriedOver():
            return (
                f"With the weights of {finding.first} carried into {finding.second}, the largest difference of their "
                f"logits over {finding.images:,} test images is {finding.largest_difference:.3g}."
            )
        case TrainedBoth():
            which = "With the same first weights" if finding.weights_carried else f"From seed {finding.seed}"
            both = f"{which}, {finding.first} and {finding.second}"
            steps = len(finding.first_losses)
            if finding.first_difference is None:
                return f"{both} have the same loss at each of {steps:,} steps, to the last bit."
            step = finding.first_difference
            losses = f"{finding.first_losses[step - 1]:.4f} and {finding.second_losses[step - 1]:.4f}"
            return f"{both} part at step {step:,} of {steps:,}, with losses of {losses}."
        case Finished():
            return f"Found in {finding.seconds:.0f} s with PyTorch {finding.torch_version}."
