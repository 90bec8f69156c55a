"""Figures of sweeps."""

import altair as alt
import pandas as pd
import plotly.graph_objects as go

from cnnlab.training.recipe import SETTINGS
from cnnlab.wording import percent

# What a figure calls the cell that is clicked.
CELL = "cell"


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


def parallel_coordinates(table: pd.DataFrame, settings: list[str], accuracy: str) -> go.Figure:
    """Return a line for each run through its settings to its accuracy, which also colours it.

    Parameters
    ----------
    table
        As `Sweep.table` returns it.
    settings
        Some of its settings, in the order of the axes.
    accuracy
        Its column that is shown.
    """
    told = table.dropna(subset=[accuracy])
    accuracies = told[accuracy] * 100
    axes = [_axis(title_of(name), told[name]) for name in settings]
    figure = go.Figure(
        go.Parcoords(
            line={"color": accuracies, "colorscale": [[0, "#e8833a"], [1, "#4f74ee"]]},
            dimensions=[*axes, {"label": f"{title_of(accuracy)} (%)", "values": accuracies}],
        )
    )
    return figure.update_layout(height=340, margin={"l": 70, "r": 50, "t": 60, "b": 30})


def _axis(label: str, values: pd.Series) -> dict[str, object]:
    """Return an axis on which each value has a tick: at its number, or, where numbers differ by far, at its rank."""
    ranked = sorted(values.unique(), key=lambda value: (str(type(value)), value))
    ranks = {value: rank for rank, value in enumerate(ranked)}
    return {
        "label": label,
        "values": values.map(ranks),
        "tickvals": list(ranks.values()),
        "ticktext": [f"{value:g}" if isinstance(value, float) else str(value) for value in ranked],
    }


def title_of(name: str) -> str:
    """Return what people call a setting."""
    if name == "model":
        return "Definition"
    return SETTINGS[name].label if name in SETTINGS else name.replace("_", " ").capitalize()
