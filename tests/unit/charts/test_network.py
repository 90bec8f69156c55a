import math

import pytest

from cnnlab.charts.network import equivalence_chart, network_graph
from cnnlab.charts.palette import TRAIN_COLOR
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.layers import layers_of_definition
from cnnlab.proof.equivalence import TrainedBoth

PROVED = [
    TrainedBoth("A", "B", 0, False, [2.3, 2.2], [2.3, 2.2], None),
    TrainedBoth("B", "C", 0, False, [2.3, 2.2], [2.2, 2.1], 1),
]


def test_the_graph_has_shapes_on_its_arrows_and_the_way_round_the_branch():
    lines = network_graph(layers_of_definition(DEFINITIONS["residual"])).splitlines()
    assert '"the image" -> "conv1" [label="  1 × 28 × 28"]' in lines
    assert '"max_pool2d" -> "branch" [label="  8 × 13 × 13"]' in lines
    assert '"max_pool2d" -> "add" [label="  8 × 13 × 13"]' in lines
    assert any(line.startswith('"the logits" [label="10 logits"') for line in lines)
    assert [line for line in lines if line.endswith('-> "the logits"')] == ['"fc3" -> "the logits"']


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_losses_of_the_proof_are_drawn_on_axes_that_stay(count):
    chart = equivalence_chart(PROVED[:count], ["A", "B", "C"], steps=2).to_dict()
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == [1, 2]
    assert chart["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["A", "B", "C"]
    (rows,) = chart["datasets"].values()
    assert [row["curve"] for row in rows] == ["A", "A", "B", "B", "C", "C"][: 0 if count == 0 else 2 + 2 * count]
    assert {row["step"] for row in rows} == ({1, 2} if count else set())


def test_a_layer_with_weights_says_how_many_and_has_a_colour_of_its_own():
    lines = network_graph(layers_of_definition(DEFINITIONS["sequential"])).splitlines()
    with_weights, without = (next(line for line in lines if kind in line) for kind in ("Conv2d", "ReLU"))
    assert "\\n80 parameters" in with_weights
    assert "parameters" not in without
    colors = [line.partition("fillcolor=")[2] for line in (with_weights, without)]
    assert colors[0] == f'"{TRAIN_COLOR}"]' != colors[1]


def test_the_first_curve_is_so_broad_that_it_shows_on_both_sides_of_one_upon_it():
    lines, _ = equivalence_chart(PROVED, ["A", "B", "C"], steps=2).to_dict()["layer"]
    first, *others = lines["encoding"]["strokeWidth"]["scale"]["range"]
    assert all(first >= 3 * other for other in others)
    assert len(set(others)) == 1
    assert len(set(lines["encoding"]["color"]["scale"]["range"])) == 3


def test_the_losses_of_a_step_are_told_where_they_are_and_nothing_more_is_seen_there():
    _, dots = equivalence_chart(PROVED, ["A", "B", "C"], steps=2).to_dict()["layer"]
    assert dots["mark"]["opacity"] == 0
    told = {entry["field"]: entry.get("format") for entry in dots["encoding"]["tooltip"]}
    assert told == {"curve": None, "step": ".0f", "loss": ".4f"}


def test_the_axis_of_one_step_has_a_length():
    spec = equivalence_chart([], ["A", "B", "C"], steps=1).to_dict()["layer"][0]["encoding"]
    assert spec["x"]["scale"] == {"domain": [1, 2], "nice": False}
    lowest, highest = spec["y"]["scale"]["domain"]["unionWith"]
    assert lowest == 0
    assert math.log(10) < highest < 3  # the loss of ten equal probabilities
    assert spec["color"]["legend"]["labelLimit"] == 0  # names are shown whole
