"""What came of a run: whether it learned, read off its log each time and stored nowhere."""

from dataclasses import dataclass

from cnnlab.comparison.statistics import accuracy_interval
from cnnlab.data.mnist import TEST_IMAGES
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.wording import percent

# Of MNIST's test images, 1,135 show a 1, the commonest digit: a network that always answers 1 is right on these.
ALWAYS_ONE = 0.1135
# A run that is right on nine test images of ten has learned what there is to show.
GOOD_ACCURACY = 0.9
# The loss of ten equal probabilities is ln 10 = 2.30 nats: twice as much is no longer guessing but being sure of wrong
# answers, which only weights that grew too large bring about.
_EXPLODED_LOSS = 4.6


def is_chance(accuracy: float) -> bool:
    """Return whether a test accuracy cannot be told from that of always answering the commonest digit."""
    low, _ = accuracy_interval(round(accuracy * TEST_IMAGES), TEST_IMAGES)
    return low <= ALWAYS_ONE


def has_collapsed(run: Run) -> bool:
    """Return whether a run trained to its end and answers no better than chance."""
    epoch = run.last_epoch()
    return epoch is not None and is_chance(epoch.test_accuracy) and run.status is Status.FINISHED


def is_good(run: Run) -> bool:
    """Return whether a run trained to its end and reads digits well."""
    epoch = run.last_epoch()
    return epoch is not None and epoch.test_accuracy >= GOOD_ACCURACY and run.status is Status.FINISHED


def outcome(run: Run) -> str:
    """Return the word for what a run is doing or came to: its status, or "collapsed"."""
    return "collapsed" if has_collapsed(run) else run.status.value


@dataclass(frozen=True)
class Collapse:
    """Where a run that trained to its end stopped reading digits.

    Attributes
    ----------
    epoch
        The first after which it never was better than chance again.
    accuracy
        Of the test images, after the last epoch.
    loss, step
        The greatest batch loss up to the end of that epoch, and its step; None where the log has no batches.
    smaller_rate
        A learning rate to try: a tenth of the recipe's, or the tutorial's where that is still smaller and its optimizer
        is one that divides gradients by their size, as the tutorial's does.
    """

    epoch: int
    accuracy: float
    loss: float | None
    step: int | None
    smaller_rate: float

    @property
    def has_exploded(self) -> bool:
        """Whether its losses grew beyond those of guessing."""
        return self.loss is not None and self.loss > _EXPLODED_LOSS

    def sentence(self) -> str:
        """Return where it collapsed, and what to try."""
        answers = f"{percent(self.accuracy)} of the test images are right, as if it guessed"
        if self.has_exploded:
            return (
                f"Collapsed in epoch {self.epoch}: its loss rose to {self.loss:,.4g} in step {self.step:,}, and from "
                f"then on it learned nothing ({answers}). Try a smaller learning rate, such as "
                f"{self.smaller_rate:g}; or another seed, which may be spared."
            )
        when = "from the first epoch on" if self.epoch == 1 else f"from epoch {self.epoch} on"
        return (
            f"Collapsed {when}: its loss stayed near that of guessing, ln 10 = 2.30 ({answers}). Try another learning "
            "rate, ten times smaller or larger, or another seed."
        )


def collapse_of(run: Run) -> Collapse | None:
    """Return where a run collapsed; None if it did not."""
    if not has_collapsed(run):
        return None
    epochs = run.epochs()
    first = _first_without_better(epochs)
    batches = run.history().batches
    losses, steps = batches["loss"].to_numpy(), batches["step"].to_numpy()
    losses = losses[steps <= first.step]
    worst = int(losses.argmax()) if len(losses) else None
    return Collapse(
        first.epoch,
        epochs[-1].test_accuracy,
        None if worst is None else float(losses[worst]),
        None if worst is None else int(steps[worst]),
        _smaller_rate(run.config),
    )


def _smaller_rate(config: TrainingConfig) -> float:
    tenth = config.learning_rate / 10
    return min(tenth, TrainingConfig.learning_rate) if config.optimizer in ("rmsprop", "adam", "adamw") else tenth


def _first_without_better(epochs: tuple[EpochEvent, ...]) -> EpochEvent:
    """Return the first epoch from which on all are at chance; the last one is."""
    first = epochs[-1]
    for epoch in reversed(epochs):
        if not is_chance(epoch.test_accuracy):
            break
        first = epoch
    return first
