"""The live charts of one run.

Live curves are Altair's: Streamlit changes their data in place, where it draws a new Plotly figure for each update.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cnnlab.charts.palette import (
    LOSS_TICKS,
    NEUTRAL_COLOR,
    RUN_COLORS,
    SMALLEST_LOSS,
    TEST_COLOR,
    TRAIN_COLOR,
    TUTORIAL_COLOR,
    percent_axis,
)
from cnnlab.wording import percent

BATCH_POINTS = 1_000
# The axis holds them from the start, so that it need not move when the first losses arrive.
_USUAL_LOSSES = [0.01, 10.0]
# Of two labels, the ratio of the losses that they stand at: closer, they would cover each other.
_LABELS_APART = 1.6


def batch_curve(batches: pd.DataFrame, steps_per_epoch: int, total_steps: int) -> pd.DataFrame:
    """Return the batch losses as at most about `BATCH_POINTS` points, each the mean of the same number of steps.

    Parameters
    ----------
    batches
        Columns step (from 1) and loss.
    steps_per_epoch, total_steps
        Of the whole run, so that points that were drawn stay while others are added.

    Returns
    -------
    DataFrame
        Columns epoch (epochs that are done, with decimals) and loss.
    """
    group_size = -(-total_steps // BATCH_POINTS)
    groups = batches.groupby((batches["step"] - 1) // group_size)
    return pd.DataFrame({"epoch": groups["step"].mean() / steps_per_epoch, "loss": groups["loss"].mean()})


@dataclass(frozen=True)
class LiveChart:
    """A chart whose points arrive while one looks.

    Attributes
    ----------
    points
        What is drawn.
    spec
        How it is drawn, in Vega-Lite's language. It is made once for all points: Altair takes 50 ms to make it.
    """

    points: pd.DataFrame
    spec: dict[str, Any]


def loss_chart(
    batches: pd.DataFrame,
    epochs: pd.DataFrame,
    tutorial_losses: tuple[float, ...],
    *,
    steps_per_epoch: int,
    total_steps: int,
    learning_rates: Mapping[int, float] = MappingProxyType({}),
    rate_name: str = "rate",
) -> LiveChart:
    """Return the losses over the epochs: by batch (faint), by epoch (bold), on the test set, and the tutorial's.

    Right of the curves stand their names, each with its newest loss.

    Parameters
    ----------
    batches
        Columns step and loss.
    epochs
        Columns epoch, train_loss and test_loss.
    tutorial_losses
        One for each epoch; may be empty.
    learning_rates
        Those that were set meanwhile, by the steps from which they hold: each is a line across the chart.
    rate_name
        What such a rate is called.
    """
    planned_epochs = total_steps // steps_per_epoch
    tutorial = list(tutorial_losses[:planned_epochs])
    curves = {
        "batch loss": batch_curve(batches, steps_per_epoch, total_steps),
        "train loss": epochs[["epoch", "train_loss"]].rename(columns={"train_loss": "loss"}),
        "test loss": epochs[["epoch", "test_loss"]].rename(columns={"test_loss": "loss"}),
        "tutorial": pd.DataFrame({"epoch": range(1, len(tutorial) + 1), "loss": tutorial}),
    }
    names = tuple(name for name in curves if tutorial or name != "tutorial")
    points = pd.concat([curves[name].assign(curve=name) for name in names]).astype({"epoch": float, "loss": float})
    points["loss"] = points["loss"].clip(lower=SMALLEST_LOSS)
    changes = tuple(((step - 1) / steps_per_epoch, f"{rate_name} {rate:g}") for step, rate in learning_rates.items())
    return LiveChart(_with_labels(points.reset_index(drop=True)), _loss_spec(names, planned_epochs, changes))


def _with_labels(points: pd.DataFrame) -> pd.DataFrame:
    """Return the points with two more columns: of each curve's last, label and label_loss, where the label stands."""
    last = points.groupby("curve").tail(1).sort_values("loss")
    names = last["curve"].str.removesuffix(" loss")
    labels = [f"{name} {loss:.4f}" for name, loss in zip(names, last["loss"], strict=True)]
    places: list[float] = []
    for loss in last["loss"]:
        places.append(max(loss, places[-1] * _LABELS_APART) if places else loss)
    labelled = pd.DataFrame({"label": labels, "label_loss": places}, index=last.index)
    return points.join(labelled)


@lru_cache
def _loss_spec(names: tuple[str, ...], planned_epochs: int, changes: tuple[tuple[float, str], ...]) -> dict[str, Any]:
    def by_curve(*values: Any) -> alt.Scale:
        # Said to be ordinal: Vega-Lite would spread opacities and widths evenly between the first and the last.
        return alt.Scale(type="ordinal", domain=list(names), range=list(values[: len(names)]))

    color = alt.Color("curve:O", scale=by_curve(TRAIN_COLOR, TRAIN_COLOR, TEST_COLOR, TUTORIAL_COLOR), legend=None)
    beside: dict[str, Any] = {"align": "left", "dx": 8, "fontSize": 12}
    lines = alt.Chart().encode(
        x=_epoch_axis(planned_epochs),
        y=alt.Y(
            "loss:Q",
            title="loss (cross entropy)",
            scale=alt.Scale(type="log", nice=True, domain=alt.DomainUnionWith(unionWith=_USUAL_LOSSES)),
            axis=alt.Axis(values=LOSS_TICKS, format="~g"),
        ),
        color=color,
        opacity=alt.Opacity("curve:O", scale=by_curve(0.4, 1.0, 1.0, 1.0)),
        strokeWidth=alt.StrokeWidth("curve:O", scale=by_curve(1.0, 3.0, 2.0, 2.5)),
        strokeDash=alt.StrokeDash("curve:O", scale=by_curve([1, 0], [1, 0], [1, 0], [2, 4])),
    )
    dots = lines.transform_filter(alt.datum.curve != "batch loss").encode(
        tooltip=[
            alt.Tooltip("curve:O", title=" "),
            alt.Tooltip("epoch:Q", format=".0f"),
            alt.Tooltip("loss:Q", format=".4f"),
        ]
    )
    labels = (
        alt.Chart()
        .transform_filter("isValid(datum.label)")
        .encode(
            x=alt.XValue("width"),
            y=alt.Y("label_loss:Q"),
            text="label:N",
            color=color,
        )
        .mark_text(**beside)
    )
    # It is not seen, and as wide as a label can be: the axis keeps its width when the labels come.
    widest = (
        alt.Chart(alt.Data(values=[{}]))
        .encode(
            x=alt.XValue("width"), y=alt.YValue(0), text=alt.TextValue("tutorial 0.0000"), opacity=alt.OpacityValue(0)
        )
        .mark_text(**beside, aria=False)
    )
    layers = [lines.mark_line(), dots.mark_point(filled=True, size=45), labels, widest]
    if changes:
        values = [{"epoch": epoch, "told": told} for epoch, told in changes]
        base = alt.Chart(alt.Data(values=values)).encode(x="epoch:Q")
        layers += [
            base.mark_rule(color=NEUTRAL_COLOR, strokeDash=[4, 4]),
            base.mark_text(color=NEUTRAL_COLOR, align="left", dx=4, baseline="top").encode(
                y=alt.YValue(0), text="told:N"
            ),
        ]
    return alt.LayerChart(layer=layers).properties(height=300).to_dict()


def accuracy_chart(epochs: pd.DataFrame, planned_epochs: int) -> LiveChart:
    """Return the test accuracy over the epochs.

    Parameters
    ----------
    epochs
        Columns epoch and test_accuracy (0 to 1).
    """
    points = epochs[["epoch", "test_accuracy"]].astype(float)
    points["written"] = points["test_accuracy"].map(percent)
    lowest = min([0.9, *points["test_accuracy"]])
    return LiveChart(points, _accuracy_spec(planned_epochs, math.floor(lowest * 10) / 10))


@lru_cache
def _accuracy_spec(planned_epochs: int, lowest: float) -> dict[str, Any]:
    base = alt.Chart().encode(
        x=_epoch_axis(planned_epochs),
        y=alt.Y(
            "test_accuracy:Q",
            title="test accuracy",
            axis=percent_axis(0, tickCount=5),
            scale=alt.Scale(domain=[lowest, 1.0]),
        ),
        tooltip=[
            alt.Tooltip("epoch:Q", format=".0f"),
            alt.Tooltip("written:N", title="test accuracy"),
        ],
    )
    line = base.mark_line(color=TEST_COLOR, strokeWidth=3)
    layers = [line, base.mark_point(color=TEST_COLOR, filled=True, size=45)]
    return alt.LayerChart(layer=layers).properties(height=220).to_dict()


def _epoch_axis(planned_epochs: int) -> alt.X:
    return alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[0, planned_epochs], nice=False),
        axis=alt.Axis(format="d", tickMinStep=1),
    )


# So many points of the curve beside a film, spread as its axis is.
_FILM_POINTS = 160
# A digit that was never given more is grey.
NAMED_FROM = 0.2


def film_chart(batches: pd.DataFrame, step: int, total_steps: int) -> LiveChart:
    """Return the batch losses over the steps, the early ones wide apart, with one moment marked.

    Parameters
    ----------
    batches
        Columns step (from 1) and loss.
    step
        The moment: so many steps are done.
    """
    ends = np.unique(np.geomspace(1, max(1, total_steps), _FILM_POINTS).round())
    groups = batches.groupby(np.searchsorted(ends, batches["step"]))
    curve = pd.DataFrame({"step": groups["step"].mean(), "loss": groups["loss"].mean().clip(lower=SMALLEST_LOSS)})
    moment = pd.DataFrame({"moment": [float(step)]})
    return LiveChart(pd.concat([curve, moment], ignore_index=True), _film_spec(total_steps))


@lru_cache
def _film_spec(total_steps: int) -> dict[str, Any]:
    line = (
        alt.Chart()
        .transform_filter("isValid(datum.loss)")
        .mark_line(color=TRAIN_COLOR, strokeWidth=2)
        .encode(
            x=_step_axis("step", total_steps),
            y=alt.Y(
                "loss:Q",
                title=None,
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(values=LOSS_TICKS[::2], format="~g"),
            ),
            tooltip=[alt.Tooltip("step:Q", format=",.0f"), alt.Tooltip("loss:Q", format=".4f")],
        )
    )
    moment = (
        alt.Chart()
        .transform_filter("isValid(datum.moment)")
        .mark_rule(color=TEST_COLOR, strokeWidth=2)
        .encode(x=_step_axis("moment", total_steps))
    )
    # In the place of a title, for which so low a chart has no room.
    name = (
        alt.Chart(alt.Data(values=[{}]))
        .encode(x=alt.XValue("width"), y=alt.YValue(0), text=alt.TextValue("batch loss"))
        .mark_text(color=TRAIN_COLOR, align="right", baseline="top", fontSize=12)
    )
    return alt.LayerChart(layer=[line, moment, name]).properties(height=100).to_dict()


def answers_chart(answers: pd.DataFrame, total_steps: int) -> LiveChart:
    """Return the ten probabilities that a network gave an image over its training.

    A digit's number stands where its probability was greatest, if that was ever above `NAMED_FROM`.

    Parameters
    ----------
    answers
        Columns step, digit and probability (0 to 1).
    """
    points = answers.assign(digit=answers["digit"].astype(str))
    greatest = points.loc[points.groupby("digit")["probability"].idxmax()]
    named = greatest[greatest["probability"] > NAMED_FROM]
    points = points.join(named["digit"].rename("label"))
    return LiveChart(points, _answers_spec(total_steps, tuple(sorted(named["digit"]))))


@lru_cache
def _answers_spec(total_steps: int, named: tuple[str, ...]) -> dict[str, Any]:
    digits = [str(digit) for digit in range(10)]
    of_digits = [*RUN_COLORS[:9], TUTORIAL_COLOR]  # the tenth of a run is the grey of what is not named here
    colors = [of_digits[int(digit)] if digit in named else NEUTRAL_COLOR for digit in digits]
    base = alt.Chart().encode(
        x=_step_axis("step", total_steps),
        y=alt.Y(
            "probability:Q", title="probability", scale=alt.Scale(domain=[0, 1.08]), axis=percent_axis(0, tickCount=3)
        ),
        color=alt.Color("digit:N", scale=alt.Scale(domain=digits, range=colors), legend=None),
    )
    lines = base.mark_line(strokeWidth=2, point={"size": 18}).encode(
        opacity=alt.condition(alt.FieldOneOfPredicate("digit", list(named)), alt.value(1.0), alt.value(0.4)),
        tooltip=[
            alt.Tooltip("step:Q", title="after step", format=",.0f"),
            alt.Tooltip("digit:N"),
            alt.Tooltip("probability:Q", format=".1%"),
        ],
    )
    names = (
        base.transform_filter("isValid(datum.label)")
        .mark_text(dy=-9, fontSize=14, fontWeight="bold")
        .encode(text="label:N")
    )
    return alt.LayerChart(layer=[lines, names]).properties(height=190).to_dict()


def _step_axis(field: str, total_steps: int) -> alt.X:
    """Return an axis for a run's steps on which 0 has a place, and the first steps have as much room as the last."""
    ticks = [0, *(10**power for power in range(7) if 10**power <= total_steps)]
    return alt.X(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(type="symlog", constant=1, domain=[0, total_steps], nice=False),
        axis=alt.Axis(values=ticks, labelExpr="datum.value ? format(datum.value, ',d') : 'step 0'"),
    )
