"""Figures of sweeps."""

from typing import Any

import altair as alt
import pandas as pd

from cnnlab.charts.palette import TEST_COLOR, TRAIN_COLOR, percent_axis
from cnnlab.training.recipe import SETTINGS
from cnnlab.wording import percent, percent_range

# What a figure calls the cell, or the value, that is clicked.
CELL = "cell"
_TITLES = {"model": "Definition", "pen_accuracy": "Accuracy on people's digits"}
# Numbers of which the greatest is so many times the least are drawn on a logarithmic axis.
_SPREAD = 8
# Below this, a point stands at the lower end of the axis.
_LEARNED = 0.5


def heat_map(table: pd.DataFrame, rows: str, columns: str, accuracy: str, *, text_color: str) -> alt.LayerChart:
    """Return the accuracy over two settings as a chart whose cells can be clicked.

    Parameters
    ----------
    table
        As `Sweep.table` returns it. Runs that share both settings are one cell, with their mean.
    rows, columns
        Two of its settings.
    accuracy
        Its column that is shown.
    text_color
        Of the numbers in the cells, which let the page shine through.
    """
    told = table.dropna(subset=[accuracy])
    means = told.groupby([rows, columns], as_index=False, sort=True).agg(
        **{accuracy: (accuracy, "mean"), "runs": ("run", "size")}
    )
    means["written"] = means[accuracy].map(percent)
    cell = alt.selection_point(name=CELL, fields=[rows, columns])
    base = alt.Chart(means).encode(
        x=alt.X(f"{columns}:O", title=title_of(columns), axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{rows}:O", title=title_of(rows)),
        tooltip=[
            alt.Tooltip(f"{rows}:N", title=title_of(rows)),
            alt.Tooltip(f"{columns}:N", title=title_of(columns)),
            alt.Tooltip("written:N", title=title_of(accuracy)),
            alt.Tooltip("runs:Q", title="Runs"),
        ],
    )
    colors = alt.Scale(range=["#4f74ee22", "#4f74eecc"], zero=False)
    squares = base.mark_rect(stroke="#8888", cursor="pointer").encode(
        color=alt.Color(f"{accuracy}:Q", scale=colors, legend=None)
    )
    numbers = base.mark_text(fontSize=13, color=text_color).encode(text="written:N")
    height = 46 * means[rows].nunique() + 110  # the axis below, with its title, has the rest
    return alt.LayerChart(layer=[squares.add_params(cell), numbers]).properties(height=height)


def means_chart(means: pd.DataFrame, runs: pd.DataFrame, setting: str, accuracy: str) -> alt.LayerChart:
    """Return the mean accuracy over the values of a setting, with its interval and each run; a value can be clicked.

    Parameters
    ----------
    means
        A row for each value: the setting, mean, and low and high, the ends of the mean's interval, or missing.
    runs
        A row for each run: the setting and the accuracy.
    setting, accuracy
        The columns.
    """
    means = means.sort_values(setting)
    means = means.assign(
        written=means["mean"].map(percent),
        interval=[
            percent_range(low, high) if low == low else "one seed"
            for low, high in zip(means["low"], means["high"], strict=True)
        ],
    )
    x = _axis_of(setting, means[setting])
    # An interval of two seeds can be wider than all there is to see, and a run that learned nothing far below it.
    learned = runs[accuracy][runs[accuracy] > _LEARNED]
    lowest, highest = (learned if len(learned) else runs[accuracy]).agg(["min", "max"])
    room = max(0.002, 0.25 * (highest - lowest))
    scale = alt.Scale(domain=[max(0.0, lowest - room), min(1.0, highest + room)], nice=False, clamp=True)
    value = alt.selection_point(name=CELL, fields=[setting])
    axis = percent_axis(1 if highest - lowest > 0.02 else 2, tickCount=6)
    y = alt.Y("mean:Q", title=title_of(accuracy).lower(), scale=scale, axis=axis)
    base = alt.Chart(means).encode(x=x)
    tooltip = [
        alt.Tooltip(f"{setting}:N", title=title_of(setting)),
        alt.Tooltip("written:N", title="mean"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("runs:Q", title="runs"),
    ]
    layers = [
        base.mark_rule(color=TRAIN_COLOR, strokeWidth=3, opacity=0.45).encode(
            y=alt.Y("low:Q", scale=scale), y2="high:Q"
        ),
        base.mark_line(color=TRAIN_COLOR, strokeWidth=1.5, opacity=0.5).encode(y=y),
        base.mark_point(color=TRAIN_COLOR, filled=True, size=160, opacity=1, cursor="pointer")
        .encode(y=y, tooltip=tooltip)
        .add_params(value),
        alt.Chart(runs)
        .mark_point(color=TEST_COLOR, size=30, opacity=0.9, strokeWidth=1.5)
        .encode(x=x, y=alt.Y(f"{accuracy}:Q", scale=scale)),
    ]
    if x["shorthand"].endswith(":N"):
        del layers[1]  # names have no order that a line could follow
    return alt.LayerChart(layer=layers).properties(height=300)


def is_spread(values: pd.Series) -> bool:
    """Return whether numbers are spread over orders of magnitude, as a logarithmic axis shows them."""
    numbers = pd.to_numeric(values, errors="coerce")
    return bool(numbers.notna().all() and numbers.min() > 0 and numbers.max() / numbers.min() >= _SPREAD)


def _axis_of(setting: str, values: pd.Series) -> alt.X:
    if values.map(lambda value: isinstance(value, bool | str)).any():
        return alt.X(f"{setting}:N", title=title_of(setting), axis=alt.Axis(labelAngle=0))
    ticks: dict[str, Any] = {"values": sorted(values.unique())} if values.nunique() <= 12 else {}
    scale = alt.Scale(type="log" if is_spread(values) else "linear", zero=False, nice=False, padding=30)
    return alt.X(f"{setting}:Q", title=title_of(setting), scale=scale, axis=alt.Axis(format="~g", **ticks))


def title_of(name: str) -> str:
    """Return what people call a setting, or another column of a sweep's table."""
    if name in _TITLES:
        return _TITLES[name]
    return SETTINGS[name].label if name in SETTINGS else name.replace("_", " ").capitalize()
