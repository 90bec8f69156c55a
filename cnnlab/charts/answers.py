"""What networks answer, as figures: confusion matrices, and how far stated probabilities hold."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cnnlab.charts.palette import NEUTRAL_COLOR, TEST_COLOR, TRAIN_COLOR


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

_LOWEST = 0.3  # below it, no answer of ten can lie much: it is the highest of ten probabilities


def reliability_figure(curve: pd.DataFrame, *, text_color: str) -> go.Figure:
    """Return how often answers are right, over how sure the network says it is of them.

    Parameters
    ----------
    curve
        Columns scaled, answers, stated and right, as `cnnlab.inference.calibration.Calibration.curve` has them. Ranges
        without an answer have no point.
    """
    figure = go.Figure(
        go.Scatter(
            x=[_LOWEST, 1],
            y=[_LOWEST, 1],
            mode="lines",
            name="right as often as stated",
            line={"dash": "dot", "color": NEUTRAL_COLOR},
            hoverinfo="skip",
        )
    )
    for scaled, name, color in ((False, "as it answers", TEST_COLOR), (True, "with its temperature", TRAIN_COLOR)):
        points = curve[(curve["scaled"] == scaled) & (curve["answers"] > 0)]
        figure.add_scatter(
            x=points["stated"],
            y=points["right"],
            customdata=points["answers"],
            mode="lines+markers",
            name=name,
            line={"color": color},
            marker={"size": 8},
            hovertemplate="stated %{x:.1%}, right %{y:.1%}, %{customdata:,} answers<extra>" + name + "</extra>",
        )
    axis = {"tickformat": ".0%", "fixedrange": True, "range": [_LOWEST, 1.02]}
    figure.update_layout(
        xaxis={**axis, "title": "stated probability"},
        yaxis={**axis, "title": "right answers"},
        font={"color": text_color},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "r": 10, "t": 10, "b": 45},
        height=380,
    )
    return figure
