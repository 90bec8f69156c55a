"""The events of the training loop: batches and epochs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchEvent:
    """One step of the optimizer.

    Attributes
    ----------
    step
        Counted from 1 over the whole run.
    epoch
        Counted from 1.
    loss
        Mean cross entropy of the batch, in nats, before the step.
    seconds
        Time spent training since the run began; evaluating and whoever iterates do not count.
    """

    step: int
    epoch: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class EpochEvent:
    """One pass over the training set.

    Attributes
    ----------
    epoch, step
        The epoch, counted from 1, and its last step.
    train_loss
        The mean of the epoch's batch losses, as the tutorial prints it, in nats.
    test_loss, test_accuracy
        On the test set, after the epoch; the accuracy is a share from 0 to 1.
    seconds
        Time spent training in this epoch, without evaluating.
    images_per_second
        Training images over `seconds`.
    validation_loss, validation_accuracy
        The same as on the test set, on the images that the recipe keeps out of training; None if it keeps none.
    pen_accuracy
        The accuracy on the digits that the testing writers drew with a pen; None where it was not measured, as
        after the epochs of a recipe of which it would take more than a thirtieth, but for the last.
    """

    epoch: int
    step: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    pen_accuracy: float | None = None


Event = BatchEvent | EpochEvent
