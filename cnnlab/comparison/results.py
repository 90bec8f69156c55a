"""The results of several runs as one data frame, run by run or over seeds."""

import math
from collections.abc import Sequence
from contextlib import suppress

import pandas as pd

from cnnlab.comparison.experiments import by_experiment, by_seed, folded_labels_of
from cnnlab.comparison.outcomes import outcome
from cnnlab.comparison.statistics import accuracy_interval
from cnnlab.data.mnist import TEST_IMAGES
from cnnlab.data.pen_digits import TESTING_DIGITS
from cnnlab.inference.test_set import pen_accuracy_of
from cnnlab.models.definitions import UnknownDefinition
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run


def results(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each run.

    Returns
    -------
    DataFrame
        Columns status, as `outcome` has it; progress (the share of the steps that are done); train_loss, test_loss and
        test_accuracy of the newest epoch; pen_accuracy (on what people drew, of the newest epoch where it was measured;
        of a run that has ended, as `pen_accuracy_of` returns it); beside_tutorial (that train loss less the one that
        the tutorial prints for this definition and epoch); best_test_loss and best_epoch; accuracy_low, accuracy_high,
        pen_low and pen_high, as `accuracy_interval` returns them; parameters (how many numbers the network learns); and
        the medians of seconds_per_epoch and images_per_second. Missing where a run has no epoch yet.
    """
    rows = []
    for run in runs:
        history = run.history()
        epochs = history.epochs
        row: dict[str, object] = {
            "status": outcome(run),
            "progress": history.step / run.total_steps,
            "parameters": _parameters_of(run),
        }
        if len(epochs):
            last, best = epochs.iloc[-1], epochs.sort_values("test_loss").iloc[0]
            low, high = accuracy_interval(round(last.test_accuracy * TEST_IMAGES), TEST_IMAGES)
            row |= {
                "train_loss": last.train_loss,
                "beside_tutorial": _beside_tutorial(run, int(last.epoch), last.train_loss),
                "test_loss": last.test_loss,
                "best_test_loss": best.test_loss,
                "best_epoch": int(best.epoch),
                "test_accuracy": last.test_accuracy,
                "accuracy_low": low,
                "accuracy_high": high,
                "seconds_per_epoch": epochs["seconds"].median(),
                "images_per_second": epochs["images_per_second"].median(),
                **_on_people(run, last.get("pen_accuracy")),
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=_RESULT_COLUMNS)


_RESULT_COLUMNS = [
    "status",
    "progress",
    "train_loss",
    "beside_tutorial",
    "test_loss",
    "best_test_loss",
    "best_epoch",
    "test_accuracy",
    "accuracy_low",
    "accuracy_high",
    "pen_accuracy",
    "pen_low",
    "pen_high",
    "parameters",
    "seconds_per_epoch",
    "images_per_second",
]


def _on_people(run: Run, logged: float | None) -> dict[str, object]:
    """Return the accuracy on what people drew, with its interval; nothing where it is not known."""
    accuracy = logged if run.status.is_active else pen_accuracy_of(run)
    if accuracy is None or math.isnan(accuracy):
        return {}
    low, high = accuracy_interval(round(accuracy * TESTING_DIGITS), TESTING_DIGITS)
    return {"pen_accuracy": accuracy, "pen_low": low, "pen_high": high}


def over_seeds(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each experiment with several finished seeds; each seed counts once.

    Returns
    -------
    DataFrame
        Columns label, as `folded_labels_of` returns it; seeds (how many); accuracy_mean, accuracy_low and accuracy_high
        (the mean, the least and the greatest of the test accuracies after the last epoch); pen_accuracy_mean; and
        train_loss_mean.
    """
    finished = [run for run in runs if run.status is Status.FINISHED]
    groups = [list(by_seed(experiment, finished).values()) for experiment in by_experiment(finished)]
    counted = [run for group in groups if len(group) > 1 for run in group]
    rows = results(counted).assign(label=folded_labels_of(counted)).groupby("label", sort=False)
    return rows.agg(
        seeds=("test_accuracy", "size"),
        accuracy_mean=("test_accuracy", "mean"),
        accuracy_low=("test_accuracy", "min"),
        accuracy_high=("test_accuracy", "max"),
        pen_accuracy_mean=("pen_accuracy", "mean"),
        train_loss_mean=("train_loss", "mean"),
    ).reset_index()


def tutorial_losses_of(run: Run) -> tuple[float, ...]:
    """Return the losses that the tutorial prints for a run's network, one for each epoch; none where it prints none."""
    if run.fine_tuning:  # the tutorial's begin with random weights
        return ()
    with suppress(UnknownDefinition):
        return run.definition.tutorial_losses
    return ()


def _beside_tutorial(run: Run, epoch: int, train_loss: float) -> float | None:
    losses = tutorial_losses_of(run)
    return train_loss - losses[epoch - 1] if epoch <= len(losses) else None


def _parameters_of(run: Run) -> int | None:
    with suppress(UnknownDefinition):
        return run.definition.parameters
    return None
