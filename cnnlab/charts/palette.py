"""Colours and axes that the charts share."""

from typing import Any

import altair as alt

# Clear on a light and on a dark background.
TRAIN_COLOR = "#4f74ee"
TEST_COLOR = "#e8833a"
TUTORIAL_COLOR = "#c2559f"
NEUTRAL_COLOR = "#8d95a6"
# A logarithmic axis has no place for a loss of 0, which a very small batch can reach.
SMALLEST_LOSS = 1e-6
LOSS_TICKS = [digit * 10.0**power for power in range(-6, 13) for digit in (1, 3)]


def percent_axis(decimals: int, **details: Any) -> alt.Axis:
    """Return an axis for shares from 0 to 1, which is labelled as the pages write them: 98 %."""
    return alt.Axis(labelExpr=f"format(100 * datum.value, '.{decimals}f') + ' %'", **details)


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
    NEUTRAL_COLOR,
]
