"""Measures how fast training loops train the tutorial's network with its recipe, each one against the tutorial's own.

    tutorial  the tutorial's loop: torchvision's MNIST with ToTensor, a DataLoader, and loss.item() in each step
    plain     a run of the lab with PyTorch's own kernels, its log, checkpoints and looks for a stop included
    fused     the same with the lab's kernels

Each loop has a process of its own (``python -m cnnlab.bench.loops LOOP THREADS``). It gets ready, trains some batches
to warm up, and waits. Then one process after the other is told to train a chunk of batches, round after round: one
loop works at a time, no loop's threads are in another's way, and what slows the machine down for a while slows all
loops of a round. So a loop is compared with what the tutorial's took in the same round.

It wants a machine with nothing else to do. With default settings, OpenMP's threads wait for each other busily, and one
busy core makes the tutorial's loop several times slower, while the lab's have other settings: the ratios then tell more
of that than of the loops.

Only training counts. A run's evaluating and keeping of the weights after each epoch is left out. One thing costs a
little more in chunks than in long trainings: a run writes a checkpoint when a second has passed since the last, so it
does in every chunk.

A script can measure other loops with these: it gives them to `cnnlab.bench.measure.measure`, and calls
`train_when_told` in their processes.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter

import torch
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset

from cnnlab.data import mnist as data
from cnnlab.errors import LabError
from cnnlab.fused.compiler import CannotFuse
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import MAX_EPOCHS, TrainingConfig
from cnnlab.workers.work import work

# The full batches of an epoch: a loop that trains a chunk without showing an image twice has no more.
MAX_CHUNK = data.TRAIN_IMAGES // TrainingConfig.batch_size

_BATCH_SIZE = TrainingConfig.batch_size
_WARM_UP_BATCHES = 20


# Trains a number of batches, and returns the seconds that this took.
TrainChunk = Callable[[int], float]


@dataclass(frozen=True)
class Loop:
    """One way to train the tutorial's network.

    Attributes
    ----------
    name
        What the command line calls it.
    prepare
        Gets the loop ready, with a number of threads, in a process that has nothing else to do.
    packages
        The modules that it is made of.
    environment
        What its process finds in its environment, whatever is there already.
    is_the_labs
        Whether the lab trains it; its process then has the environment of those that do.
    command
        What Python is started with to make its process: a program that takes the loop's name and the number of threads
        and calls `train_when_told`.
    """

    name: str
    prepare: Callable[[int], TrainChunk]
    packages: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    is_the_labs: bool = False
    command: tuple[str, ...] = ("-m", "cnnlab.bench.loops")

    def missing_packages(self) -> list[str]:
        """Return those of its packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


def seconds_to_train(losses: Iterator[float | None], batches: int) -> float:
    """Have a loop train a number of batches, and return the seconds that this took.

    Parameters
    ----------
    losses
        Gives the loss of each batch once it is trained, and None once something else is done, which does not count.
    """
    seconds = 0.0
    while batches:
        began = perf_counter()
        loss = next(losses)
        if loss is not None:
            seconds += perf_counter() - began
            batches -= 1
    return seconds


def tutorial_losses(trainloader: Iterable[tuple[Tensor, Tensor]], model: nn.Module) -> Iterator[float]:
    """Train a model as the tutorial does, epoch after epoch, and yield the loss of each batch.

    Parameters
    ----------
    trainloader
        Gives the batches of an epoch, each time it is iterated: images, shape (N, 1, 28, 28), and labels, shape (N,).
    """
    criterion = nn.CrossEntropyLoss(reduction="mean")
    optimizer = optim.RMSprop(model.parameters(), lr=0.001, momentum=0.9)
    while True:
        running_loss = 0.0
        for inputs, labels in trainloader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            batch_loss = loss.item()
            running_loss += batch_loss
            yield batch_loss


def lab_losses(kernels: str, threads: int, device: str = "cpu") -> Iterator[float | None]:
    """Train a new run in the lab's home, and yield the loss of each batch, and None at the end of each epoch.

    Raises
    ------
    CannotFuse
        If the run has to take PyTorch's kernels instead of the lab's: they must not be measured as the lab's.
    """
    config = TrainingConfig(epochs=MAX_EPOCHS, device=device, threads=threads, kernels=kernels)
    run = create_run(DEFINITIONS["sequential"], config)
    with RunWriter.claim(run) as writer:
        writer.prepare_to_train()
        for event in work(run, writer):
            if event.step == 1 and (history := run.history()).kernels != kernels:
                raise CannotFuse(str(history.kernels_reason))
            yield event.loss if isinstance(event, BatchEvent) else None


def torchvision_training_set() -> Dataset[tuple[Tensor, int]]:
    """Return the training images as the tutorial has them: each one a PIL image that becomes a tensor when it is asked.

    Raises
    ------
    DataError, HomeError
        As `cnnlab.data.mnist.load` does.
    """
    torchvision = data.import_torchvision()
    transform = torchvision.transforms.Compose([torchvision.transforms.ToTensor()])
    with data.torchvision_root() as root:
        return torchvision.datasets.MNIST(root, train=True, download=True, transform=transform)


def _prepare_tutorial(threads: int) -> TrainChunk:
    torch.set_num_threads(threads)
    trainloader = DataLoader(torchvision_training_set(), batch_size=_BATCH_SIZE, shuffle=True)
    return partial(seconds_to_train, tutorial_losses(trainloader, DEFINITIONS["sequential"].build(seed=0)))


def _prepare_plain(threads: int) -> TrainChunk:
    return partial(seconds_to_train, lab_losses("torch", threads))


def _prepare_fused(threads: int) -> TrainChunk:
    return partial(seconds_to_train, lab_losses("fused", threads))


LOOPS: dict[str, Loop] = {
    loop.name: loop
    for loop in (
        Loop("tutorial", _prepare_tutorial, ("torch", "torchvision")),
        Loop("plain", _prepare_plain, ("torch",), is_the_labs=True),
        Loop("fused", _prepare_fused, ("torch",), is_the_labs=True),
    )
}


def train_when_told(loops: Mapping[str, Loop], name: str, threads: str) -> int:
    """Get a loop ready, tell the versions of its parts, and train a chunk for each line of standard input.

    A line holds the number of batches, and is answered with the seconds that they took. The end of the input ends it.

    Parameters
    ----------
    loops
        Holds the loop, by its name.
    name, threads
        What the process was started with, after the loop's command.

    Returns
    -------
    int
        The exit code of the process.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the libraries print is no reply
        try:
            loop = loops[name]
            train = loop.prepare(int(threads))
            train(_WARM_UP_BATCHES)
            versions = {package: import_module(package).__version__ for package in loop.packages}
            print(json.dumps({"Python": platform.python_version(), **versions}), file=replies, flush=True)
            for line in sys.stdin:
                print(json.dumps(train(int(line))), file=replies, flush=True)
        except LabError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(train_when_told(LOOPS, *sys.argv[1:]))
