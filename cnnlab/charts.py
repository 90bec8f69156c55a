"""Figures from data frames and arrays.

Live curves are Altair's: Streamlit changes their data in place, where it draws a new Plotly figure for each update.
"""

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import plotly.graph_objects as go

# Clear on a light and on a dark background.
TRAIN_COLOR = "#4f74ee"
TEST_COLOR = "#e8833a"
TUTORIAL_COLOR = "#8d95a6"

BATCH_POINTS = 1_000
# A logarithmic axis has no place for a loss of 0, which a very small batch can reach.
SMALLEST_LOSS = 1e-6
# The axis holds them from the start, so that it need not move when the first losses arrive.
_USUAL_LOSSES = [0.01, 10.0]
_LOSS_TICKS = [digit * 10.0**power for power in range(-6, 13) for digit in (1, 3)]


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


def loss_chart(
    batches: pd.DataFrame,
    epochs: pd.DataFrame,
    tutorial_losses: tuple[float, ...],
    *,
    steps_per_epoch: int,
    total_steps: int,
) -> alt.LayerChart:
    """Return the losses over the epochs: by batch (faint), by epoch (bold), on the test set, and the tutorial's.

    Parameters
    ----------
    batches
        Columns step and loss.
    epochs
        Columns epoch, train_loss and test_loss.
    tutorial_losses
        One for each epoch; may be empty.
    """
    planned_epochs = total_steps // steps_per_epoch
    tutorial = list(tutorial_losses[:planned_epochs])
    curves = {
        "batch loss": batch_curve(batches, steps_per_epoch, total_steps),
        "train loss": epochs[["epoch", "train_loss"]].rename(columns={"train_loss": "loss"}),
        "test loss": epochs[["epoch", "test_loss"]].rename(columns={"test_loss": "loss"}),
        "tutorial": pd.DataFrame({"epoch": range(1, len(tutorial) + 1), "loss": tutorial}),
    }
    names = [name for name in curves if tutorial or name != "tutorial"]
    points = pd.concat([curves[name].assign(curve=name) for name in names]).astype({"epoch": float, "loss": float})
    points["loss"] = points["loss"].clip(lower=SMALLEST_LOSS)

    def by_curve(*values: Any) -> alt.Scale:
        # Said to be ordinal: Vega-Lite would spread opacities and widths evenly between the first and the last.
        return alt.Scale(type="ordinal", domain=names, range=list(values[: len(names)]))

    lines = alt.Chart(points).encode(
        x=_epoch_axis(planned_epochs),
        y=alt.Y(
            "loss:Q",
            title="loss (cross entropy)",
            scale=alt.Scale(type="log", nice=True, domain=alt.DomainUnionWith(unionWith=_USUAL_LOSSES)),
            axis=alt.Axis(values=_LOSS_TICKS, format="~g"),
        ),
        color=alt.Color(
            "curve:O",
            scale=by_curve(TRAIN_COLOR, TRAIN_COLOR, TEST_COLOR, TUTORIAL_COLOR),
            legend=alt.Legend(orient="bottom", title=None, columns=2, symbolType="stroke", symbolSize=300),
        ),
        opacity=alt.Opacity("curve:O", scale=by_curve(0.4, 1.0, 1.0, 1.0)),
        strokeWidth=alt.StrokeWidth("curve:O", scale=by_curve(1.0, 3.0, 2.0, 2.0)),
        strokeDash=alt.StrokeDash("curve:O", scale=by_curve([1, 0], [1, 0], [1, 0], [2, 4])),
    )
    dots = lines.transform_filter(alt.datum.curve != "batch loss").encode(
        tooltip=[
            alt.Tooltip("curve:O", title=" "),
            alt.Tooltip("epoch:Q", format=".0f"),
            alt.Tooltip("loss:Q", format=".4f"),
        ]
    )
    return alt.LayerChart(layer=[lines.mark_line(), dots.mark_point(filled=True, size=45)]).properties(height=380)


def accuracy_chart(epochs: pd.DataFrame, planned_epochs: int) -> alt.LayerChart:
    """Return the test accuracy over the epochs.

    Parameters
    ----------
    epochs
        Columns epoch and test_accuracy (0 to 1).
    """
    points = epochs[["epoch", "test_accuracy"]].astype(float)
    lowest = min([0.9, *points["test_accuracy"]])
    base = alt.Chart(points).encode(
        x=_epoch_axis(planned_epochs),
        y=alt.Y(
            "test_accuracy:Q",
            title="test accuracy",
            axis=alt.Axis(format=".0%", tickCount=5),
            scale=alt.Scale(domain=[math.floor(lowest * 10) / 10, 1.0]),
        ),
        tooltip=[
            alt.Tooltip("epoch:Q", format=".0f"),
            alt.Tooltip("test_accuracy:Q", title="test accuracy", format=".2%"),
        ],
    )
    line = base.mark_line(color=TEST_COLOR, strokeWidth=3)
    return alt.LayerChart(layer=[line, base.mark_point(color=TEST_COLOR, filled=True, size=45)]).properties(height=220)


def _epoch_axis(planned_epochs: int) -> alt.X:
    return alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[0, planned_epochs], nice=False),
        axis=alt.Axis(format="d", tickMinStep=1),
    )


# Told apart by most people, with and without full colour vision, on light and dark: ten, after which they are dashed.
RUN_COLORS = [
    "#4f74ee",
    "#e8833a",
    "#2ba37a",
    "#d64f7f",
    "#8f6fe0",
    "#b08d2e",
    "#27a3c4",
    "#c0504d",
    "#7a9a3c",
    "#8d95a6",
]
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


def hover_table(points: pd.DataFrame, value_format: str) -> pd.DataFrame:
    """Return what all curves show at the same places, for one tooltip.

    Parameters
    ----------
    points
        Columns label, x and value.
    value_format
        How a value is written.

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
    for label, own in points.groupby("label", sort=False):
        found = np.searchsorted(own["x"], places, side="right") - 1
        has_value = (found >= 0) & (places <= own["x"].max())
        values = own["value"].to_numpy()[found]
        table[label] = [
            format(value, value_format) if is_there else "–" for value, is_there in zip(values, has_value, strict=True)
        ]
    return table


def comparison_chart(
    points: pd.DataFrame, labels: list[str], measure: str, axis: str, *, end: float | None, is_logarithmic: bool
) -> alt.LayerChart:
    """Return the curves of several runs over each other.

    A click on an entry of the legend hides its curve; the tooltip tells of all curves.

    Parameters
    ----------
    points
        Columns label, x, value, low and high, as `cnnlab.comparison.curves` makes them.
    labels
        The curves in their order. The first is drawn the widest, so that one that lies on it does not cover it.
    measure, axis
        What the values and the places are.
    end
        Where the longest curve will end, so that the axis need not move while runs train; None if nobody knows.
    """
    is_accuracy = measure == "test_accuracy"
    number_format = ".2%" if is_accuracy else ".4f"
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
    widths = [max(1.5, 6.0 - 4.5 * index / max(1, len(labels) - 1)) for index in range(len(labels))]
    places = alt.Scale(nice=False, domain=[0, end]) if end else alt.Scale(nice=False, zero=True)
    x = alt.X("x:Q", title=_AXIS_TITLES[axis], scale=places, axis=alt.Axis(tickMinStep=1, format="~s"))
    usual = alt.DomainUnionWith(unionWith=_USUAL_VALUES[measure])
    scale = alt.Scale(type="log" if is_logarithmic else "linear", zero=False, nice=True, domain=usual)
    if is_accuracy:
        ticks = alt.Axis(format=".1%")
    elif is_logarithmic:
        ticks = alt.Axis(values=_LOSS_TICKS, format="~g")
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
    pointer = (
        alt.Chart(hover_table(points.dropna(), number_format).rename(columns=names))
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
    layers = [band, lines.add_params(hidden), pointer.add_params(at_pointer)]
    return alt.LayerChart(layer=layers).properties(height=420)


def confusion_figure(matrix: np.ndarray, highest: int, *, text_color: str, is_difference: bool = False) -> go.Figure:
    """Return a confusion matrix as a figure whose cells can be clicked.

    Parameters
    ----------
    matrix
        Shape (10, 10): how often each digit (row) was answered with each digit (column), or the difference of two such.
    highest
        The number of errors in a cell that gets the strongest colour. Right answers, on the diagonal, have no colour:
        there are so many that no error would be seen beside them.
    is_difference
        Whether the numbers can be negative, and the diagonal counts.
    """
    errors = np.where(np.eye(len(matrix), dtype=bool) & (not is_difference), np.nan, matrix.astype(float))
    digits = list(range(len(matrix)))
    number = "+d" if is_difference else "d"
    figure = go.Figure(
        go.Heatmap(
            z=errors,
            zmin=-highest if is_difference else 0,
            zmax=highest,
            colorscale=_DIFFERENCE_COLORS if is_difference else _ERROR_COLORS,
            showscale=False,
            xgap=1,
            ygap=1,
            hoverinfo="skip",
        )
    )
    # Streamlit tells of clicks on points, not of those on a heat map: each cell has one, with its number.
    cells = list(np.ndenumerate(matrix))
    figure.add_scatter(
        x=[answer for (_, answer), _ in cells],
        y=[digit for (digit, _), _ in cells],
        mode="markers+text",
        marker={"symbol": "square", "size": 26, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}, "textfont": {"color": text_color}},
        text=[format(count, number) if count else "" for _, count in cells],
        textfont={"size": 11, "color": text_color},
        customdata=[f"{count:{number}} × {digit} answered as {answer}" for (digit, answer), count in cells],
        hovertemplate="%{customdata}<extra></extra>",
    )
    axis = {"tickvals": digits, "showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_layout(
        xaxis={**axis, "title": "answer", "side": "top", "range": [-0.5, 9.5]},
        yaxis={**axis, "title": "digit", "range": [9.5, -0.5]},
        margin={"l": 40, "r": 5, "t": 45, "b": 5},
        height=370,
        showlegend=False,
        dragmode=False,
        clickmode="event+select",
    )
    return figure


# From nothing, which shows the page, to a colour on which dark and light numbers can both be read.
_ERROR_COLORS = [[0, "rgba(232,131,58,0.05)"], [1, "rgba(232,131,58,0.75)"]]
_DIFFERENCE_COLORS = [[0, "rgba(79,116,238,0.75)"], [0.5, "rgba(140,140,140,0.05)"], [1, "rgba(232,131,58,0.75)"]]
