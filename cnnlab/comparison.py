"""Runs beside each other: curves, results, what differs in their recipes, and whether chance explains the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import accumulate
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from cnnlab.data.mnist import TEST_IMAGES
from cnnlab.inference.test_set import DIGITS, Predictions
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import labels_of
from cnnlab.training.recipe import TrainingConfig


class Measure(StrEnum):
    """What a curve shows."""

    TRAIN_LOSS = "train_loss"
    TEST_LOSS = "test_loss"
    TEST_ACCURACY = "test_accuracy"
    BATCH_LOSS = "batch_loss"


class Axis(StrEnum):
    """What a curve is drawn against."""

    EPOCH = "epoch"
    STEP = "step"
    SECONDS = "seconds"


SIGNIFICANCE = 0.05
# Of all runs in one chart together: more would not be told apart, and would slow a live page down.
_BATCH_POINTS = 4_000


@dataclass(frozen=True)
class Recipe:
    """What a run is, apart from its seed.

    Attributes
    ----------
    model, source
        The definition's name, and its source when the run was made.
    config
        The recipe, with its seed set to 0.
    """

    model: str
    source: str
    config: TrainingConfig

    def with_seed(self, seed: int) -> TrainingConfig:
        """Return the recipe with a seed."""
        return replace(self.config, seed=seed)

    @property
    def is_registered(self) -> bool:
        """Whether a new run would train the same network: the definition is there, and as it was."""
        definition = DEFINITIONS.get(self.model)
        return definition is not None and definition.source == self.source


def recipe_of(run: Run) -> Recipe:
    """Return what a run is, apart from its seed."""
    return Recipe(run.model, run.source, replace(run.config, seed=0))


def by_recipe(runs: Iterable[Run]) -> dict[Recipe, list[Run]]:
    """Return the runs that differ in nothing but their seed together, in the order in which they come."""
    groups: dict[Recipe, list[Run]] = {}
    for run in runs:
        groups.setdefault(recipe_of(run), []).append(run)
    return groups


def folded_labels_of(runs: Sequence[Run]) -> list[str]:
    """Return one name for runs that differ in nothing but their seed: the definition, what is special, the seeds."""
    labels = dict(zip(runs, labels_of(runs), strict=True))
    groups = [group for group in by_recipe(runs).values() if len(group) > 1]
    special = differing_settings([group[0] for group in groups]).drop(index=["definition", "seed"], errors="ignore")
    for index, group in enumerate(groups):
        settings = [f"{str(setting).replace('_', ' ')} {value}" for setting, value in special.iloc[:, index].items()]
        seeds = ", ".join(str(seed) for seed in sorted(run.config.seed for run in group))
        label = ", ".join([group[0].title, *settings, f"seeds {seeds}"])
        while label in labels.values():
            label += " (other source)"
        labels |= dict.fromkeys(group, label)
    return list(labels.values())


def by_seed(recipe: Recipe, runs: Iterable[Run]) -> dict[int, Run]:
    """Return the runs of a recipe by their seeds: those that are finished, and else those that will be.

    Of several with one seed, the first that comes.
    """
    found: dict[int, Run] = {}
    of_recipe = [run for run in runs if recipe_of(run) == recipe]
    for run in sorted(of_recipe, key=lambda run: run.status is not Status.FINISHED):
        if run.status is Status.FINISHED or run.status.is_active:
            found.setdefault(run.config.seed, run)
    return found


def differing_settings(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the settings that are not the same in all runs: a row for each setting, a column for each run.

    The definition is one of them.
    """
    settings = pd.DataFrame([{"definition": run.title, **asdict(run.config)} for run in runs]).T
    return settings[settings.nunique(axis=1) > 1]


def results(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each run.

    Returns
    -------
    DataFrame
        Columns status; progress (the share of the steps that are done); train_loss, test_loss and test_accuracy of the
        newest epoch; best_test_loss and best_epoch; accuracy_low and accuracy_high, as `accuracy_interval` returns
        them; parameters (how many numbers the network learns); and the medians of seconds_per_epoch and
        images_per_second. Missing where a run has no epoch yet.
    """
    rows = []
    for run in runs:
        history = run.history()
        epochs = history.epochs
        row: dict[str, object] = {
            "status": run.status.value,
            "progress": history.step / run.total_steps,
            "parameters": _parameters_of(run),
        }
        if len(epochs):
            last, best = epochs.iloc[-1], epochs.sort_values("test_loss").iloc[0]
            low, high = accuracy_interval(round(last.test_accuracy * TEST_IMAGES), TEST_IMAGES)
            row |= {
                "train_loss": last.train_loss,
                "test_loss": last.test_loss,
                "best_test_loss": best.test_loss,
                "best_epoch": int(best.epoch),
                "test_accuracy": last.test_accuracy,
                "accuracy_low": low,
                "accuracy_high": high,
                "seconds_per_epoch": epochs["seconds"].median(),
                "images_per_second": epochs["images_per_second"].median(),
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=_RESULT_COLUMNS)


_RESULT_COLUMNS = [
    "status",
    "progress",
    "train_loss",
    "test_loss",
    "best_test_loss",
    "best_epoch",
    "test_accuracy",
    "accuracy_low",
    "accuracy_high",
    "parameters",
    "seconds_per_epoch",
    "images_per_second",
]


def over_seeds(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each recipe of which several seeds are finished: each seed counts once.

    Returns
    -------
    DataFrame
        Columns label, as `folded_labels_of` returns it; seeds (how many); accuracy_mean, accuracy_low and accuracy_high
        (the mean, the least and the greatest of the test accuracies after the last epoch); and train_loss_mean.
    """
    finished = [run for run in runs if run.status is Status.FINISHED]
    groups = [list(by_seed(recipe, finished).values()) for recipe in by_recipe(finished)]
    counted = [run for group in groups if len(group) > 1 for run in group]
    rows = results(counted).assign(label=folded_labels_of(counted)).groupby("label", sort=False)
    return rows.agg(
        seeds=("test_accuracy", "size"),
        accuracy_mean=("test_accuracy", "mean"),
        accuracy_low=("test_accuracy", "min"),
        accuracy_high=("test_accuracy", "max"),
        train_loss_mean=("train_loss", "mean"),
    ).reset_index()


def _parameters_of(run: Run) -> int | None:
    return DEFINITIONS[run.model].parameters if recipe_of(run).is_registered else None


def curve(run: Run, measure: Measure, axis: Axis, *, points: int, smoothing: int = 1) -> pd.DataFrame:
    """Return what one run's curve shows.

    Parameters
    ----------
    points
        About how many points a curve of batch losses has at most.
    smoothing
        How many batch losses each point of such a curve is the mean of: those up to its step.

    Returns
    -------
    DataFrame
        Columns x (epochs that are done, steps, or seconds of training) and value.
    """
    history = run.history()
    if measure is Measure.BATCH_LOSS:
        every = ceil(run.total_steps / points)
        batches = history.batches.assign(
            value=history.batches["loss"].rolling(smoothing, min_periods=1).mean(),
            epoch=history.batches["step"] / run.steps_per_epoch,
        )
        chosen = batches[batches["step"] % every == 0]
    else:
        chosen = history.epochs.assign(value=history.epochs[measure], seconds=history.epochs["seconds"].cumsum())
    return pd.DataFrame({"x": chosen[axis].astype(float), "value": chosen["value"].astype(float)})


def curves(
    runs: Sequence[Run], labels: Sequence[str], measure: Measure, axis: Axis, *, smoothing: int = 1, fold: bool = False
) -> pd.DataFrame:
    """Return the curves of several runs.

    Parameters
    ----------
    labels
        One for each run. Runs with the same label are folded if `fold` is set: each point of their curve is the mean of
        those that have come as far. Against seconds, which differ from run to run, the curve goes as far as all have
        come.

    Returns
    -------
    DataFrame
        Columns label, x, value, and low and high: the least and the greatest value of those folded.
    """
    points = max(100, _BATCH_POINTS // len(runs)) if runs else 0
    frames = [
        curve(run, measure, axis, points=points, smoothing=smoothing).assign(label=label)
        for run, label in zip(runs, labels, strict=True)
    ]
    together = pd.concat(frames) if frames else pd.DataFrame(columns=["label", "x", "value"])
    if not fold:
        return together.assign(low=together["value"], high=together["value"])
    together["place"] = together.groupby(level=0).ngroup()
    places = together.groupby(["label", "place"], sort=False)
    folded = places.agg(
        x=("x", "mean"), value=("value", "mean"), low=("value", "min"), high=("value", "max"), runs=("value", "size")
    ).reset_index()
    if axis is Axis.SECONDS:
        folded = folded[folded["runs"] == folded.groupby("label")["runs"].transform("max")]
    return folded.drop(columns=["place", "runs"])


def accuracy_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: Wilson's score interval.

    References
    ----------
    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z = NormalDist().inv_cdf(0.975)
    share, correction = right / total, z**2 / total
    centre = share + correction / 2
    half_width = z * sqrt(share * (1 - share) / total + correction / total / 4)
    return (centre - half_width) / (1 + correction), (centre + half_width) / (1 + correction)


def confusion_matrix(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return how often each digit (row) was answered with each digit (column): shape (10, 10), int64.

    Parameters
    ----------
    labels, answers
        Shape (N,): digits from 0 to 9.
    """
    return np.bincount(labels.astype(np.int64) * DIGITS + answers, minlength=DIGITS**2).reshape(DIGITS, DIGITS)


@dataclass(frozen=True)
class Verdict:
    """Whether the difference between two runs on the same images is more than chance.

    Attributes
    ----------
    only_first, only_second
        On how many images one is right and the other is not.
    differing
        On how many images they answer differently.
    p_value
        How probable so uneven a split of those images, or a more uneven one, would be if both were equally good:
        McNemar's test, exact.
    """

    only_first: int
    only_second: int
    differing: int
    p_value: float

    def sentence(self, first: str, second: str) -> str:
        """Return the verdict in words, with the names of the two runs."""
        if not self.differing:
            return f"{first} and {second} give the same answer to every image."
        counts = f"{first} is right on {self.only_first:,} that {second} misses, {second} on {self.only_second:,}"
        digits = 3 if round(self.p_value, 2) == SIGNIFICANCE else 2  # 0.0496 is not to be read as 0.05
        p_value = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.{digits}g}"
        if self.p_value >= SIGNIFICANCE:
            return f"{counts} that {first} misses: no difference that chance would not explain, {p_value}."
        better = first if self.only_first > self.only_second else second
        return f"{counts} that {first} misses: {better} is better than chance would explain, {p_value}."


def compare_answers(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Verdict:
    """Compare the answers of two runs to the same images with McNemar's exact test.

    Parameters
    ----------
    labels, first, second
        Shape (N,): digits from 0 to 9.

    References
    ----------
    Q. McNemar (1947), Note on the sampling error of the difference between correlated proportions or percentages.
    """
    first_right, second_right = first == labels, second == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    p_value = _two_sided_sign_test(only_first, only_second)
    return Verdict(only_first, only_second, int((first != second).sum()), p_value)


def _two_sided_sign_test(heads: int, tails: int) -> float:
    """Return how probable it is that a fair coin falls as unevenly as this, or more so."""
    throws, fewer = heads + tails, min(heads, tails)
    ways_to_choose = accumulate(range(fewer), lambda ways, k: ways * (throws - k) // (k + 1), initial=1)
    return min(1.0, 2 * sum(ways_to_choose) / 2**throws)


def worst_errors(labels: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the images that are answered wrongly, the most confident answer first.

    Parameters
    ----------
    labels
        Shape (N,): digits from 0 to 9.

    Returns
    -------
    ndarray
        Their indices in the test set, int64.
    """
    indices = np.flatnonzero(predictions.answers != labels)
    return indices[np.argsort(-predictions.confidences[indices], kind="stable")]


def disagreements(predictions: Sequence[Predictions]) -> np.ndarray:
    """Return the images on which not all answers are the same, those answered with the highest mean confidence first.

    Returns
    -------
    ndarray
        Their indices in the test set, int64.
    """
    answers = np.stack([each.answers for each in predictions])
    confidence = np.stack([each.confidences for each in predictions]).mean(axis=0)
    indices = np.flatnonzero((answers != answers[0]).any(axis=0))
    return indices[np.argsort(-confidence[indices], kind="stable")]
