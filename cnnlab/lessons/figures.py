"""What a lesson says of the learner's own runs: figures that are measured, not written down."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from cnnlab.errors import LabError
from cnnlab.inference.calibration import calibration_of
from cnnlab.inference.test_set import moved_accuracy_of
from cnnlab.lessons.checks import Situation
from cnnlab.lessons.class_room import GOOD_ACCURACY, count_numbers
from cnnlab.runs.run import Run
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import SETTINGS, TrainingConfig
from cnnlab.wording import percent

_MOVED = 4  # pixels to the right
NOT_YET = "not measured yet"


@dataclass(frozen=True)
class Figure:
    """A figure that a lesson may name.

    Attributes
    ----------
    value
        Of a situation; None where it cannot be told yet.
    written
        It, as people read it.
    label
        What it is, in a few words.
    asks_networks
        Whether it computes with PyTorch.
    """

    value: Callable[[Situation], float | None]
    written: Callable[[float], str]
    label: str
    asks_networks: bool = False


def figure_in_words(name: str, situation: Situation) -> str:
    """Return a figure as people read it, or that it is not measured yet."""
    figure = FIGURES[name]
    value = figure.value(situation)
    return NOT_YET if value is None else figure.written(value)


def _of_epoch(which: int, read: Callable[[EpochEvent], float | None]) -> Callable[[Situation], float | None]:
    """Return what reads a number off an epoch, the first (0) or the last (-1), of the newest run that has finished."""

    def value(situation: Situation) -> float | None:
        runs = situation.finished_runs
        return read(runs[0].epochs()[which]) if runs else None

    return value


def _first_loss(situation: Situation) -> float | None:
    for run in situation.runs:
        batches = run.history().batches
        if len(batches):
            return float(batches["loss"].iloc[0])
    return None


def _last_loss(run: Run) -> float:
    return run.epochs()[-1].train_loss


def _differing_in(setting: str, situation: Situation) -> list[Run]:
    """Return the finished runs that differ in one setting alone, of the newest where there are several such groups."""
    groups: dict[tuple[str, TrainingConfig], list[Run]] = {}
    for run in situation.finished_runs:
        alike = replace(run.config, **{setting: SETTINGS[setting].default})
        groups.setdefault((run.source, alike), []).append(run)
    several = (runs for runs in groups.values() if len({getattr(run.config, setting) for run in runs}) > 1)
    return next(several, [])


def _best_rate(situation: Situation) -> float | None:
    """Return the learning rate with the lowest last loss, of runs that differ in nothing else."""
    runs = _differing_in("learning_rate", situation)
    return min(runs, key=_last_loss).config.learning_rate if runs else None


def _seeds_apart(situation: Situation) -> float | None:
    """Return how far the last losses of runs lie apart that differ in their seeds alone."""
    losses = [_last_loss(run) for run in _differing_in("seed", situation)]
    return max(losses) - min(losses) if losses else None


def _definitions_apart(situation: Situation) -> float | None:
    """Return how far the losses of both definitions lie apart at most, where they were trained with one recipe."""
    for one in situation.finished_runs:
        for other in situation.finished_runs:
            if (one.model, other.model) == ("sequential", "module") and one.config == other.config:
                losses = one.history().batches["loss"], other.history().batches["loss"]
                return float((losses[0] - losses[1]).abs().max())
    return None


def _fewest_numbers(situation: Situation) -> float | None:
    good = [run for run in situation.finished_runs if run.epochs()[-1].test_accuracy >= GOOD_ACCURACY]
    return min(map(count_numbers, good), default=None)


def _newest_numbers(situation: Situation) -> float | None:
    runs = situation.finished_runs
    return count_numbers(runs[0]) if runs else None


def _moved_accuracy(situation: Situation) -> float | None:
    runs = situation.finished_runs
    return moved_accuracy_of(runs[0], _MOVED) if runs else None


def _right_at_70(situation: Situation) -> float | None:
    """Return the share that is right of the newest run's answers to people's digits, given with 60 to 80 %."""
    if not (runs := situation.finished_runs):
        return None
    with suppress(LabError):
        curve = calibration_of(runs[0]).curve
        near = curve[~curve["scaled"] & (curve["low"] >= 0.6) & (curve["high"] <= 0.8) & (curve["answers"] > 0)]
        if len(near):
            return float((near["right"] * near["answers"]).sum() / near["answers"].sum())
    return None


def _loss(value: float) -> str:
    return f"{value:.4f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


FIGURES = {
    "first_loss": Figure(_first_loss, _loss, "the loss of the first batch"),
    "first_epoch_loss": Figure(_of_epoch(0, lambda epoch: epoch.train_loss), _loss, "the first epoch's train loss"),
    "last_epoch_loss": Figure(_of_epoch(-1, lambda epoch: epoch.train_loss), _loss, "the last epoch's train loss"),
    "test_loss": Figure(_of_epoch(-1, lambda epoch: epoch.test_loss), _loss, "the test loss at the end"),
    "test_accuracy": Figure(_of_epoch(-1, lambda epoch: epoch.test_accuracy), percent, "the test accuracy"),
    "pen_accuracy": Figure(_of_epoch(-1, lambda epoch: epoch.pen_accuracy), percent, "the accuracy on people's digits"),
    "moved_accuracy": Figure(_moved_accuracy, percent, f"the accuracy on images moved by {_MOVED} pixels", True),
    "right_at_70": Figure(_right_at_70, percent, "the share that is right of answers given with about 70 %", True),
    "best_rate": Figure(_best_rate, lambda value: f"{value:g}", "the learning rate with the lowest loss"),
    "seeds_apart": Figure(_seeds_apart, _loss, "how far the seeds' losses lie apart"),
    "definitions_apart": Figure(_definitions_apart, lambda value: f"{value:g}", "how far the two definitions differ"),
    "numbers": Figure(_newest_numbers, _whole, "the numbers of your network"),
    "fewest_numbers": Figure(_fewest_numbers, _whole, "the fewest numbers with 98 %"),
}
