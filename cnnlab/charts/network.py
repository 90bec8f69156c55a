"""Figures of networks: their layers as a graph, and the losses of two that should be one."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from cnnlab.charts.palette import TEST_COLOR, TRAIN_COLOR, TUTORIAL_COLOR
from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.models.layers import INPUT, Layer
from cnnlab.proof.equivalence import TrainedBoth
from cnnlab.wording import shape_text

_UNDERLYING_COLOR = "#a9bafc"


def network_graph(layers: Sequence[Layer]) -> str:
    """Return a network as a graph in Graphviz's language, with the shapes of the tensors on its arrows."""
    nodes = [f'"{INPUT}" [label="image", {_ENDS_LOOK}]']
    arrows = []
    shapes = {INPUT: IMAGE_SHAPE} | {layer.name: layer.output_shape for layer in layers}
    for layer in layers:
        told = f"{layer.kind}\\n{layer.parameters:,} parameters" if layer.parameters else layer.kind
        color = TRAIN_COLOR if layer.parameters else _PLAIN_LAYER_COLOR
        nodes.append(f'"{layer.name}" [label="{told}", fillcolor="{color}"]')
        arrows += [f'"{source}" -> "{layer.name}" [label="  {shape_text(shapes[source])}"]' for source in layer.inputs]
    last = layers[-1].name
    nodes.append(f'"the logits" [label="{shape_text(shapes[last])} logits", {_ENDS_LOOK}]')
    arrows.append(f'"{last}" -> "the logits"')
    return "\n".join(["digraph {", _GRAPH_LOOK, *nodes, *arrows, "}"])


# Graphviz knows no theme: the colours must do on a light and on a dark background.
_PLAIN_LAYER_COLOR = "#5d6679"
_ENDS_LOOK = f'shape=plaintext, style="", fontcolor="{TUTORIAL_COLOR}"'
_GRAPH_LOOK = f"""
bgcolor="transparent"; ranksep=0.16; nodesep=0.3;
node [shape=box, style="rounded,filled", color="transparent", fontcolor="white", fontname="sans-serif", fontsize=12,
      height=0.3, margin="0.14,0.04"];
edge [color="{TUTORIAL_COLOR}", fontcolor="{TUTORIAL_COLOR}", fontname="sans-serif", fontsize=11, arrowsize=0.6];
"""


def equivalence_chart(trainings: Sequence[TrainedBoth], curves: Sequence[str], steps: int) -> alt.LayerChart:
    """Return the losses of the first steps of networks that were compared, each curve drawn upon the one before it.

    Parameters
    ----------
    trainings
        What is known so far.
    curves
        The titles of all that will be drawn, so that nothing moves when they arrive. The first one is drawn broad, so
        that it shows on both sides of one that lies upon it.
    steps
        How many there will be.
    """
    losses: dict[str, list[float]] = {}
    for trained in trainings:
        losses.setdefault(trained.first, trained.first_losses)
        losses.setdefault(trained.second, trained.second_losses)
    points = pd.DataFrame(
        [(title, step, loss) for title, of_it in losses.items() for step, loss in enumerate(of_it, start=1)],
        columns=["curve", "step", "loss"],
    ).astype({"curve": str, "step": float, "loss": float})
    base = alt.Chart(points).encode(
        x=alt.X("step:Q", scale=alt.Scale(domain=[1, max(2, steps)], nice=False)),
        y=alt.Y("loss:Q", title="batch loss", scale=alt.Scale(domain=alt.DomainUnionWith(unionWith=[0, 2.5]))),
        color=alt.Color(
            "curve:O",
            scale=alt.Scale(domain=list(curves), range=[_UNDERLYING_COLOR, TRAIN_COLOR, TEST_COLOR]),
            legend=alt.Legend(
                orient="bottom", title=None, columns=1, symbolType="stroke", symbolSize=300, labelLimit=0
            ),
        ),
    )
    widths = alt.Scale(type="ordinal", domain=list(curves), range=[7, 2, 2])
    lines = base.mark_line(strokeJoin="round").encode(strokeWidth=alt.StrokeWidth("curve:O", scale=widths))
    dots = base.mark_circle(size=80, opacity=0).encode(
        tooltip=[
            alt.Tooltip("curve:O", title=" "),
            alt.Tooltip("step:Q", format=".0f"),
            alt.Tooltip("loss:Q", format=".4f"),
        ]
    )
    return alt.LayerChart(layer=[lines, dots]).properties(height=380)
