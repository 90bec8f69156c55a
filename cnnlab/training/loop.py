"""The training loop, as a generator that knows no disk, no process and no screen.

    for event in train(model, data, TrainingConfig()):
        match event:
            case BatchEvent(): ...
            case EpochEvent(): ...

Whoever iterates decides what becomes of the events: a notebook, the command line, a worker process and the tests all
iterate this one loop.
"""

import math
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.data.mnist import MNIST, as_input
from cnnlab.drawing.pen import Outlines, PenData
from cnnlab.errors import LabError
from cnnlab.fused.rewrite import fuses_all_convolutions
from cnnlab.training.batches import Batches
from cnnlab.training.evaluation import evaluate
from cnnlab.training.events import BatchEvent, EpochEvent, Event
from cnnlab.training.optimizers import highest_learning_rate, learning_rate_at
from cnnlab.training.recipe import DRAWINGS_OF_A_DIGIT, InvalidConfig, TrainingConfig
from cnnlab.training.state import Team, TrainingState, as_channels_last

# How many steps pass before their losses are read. To read a loss is to wait for it: a CPU has it after the step, a GPU
# is still at work on a queue of steps by then, and would stand idle before the next ones are sent.
STEPS_AT_ONCE = {"cpu": 1}
STEPS_AT_ONCE_ON_A_GPU = 20


class Diverged(LabError):
    """The loss became NaN or infinite. The model holds the last weights whose loss was finite."""


def train(
    model: nn.Module,
    data: MNIST,
    config: TrainingConfig,
    state: TrainingState | None = None,
    pen: PenData | None = None,
    learning_rates: dict[int, float] | None = None,
) -> Iterator[Event]:
    """Train a model, yielding an event for every batch and every epoch.

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
    pen
        The pen digits, for a recipe that trains on them and for the accuracy on them, which is else not measured.
    learning_rates
        Those that hold in place of the recipe's, by the steps (from 1) from which they do, in order. Whoever iterates
        may add one for a step to come.

    Yields
    ------
    Event
        A `BatchEvent` for each step, and an `EpochEvent` after the last of each epoch. On a GPU, the events of
        `STEPS_AT_ONCE_ON_A_GPU` steps come after the last of them: a checkpoint between two events is whole only after
        one whose `step` is the state's.

    Raises
    ------
    InvalidConfig
        If the batch is larger than the training set or too small for the team, the machine does not have the device, or
        the recipe trains on pen digits and there are none.
    Diverged
        If a loss is NaN or infinite.
    """
    outlines = _outlines_for(config, pen)
    drawings = DRAWINGS_OF_A_DIGIT * len(outlines) if outlines else 0
    size = len(data.train_labels) - config.validation + drawings
    if config.batch_size > size:
        raise InvalidConfig("batch_size", config.batch_size, f"at most {size:,}, the size of the training set")
    state = state or TrainingState(model, config)
    if state.team:
        require_an_image_for_each(state.team.size, size, config.batch_size)
    data = data.to(state.device)
    pen = pen and pen.to(state.device)
    _prepare_process(config, state)
    at_once = STEPS_AT_ONCE.get(state.device.type, STEPS_AT_ONCE_ON_A_GPU)

    changes = {} if learning_rates is None else learning_rates
    weights = _GoodWeights([*state.parameters, *model.buffers()], state.step)
    while state.epoch <= config.epochs:
        batches = Batches(data, config, outlines, state.epoch)
        total_steps = config.epochs * len(batches)
        model.train()
        torch.set_num_threads(_threads_between_kernels(config, state))
        while state.batch < len(batches):
            started = time.perf_counter()
            weights.note(state.step)
            pending: list[Tensor] = []
            for number in range(state.batch, min(state.batch + at_once, len(batches))):
                _set_learning_rate(state, state.step + len(pending) + 1, total_steps, config, changes)
                images, labels = batches[number]
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
                    state.step = weights.put_back()
                    step = first_step + count - 1
                    rate = highest_learning_rate(max(1, step), config.learning_rate, changes)
                    raise Diverged(_divergence("training loss", loss, rate, state.epoch, step))
                seconds = first_seconds + elapsed * count / len(losses)
                yield BatchEvent(first_step + count, state.epoch, loss, seconds)
            weights.keep()

        torch.set_num_threads(config.threads)
        test_loss, test_accuracy = evaluate(model, data.test_images, data.test_labels)
        validation_loss, validation_accuracy = _validate(model, data, config)
        for which, loss in (("test loss", test_loss), ("validation loss", validation_loss or 0.0)):
            if not math.isfinite(loss):
                step, state.step = state.step, weights.put_back()
                rate = highest_learning_rate(step, config.learning_rate, changes)
                raise Diverged(_divergence(which, loss, rate, state.epoch, step))
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
            pen_accuracy=_pen_accuracy(model, pen, config, state.epoch),
        )
        state.epoch += 1
        state.batch = 0
        state.epoch_loss_sum = 0.0
        state.epoch_seconds = 0.0
        yield event


def require_an_image_for_each(processes: int, images: int, batch_size: int) -> None:
    """Check that each process gets part of every batch, even of the last and smallest one of an epoch.

    Raises
    ------
    InvalidConfig
        If one has none.
    """
    if (images % batch_size or batch_size) < processes:
        allowed = f"one that leaves each of the {processes} processes an image of every batch"
        raise InvalidConfig("batch_size", batch_size, allowed)


def _outlines_for(config: TrainingConfig, pen: PenData | None) -> Outlines | None:
    """Return the pen digits that a recipe trains on, if it does."""
    if not config.has_pen_digits:
        return None
    if pen is None or pen.outlines is None:
        raise InvalidConfig("data", config.data, "mnist where the pen digits are not loaded")
    return pen.outlines


def _validate(model: nn.Module, data: MNIST, config: TrainingConfig) -> tuple[float, float] | tuple[None, None]:
    if not config.validation:
        return None, None
    images = data.train_images[-config.validation :]
    if images.dtype == torch.uint8:
        images = as_input(images)
    return evaluate(model, images, data.train_labels[-config.validation :])


def _pen_accuracy(model: nn.Module, pen: PenData | None, config: TrainingConfig, epoch: int) -> float | None:
    """Return the accuracy on pen digits after an epoch that takes long enough for it, or after the last."""
    takes_long = config.augment or config.has_pen_digits  # else the test would take 5 % of it, so at most 3 %
    if pen is None or not (takes_long or epoch == config.epochs):
        return None
    return evaluate(model, pen.test_images, pen.test_labels).accuracy


def _threads_between_kernels(config: TrainingConfig, state: TrainingState) -> int:
    """Return how many threads PyTorch should use for the layers that the lab's kernels leave to it.

    Without a convolution that is so little that to share it costs more than to do it: threads that meet at the end of
    each of twenty small operations wait for the slowest twenty times, and on a busy machine one always is slow.
    """
    return 1 if state.kernels == "fused" and fuses_all_convolutions(state.network) else config.threads


def _set_learning_rate(
    state: TrainingState, step: int, steps: int, config: TrainingConfig, changes: dict[int, float]
) -> None:
    """Give the optimizer its learning rate for a step, counted from 1."""
    highest = highest_learning_rate(step, config.learning_rate, changes)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate_at((step - 0.5) / steps, highest, config.schedule)


def _take_step(state: TrainingState, images: Tensor, labels: Tensor) -> Tensor:
    """Take one optimizer step, and return the loss before it, shape ()."""
    if state.whole_step and (loss := state.whole_step.take(images, labels)) is not None:
        return loss
    for parameters in state.parameters:
        assert parameters.grad is not None
        parameters.grad.zero_()
    if state.team is None:
        loss = F.cross_entropy(state.network(images), labels)
        loss.backward()
    else:
        loss = _loss_of_team(state.team, state.network, images, labels)
    (state.update or state.optimizer).step()
    return loss.detach()


def _loss_of_team(team: Team, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Backpropagate the mean loss of the whole batch, and return that loss, shape ()."""
    logits = network(team.part_of(images))
    share = F.cross_entropy(logits, team.part_of(labels), reduction="sum") / len(labels)
    (share * team.size).backward()  # the mean of these gradients is the sum of the shares'
    return team.sum_of(share.detach())


class _GoodWeights:
    """The last weights that are known to have given a finite loss.

    Those from which some steps begin are noted, and kept when the losses of these steps turn out to be finite: the
    first of them was theirs.
    """

    def __init__(self, tensors: list[Tensor], step: int) -> None:
        self._current = [tensor.detach() for tensor in tensors]
        self._noted = [tensor.clone() for tensor in self._current]
        self._kept = [tensor.clone() for tensor in self._current]
        self._noted_step = self._kept_step = step

    def note(self, step: int) -> None:
        """Note the weights as they are now, after a step."""
        _copy(self._current, self._noted)
        self._noted_step = step

    def keep(self) -> None:
        self._noted, self._kept = self._kept, self._noted
        self._kept_step = self._noted_step

    def put_back(self) -> int:
        """Go back to the weights that were kept, and return after which step they were."""
        _copy(self._kept, self._current)
        return self._kept_step


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for from_tensor, to_tensor in zip(source, target, strict=True):
        to_tensor.copy_(from_tensor)


def _divergence(which: str, loss: float, learning_rate: float, epoch: int, step: int) -> str:
    return (
        f"The {which} became {loss} in epoch {epoch}, after step {step:,}: training has diverged, most "
        f"often because the learning rate ({learning_rate:g}) is too high. The last weights with a finite loss "
        "are kept."
    )


def _prepare_process(config: TrainingConfig, state: TrainingState) -> None:
    """Set PyTorch's process-wide state that the losses or the speed depend on."""
    torch.set_num_threads(config.threads)
    if state.step == 0:
        torch.manual_seed(config.seed)  # for layers that draw random numbers, such as dropout
    if state.device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    # glibc gives each large block back to the system when it is freed, and fetching it again costs a page fault for
    # every 4 KiB. Having freed one block of 32 MB it keeps blocks up to that size: 1.5 to 1.9 times faster on a CPU.
    torch.empty(8_000_000)
