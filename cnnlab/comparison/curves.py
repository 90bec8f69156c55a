"""The curves of several runs as one data frame."""

from collections.abc import Sequence
from enum import StrEnum
from math import ceil

import pandas as pd

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.run import Run


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


# Of all runs in one chart together: more would not be told apart, and would slow a live page down.
_BATCH_POINTS = 4_000


def curve(run: Run, measure: Measure, axis: Axis, *, points: int, smoothing: int = 1) -> pd.DataFrame:
    """Return the points of one run's curve.

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


def tutorial_curves(end: float, axis: Axis, steps_per_epoch: int) -> pd.DataFrame:
    """Return the train losses that the tutorial prints for its two networks, as far as an axis goes.

    Parameters
    ----------
    end
        Of the axis.
    axis
        Epochs or steps; of seconds the tutorial says nothing.
    steps_per_epoch
        Of the runs they stand beside.

    Returns
    -------
    DataFrame
        Columns label, x and value.
    """
    scale = {Axis.EPOCH: 1, Axis.STEP: steps_per_epoch}.get(axis)
    rows = [
        {"label": f"tutorial, {definition.title.removeprefix('nn.')}", "x": float(epoch * scale), "value": loss}
        for definition in DEFINITIONS.values()
        for epoch, loss in enumerate(definition.tutorial_losses, start=1)
        if scale and epoch * scale <= end
    ]
    return pd.DataFrame(rows, columns=["label", "x", "value"])


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
