"""How far stated probabilities hold, as a figure."""

import pandas as pd
import plotly.graph_objects as go

from cnnlab.charts.palette import TEST_COLOR, TRAIN_COLOR

_AS_STATED = "#8d95a6"
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
            line={"dash": "dot", "color": _AS_STATED},
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
