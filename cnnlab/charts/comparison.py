"""The curves of several runs in one chart."""

from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cnnlab.charts.palette import LOSS_TICKS, RUN_COLORS, SMALLEST_LOSS, TUTORIAL_COLOR, percent_axis
from cnnlab.wording import percent

_MEASURE_TITLES = {
    "train_loss": "train loss (cross entropy)",
    "test_loss": "test loss (cross entropy)",
    "test_accuracy": "test accuracy",
    "batch_loss": "batch loss (cross entropy)",
}
# The axis holds them from the start.
_USUAL_VALUES = {
    "train_loss": [0.03, 0.3],
    "test_loss": [0.03, 0.3],
    "test_accuracy": [0.96, 1.0],
    "batch_loss": [0.03, 3.0],
}
_AXIS_TITLES = {"epoch": "epoch", "step": "step", "seconds": "seconds of training"}
_HOVER_PLACES = 150
_HEIGHT = 330  # with all above it, the chart stands on the first screen of a laptop


def hover_table(points: pd.DataFrame, written: Callable[[float], str]) -> pd.DataFrame:
    """Return the values of all curves at common places, for a shared tooltip.

    Parameters
    ----------
    points
        Columns label, x and value.
    written
        Returns a value as text.

    Returns
    -------
    DataFrame
        Column x, and one for each label with the curve's value there, or the newest one before, as text; a dash where a
        curve has not begun or has ended.
    """
    places = np.unique(points["x"])
    if len(places) > _HOVER_PLACES:
        places = np.linspace(places[0], places[-1], _HOVER_PLACES)
    table = pd.DataFrame({"x": places})
    for label, own in points.groupby("label"):
        found = np.searchsorted(own["x"], places, side="right") - 1
        has_value = (found >= 0) & (places <= own["x"].max())
        values = own["value"].to_numpy()[found]
        table[label] = [written(value) if is_there else "–" for value, is_there in zip(values, has_value, strict=True)]
    return table


def comparison_chart(
    points: pd.DataFrame,
    labels: list[str],
    measure: str,
    axis: str,
    *,
    end: float | None,
    is_logarithmic: bool,
    references: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Return the curves of several runs over each other.

    A click on an entry of the legend hides its curve; the tooltip tells of all curves.

    Parameters
    ----------
    points
        Columns label, x, value, low and high, as `cnnlab.comparison.curves.curves` makes them.
    labels
        The curves in their order. The first is drawn the widest, so that one that lies on it does not cover it.
    measure, axis
        What the values and the places are.
    end
        Where the longest curve will end, so that the axis need not move while runs train; None if nobody knows.
    references
        Curves to hold the others against, with their names at their ends; columns label, x and value.
    """
    is_accuracy = measure == "test_accuracy"
    if is_logarithmic:
        points = points.assign(**{name: points[name].clip(lower=SMALLEST_LOSS) for name in ("value", "low", "high")})
    # Vega draws the curves in the order in which they first have a point, whichever run is the first to have one.
    points = pd.concat([pd.DataFrame({"label": labels}), points])
    # A label may hold what Vega takes for syntax.
    names = {label: f"curve{index}" for index, label in enumerate(labels)}

    def by_curve(values: list[Any]) -> alt.Scale:
        return alt.Scale(type="ordinal", domain=labels, range=[values[i % len(values)] for i in range(len(labels))])

    hidden = alt.selection_point(name="hidden", fields=["label"], bind="legend", toggle="true", empty=False)
    at_pointer = alt.selection_point(
        name="at_pointer", fields=["x"], nearest=True, on="pointermove", clear="pointerout", empty=False
    )
    widths = [6.0 - 4.5 * index / max(1, len(labels) - 1) for index in range(len(labels))]
    places = alt.Scale(nice=False, domain=[0, end]) if end else alt.Scale(nice=False, zero=True)
    x = alt.X("x:Q", title=_AXIS_TITLES[axis], scale=places, axis=alt.Axis(tickMinStep=1, format="~s"))
    usual = alt.DomainUnionWith(unionWith=_USUAL_VALUES[measure])
    scale = alt.Scale(type="log" if is_logarithmic else "linear", zero=False, nice=True, domain=usual)
    if is_accuracy:
        ticks = percent_axis(1)
    elif is_logarithmic:
        ticks = alt.Axis(values=LOSS_TICKS, format="~g")
    else:
        ticks = alt.Axis()
    y = alt.Y("value:Q", title=_MEASURE_TITLES[measure], scale=scale, axis=ticks)
    color = alt.Color(
        "label:N",
        scale=by_curve(RUN_COLORS),
        legend=alt.Legend(
            orient="bottom", title=None, columns=2, symbolType="stroke", symbolSize=300, symbolOpacity=1, labelLimit=420
        ),
    )
    base = alt.Chart(points).encode(x=x, color=color)
    band = base.mark_area().encode(
        y=alt.Y("low:Q", scale=scale), y2="high:Q", opacity=alt.condition(hidden, alt.value(0.0), alt.value(0.18))
    )
    lines = base.encode(
        y=y,
        strokeWidth=alt.StrokeWidth("label:N", scale=by_curve(widths), legend=None),
        strokeDash=alt.StrokeDash(
            "label:N", scale=by_curve([[1, 0]] * len(RUN_COLORS) + [[5, 3]] * len(RUN_COLORS)), legend=None
        ),
        opacity=alt.condition(hidden, alt.value(0.0), alt.value(1.0)),
    ).mark_line()
    # A curve of one epoch would be nothing without its point.
    dots = base.encode(y=y, opacity=alt.condition(hidden, alt.value(0.0), alt.value(1.0))).mark_point(
        filled=True, size=0 if measure == "batch_loss" else 60
    )
    pointer = (
        alt.Chart(hover_table(points.dropna(), percent if is_accuracy else "{:.4f}".format).rename(columns=names))
        .mark_rule()
        .encode(
            x=x,
            opacity=alt.condition(at_pointer, alt.value(0.4), alt.value(0.0)),
            tooltip=[
                alt.Tooltip("x:Q", title=_AXIS_TITLES[axis], format=".4~g"),
                *(alt.Tooltip(f"{name}:N", title=label) for label, name in names.items()),
            ],
        )
    )
    layers = [band, lines.add_params(hidden), dots, pointer.add_params(at_pointer)]
    if references is not None and len(references):
        layers += _reference_layers(references, x, scale)
    return alt.LayerChart(layer=layers).properties(height=_HEIGHT)


def _reference_layers(references: pd.DataFrame, x: alt.X, scale: alt.Scale) -> list[alt.Chart]:
    """Return dotted grey lines, each with a name at its end: the first below its line, the others above."""
    line = (
        alt.Chart(references)
        .mark_line(color=TUTORIAL_COLOR, strokeWidth=2, strokeDash=[2, 3])
        .encode(x=x, y=alt.Y("value:Q", scale=scale), detail="label:N")
    )
    ends = references.groupby("label").tail(1).sort_values("value")
    texts = [
        alt.Chart(ends[place : place + 1])
        .mark_text(color=TUTORIAL_COLOR, align="right", dx=-4, dy=14 if place == 0 else -14, fontSize=12)
        .encode(x=x, y=alt.Y("value:Q", scale=scale), text="label:N")
        for place in range(len(ends))
    ]
    return [line, *texts]
