"""Takes the steps of a run one by one, forwards and back: those of `cnnlab.training.loop.train` itself."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnlab.data.mnist import MNIST
from cnnlab.drawing.pen import PenData
from cnnlab.errors import LabError, is_memory_error
from cnnlab.training.batches import Batches
from cnnlab.training.events import BatchEvent, Event
from cnnlab.training.loop import train
from cnnlab.training.recipe import InvalidConfig, TrainingConfig
from cnnlab.training.state import TrainingState

# What a step holds in memory grows with both.
LARGEST_BATCH = 512
MOST_PARAMETERS = 500_000
# A run of the tutorial's network has states of 375 kB, and steps of a megabyte.
BYTES_FOR_SNAPSHOTS = 10_000_000
BYTES_FOR_RECENT_STATES = 6_000_000
BYTES_FOR_STEPS = 8_000_000
_FEWEST_RECENT = 3


class TooLarge(LabError):
    """A network is too large to be taken step by step."""


class CannotStep(LabError):
    """A network's code does not take a step."""


@dataclass(frozen=True)
class Step:
    """One step of the optimizer, with all that went into it and what came out.

    Attributes
    ----------
    number, steps
        Counted from 1 over the whole run, and how many the run has.
    epoch, batch, batches
        Counted from 1, and how many batches an epoch has.
    images, labels
        The batch as it was trained on: shape (N, 1, 28, 28), float32, and (N,), int64.
    places
        Where its images stand in the training set, shape (N,); drawings of pen digits come after MNIST's images.
    before, after
        The network on either side of the step, in training mode.
    gradients
        By the names of the parameters, each of its parameter's shape.
    optimizer_before
        The optimizer's state from which the step began, as its ``state_dict`` has it.
    learning_rate
        Of this step.
    loss
        The mean cross entropy of the batch before the step, in nats, as the run logs it.
    random_state
        PyTorch's, at the beginning of the step: dropout draws from it.
    kernels
        What took it: "fused" for the lab's kernels, or "torch".
    has_channels_last
        Whether the step was given its images as `cnnlab.training.state.as_channels_last` returns them: dropout draws in
        the order in which the numbers lie in memory.
    """

    number: int
    steps: int
    epoch: int
    batch: int
    batches: int
    images: Tensor
    labels: Tensor
    places: Tensor
    before: nn.Module
    after: nn.Module
    gradients: dict[str, Tensor]
    optimizer_before: dict[str, Any]
    learning_rate: float
    loss: float
    random_state: Tensor
    kernels: str
    has_channels_last: bool


class Stepper:
    """A run that is taken step by step, in memory alone.

    Every step is the loop's own, so that its losses are those that a run with this recipe logs on this machine's CPU,
    to the last bit. To go back, it returns to a snapshot and takes the steps from there again. Snapshots are as dense
    as their memory allows: each time it is used up, every second one is let go. The last few states are kept as well.

    Parameters
    ----------
    model
        The network with its initial weights. It is trained in place.
    data
        The images.
    config
        The recipe; its steps are taken on the CPU.
    pen
        The pen digits, for a recipe that trains on them.

    Attributes
    ----------
    losses
        Those of all steps that were taken so far, from the first one on.

    Raises
    ------
    InvalidConfig, TooLarge
        If a batch has more than `LARGEST_BATCH` images, or the network more than `MOST_PARAMETERS` parameters.
    """

    _epoch = 0  # that `_batches` belong to

    def __init__(self, model: nn.Module, data: MNIST, config: TrainingConfig, pen: PenData | None = None) -> None:
        if config.batch_size > LARGEST_BATCH:
            raise InvalidConfig("batch_size", config.batch_size, f"at most {LARGEST_BATCH} where one looks at a step")
        if (size := sum(each.numel() for each in model.parameters())) > MOST_PARAMETERS:
            raise TooLarge(
                f"This network has {size:,} parameters, and one can look at the steps of those with up to "
                f"{MOST_PARAMETERS:,}: choose a smaller one."
            )
        self._model, self._data, self._config = model, data, config
        self._pen = pen if config.has_pen_digits else None
        self._random_state = torch.Generator().manual_seed(config.seed).get_state()  # as the loop sets it at its start
        self._threads = config.threads
        with self._in_its_own_place():
            self._state = TrainingState(model, config)
            begun = deepcopy(self._state.state_dict())
        self._begin_epoch(1)
        self.losses: list[float] = []
        self.steps = config.epochs * len(self._batches)
        self._snapshots = {0: begun}
        self._recent: OrderedDict[int, dict[str, Any]] = OrderedDict()  # the last states, for the way back
        self._spacing = 1
        self._events: Iterator[Event] | None = None
        self._kept: OrderedDict[int, Step] = OrderedDict()

    def reach(self, number: int) -> float:
        """Go on until a step is taken, from 1, and return its loss.

        Raises
        ------
        Diverged
            If its loss, or an earlier one, is NaN or infinite.
        CannotStep
            If the network's code does not take it.
        """
        if number > len(self.losses):
            self._go_to(number)
        return self.losses[number - 1]

    def step(self, number: int) -> Step:
        """Return a step, counted from 1, taking those that lead to it if need be.

        Raises
        ------
        Diverged, CannotStep
            As `reach`.
        """
        if number not in self._kept:
            self._kept[number] = self._taken(number)
            while len(self._kept) > 1 and sum(map(_size_of, self._kept.values())) > BYTES_FOR_STEPS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _taken(self, number: int) -> Step:
        self._go_to(number - 1)
        state = self._state
        epoch, batch = divmod(number - 1, len(self._batches))
        self._begin_epoch(epoch + 1)
        images, labels = self._batches[batch]
        before, optimizer_before = deepcopy(self._model), deepcopy(state.optimizer.state_dict())
        random_state = self._random_state
        self._go_on_to(number)
        gradients = {
            name: each.grad.clone() for name, each in trained_parameters(self._model).items() if each.grad is not None
        }
        return Step(
            number=number,
            steps=self.steps,
            epoch=epoch + 1,
            batch=batch + 1,
            batches=len(self._batches),
            images=images,
            labels=labels,
            places=self._batches.places(batch),
            before=before.train(),
            after=deepcopy(self._model).train(),
            gradients=gradients,
            optimizer_before=optimizer_before,
            learning_rate=state.optimizer.param_groups[0]["lr"],
            loss=self.losses[number - 1],
            random_state=random_state,
            kernels=state.kernels,
            has_channels_last=state.has_channels_last,
        )

    def _begin_epoch(self, epoch: int) -> None:
        if self._epoch != epoch:
            outlines = self._pen.outlines if self._pen else None
            self._epoch, self._batches = epoch, Batches(self._data, self._config, outlines, epoch)

    def _go_to(self, number: int) -> None:
        """Bring the state to where so many steps are done."""
        kept = self._snapshots | self._recent
        nearest = max(each for each in kept if each <= number)
        if self._events is None or self._state.step > number or self._state.step < nearest:
            self._return_to(kept[nearest])
        self._go_on_to(number)

    def _go_on_to(self, number: int) -> None:
        while self._state.step < number:
            try:
                event = self._next_event()
            except Exception as error:
                self._events = None  # the loop has ended, and the state is not whole
                if isinstance(error, LabError) or is_memory_error(error):
                    raise
                raise CannotStep(f"The network does not take this step: {error}.") from error
            if isinstance(event, BatchEvent):
                if event.step > len(self.losses):
                    self.losses.append(event.loss)
                self._keep_state(event.step)

    def _return_to(self, state_dict: dict[str, Any]) -> None:
        with self._in_its_own_place():
            self._state.load_state_dict(deepcopy(state_dict))
        self._events = train(self._model, self._data, self._config, self._state, self._pen)

    def _next_event(self) -> Event:
        assert self._events is not None
        with self._in_its_own_place():
            return next(self._events)

    def _keep_state(self, number: int) -> None:
        with self._in_its_own_place():
            state_dict = deepcopy(self._state.state_dict())
        size = _size_of_state(state_dict)
        self._recent[number] = state_dict
        self._recent.move_to_end(number)
        while len(self._recent) > max(_FEWEST_RECENT, BYTES_FOR_RECENT_STATES // size):
            self._recent.popitem(last=False)
        if number % self._spacing == 0:
            self._snapshots[number] = state_dict
        while len(self._snapshots) > max(2, BYTES_FOR_SNAPSHOTS // size):
            self._spacing *= 2
            self._snapshots = {each: kept for each, kept in self._snapshots.items() if each % self._spacing == 0}

    @property
    def nbytes(self) -> int:
        """The bytes that it holds, roughly."""
        states = self._snapshots | self._recent  # the newer snapshots are among the recent states, too
        largest = _size_of_state(states[max(states)])  # the first has no optimizer's state
        return len(states) * largest + sum(map(_size_of, self._kept.values()))

    @contextmanager
    def _in_its_own_place(self) -> Iterator[None]:
        """Let what is done have this run's random numbers and threads, and the process its own afterwards."""
        threads = torch.get_num_threads()
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._random_state)
            torch.set_num_threads(self._threads)
            try:
                yield
            finally:
                self._random_state, self._threads = torch.get_rng_state(), torch.get_num_threads()
                torch.set_num_threads(threads)


def trained_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes by their names, in the order in which the optimizer holds them."""
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def _size_of(step: Step) -> int:
    """Return the bytes of what a step holds, roughly."""
    weights = sum(each.nbytes for each in step.before.state_dict().values())
    return step.images.nbytes + 5 * weights


def _size_of_state(state_dict: dict[str, Any]) -> int:
    weights = sum(each.nbytes for each in state_dict["model"].values())
    return weights + sum(
        each.nbytes
        for of_it in state_dict["optimizer"]["state"].values()
        for each in of_it.values()
        if isinstance(each, Tensor)
    )
