"""Charts of one training step: the losses up to it, those of its images, and the loss along its way.

They are written in Vega-Lite's language: each changes with every step that somebody takes, and Altair takes 50 ms to
make one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cnnlab.charts.palette import NEUTRAL_COLOR, TEST_COLOR, TRAIN_COLOR
from cnnlab.charts.run import LiveChart

_MOST_POINTS = 400


def losses_until(losses: Sequence[float]) -> LiveChart:
    """Return the batch losses of the steps up to one, which is marked.

    Parameters
    ----------
    losses
        From the first step to the one that is looked at; there is at least one.
    """
    places = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), _MOST_POINTS)).round().astype(int))
    points = pd.DataFrame({"step": places + 1, "loss": [losses[place] for place in places]})
    points["is_last"] = points["step"] == len(losses)
    x = {
        "field": "step",
        "type": "quantitative",
        "scale": {"nice": False, "domain": [1, max(10, len(losses))]},
        "axis": {"format": "d", "tickMinStep": 1, "tickCount": 5, "title": "step"},
    }
    y = {"field": "loss", "type": "quantitative", "title": "batch loss", "axis": {"tickCount": 3}}
    tooltip = [{"field": "step", "type": "quantitative"}, {"field": "loss", "type": "quantitative", "format": ".4f"}]
    spec: dict[str, Any] = {
        "height": 170,
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "line", "color": TRAIN_COLOR, "strokeWidth": 1.5}},
            {
                "transform": [{"filter": "datum.is_last"}],
                "mark": {"type": "point", "color": TEST_COLOR, "filled": True, "size": 70, "opacity": 1},
                "encoding": {"tooltip": tooltip},
            },
        ],
    }
    return LiveChart(points, spec)


def losses_of_images(losses: np.ndarray, chosen: int) -> LiveChart:
    """Return the losses of a batch's images, the largest first, their mean as a line, and one of them marked.

    Parameters
    ----------
    losses
        Shape (N,), in nats.
    chosen
        The image that is marked.
    """
    order = np.argsort(-losses, kind="stable")
    points = pd.DataFrame({"place": range(1, len(order) + 1), "image": order + 1, "loss": losses[order]})
    points["kind"] = np.where(order == chosen, "chosen", "other")
    mean = [{"mean": float(losses.mean())}]
    spec: dict[str, Any] = {
        "height": 200,
        "encoding": {"y": {"field": "loss", "type": "quantitative", "title": "loss of an image"}},
        "layer": [
            {
                "mark": {"type": "bar", "binSpacing": 0},
                "encoding": {
                    "x": {
                        "field": "place",
                        "type": "ordinal",
                        "axis": {"labels": False, "ticks": False},
                        "title": None,
                    },
                    "color": {
                        "field": "kind",
                        "scale": {"domain": ["chosen", "other"], "range": [TEST_COLOR, TRAIN_COLOR]},
                        "legend": None,
                    },
                    "tooltip": [
                        {"field": "image", "type": "quantitative", "title": "image of the batch"},
                        {"field": "loss", "type": "quantitative", "format": ".4f"},
                    ],
                },
            },
            {
                "data": {"values": mean},
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": TEST_COLOR, "strokeWidth": 2},
                "encoding": {"y": {"field": "mean", "type": "quantitative"}},
            },
        ],
    }
    return LiveChart(points, spec)


def loss_along(
    learning_rate: float, shares: Sequence[float], losses: Sequence[float], other: tuple[float, float] | None = None
) -> LiveChart:
    """Return the batch's loss along a step: before it at 0, after it at 1, and beyond.

    Parameters
    ----------
    learning_rate
        Of the step.
    shares, losses
        How far along, in such steps, and the loss there.
    other
        The same of the step that somebody asks about, with another learning rate.
    """
    points = pd.DataFrame({"share": shares, "loss": losses, "kind": "line"})
    ends = points[points["share"].isin([0, 1])].assign(kind=lambda table: table["share"].map({0: "before", 1: "after"}))
    asked = pd.DataFrame([{"share": other[0], "loss": other[1], "kind": "other"}] if other else [])
    everything = pd.concat([points, ends, asked]).reset_index(drop=True)
    finite = everything["loss"][np.isfinite(everything["loss"])]
    is_wide = finite.max() > 20 * max(finite.min(), 1e-6)
    ticks = [learning_rate * share for share in (0, 0.25, 0.5, 1, 2, 4, *(10**power for power in range(1, 7)))]
    axis = {"values": ticks, "format": "~g", "labelOverlap": True}
    # So that a step of a hundred times the length is seen beside this one.
    scale = {"type": "symlog", "constant": learning_rate / 2}
    everything["learning_rate"] = learning_rate * everything["share"]
    x = {"field": "learning_rate", "type": "quantitative", "title": "learning rate", "axis": axis, "scale": scale}
    y = {
        "field": "loss",
        "type": "quantitative",
        "title": "loss of the batch",
        "scale": {"type": "log"} if is_wide else {"zero": False},
        "axis": {"tickCount": 4, "format": "~g"},
    }
    kinds = {"domain": ["before", "after", "other"], "range": [NEUTRAL_COLOR, TRAIN_COLOR, TEST_COLOR]}
    spec: dict[str, Any] = {
        "height": 200,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.kind == 'line' || datum.kind == 'other'"}],
                "mark": {
                    "type": "line",
                    "color": NEUTRAL_COLOR,
                    "strokeWidth": 2,
                    "point": {"color": NEUTRAL_COLOR, "size": 25},
                },
            },
            {
                "transform": [{"filter": "datum.kind != 'line'"}],
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {
                    "color": {"field": "kind", "scale": kinds, "legend": None},
                    "tooltip": [
                        {"field": "kind", "type": "nominal", "title": " "},
                        {"field": "learning_rate", "type": "quantitative", "title": "learning rate", "format": ".4~g"},
                        {"field": "loss", "type": "quantitative", "format": ".4~g"},
                    ],
                },
            },
        ],
    }
    return LiveChart(everything, spec)
