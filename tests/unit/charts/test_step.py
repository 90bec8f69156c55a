import numpy as np
import pytest

from cnnlab.charts.step import loss_along, losses_of_images, losses_until


def test_the_losses_end_with_the_step_that_is_looked_at_however_many_there_are():
    points = losses_until([2.0] * 4_000 + [0.5]).points
    assert len(points) <= 400
    assert points["step"].iloc[[0, -1]].tolist() == [1, 4_001]
    assert points.loc[points["is_last"], "loss"].tolist() == [0.5]


def test_the_costliest_image_comes_first_and_the_chosen_one_is_marked():
    points = losses_of_images(np.array([0.1, 2.0, 0.5]), chosen=2).points
    assert points["image"].tolist() == [2, 3, 1]
    assert points.loc[points["kind"] == "chosen", "loss"].tolist() == [0.5]


def test_the_ends_of_the_step_and_the_other_rate_are_marked_on_the_line():
    chart = loss_along(0.001, [0.0, 0.5, 1.0, 2.0], [2.0, 1.5, 1.8, 60.0], other=(10.0, 900.0))
    marked = chart.points[chart.points["kind"] != "line"]
    assert marked[["kind", "share", "loss"]].to_numpy().tolist() == [
        ["before", 0.0, 2.0],
        ["after", 1.0, 1.8],
        ["other", 10.0, 900.0],
    ]
    assert chart.spec["encoding"]["y"]["scale"] == {"type": "log"}
    assert loss_along(0.001, [0.0, 1.0], [2.0, 1.9]).spec["encoding"]["y"]["scale"] == {"zero": False}


def test_a_loss_that_is_infinite_leaves_the_rest_of_the_line():
    chart = loss_along(0.001, [0.0, 1.0, 4.0], [2.0, 1.9, float("inf")], other=(100.0, float("nan")))
    assert chart.spec["encoding"]["y"]["scale"] == {"zero": False}


def test_few_losses_are_all_drawn_and_the_axis_has_room_for_ten():
    chart = losses_until([2.0, 1.5, 1.0])
    assert chart.points[["step", "loss"]].to_numpy().tolist() == [[1, 2.0], [2, 1.5], [3, 1.0]]
    assert chart.spec["encoding"]["x"]["scale"] == {"nice": False, "domain": [1, 10]}
    assert losses_until([1.0] * 11).spec["encoding"]["x"]["scale"]["domain"] == [1, 11]


def test_the_point_of_the_step_is_another_colour_than_the_line_and_says_its_loss():
    line, point = losses_until([2.0, 1.5]).spec["layer"]
    assert line["mark"]["color"] != point["mark"]["color"]
    assert point["transform"] == [{"filter": "datum.is_last"}]
    assert told(point) == {"step": None, "loss": ".4f"}
    assert (point["mark"]["filled"], point["mark"]["opacity"]) == (True, 1)
    axis = losses_until([2.0, 1.5]).spec["encoding"]["x"]["axis"]
    assert (axis["format"], axis["tickMinStep"], axis["title"]) == ("d", 1, "step")


def test_the_mean_of_the_images_losses_is_a_dashed_line_and_the_chosen_one_has_its_colour():
    chart = losses_of_images(np.array([0.1, 2.0, 0.6]), chosen=0)
    bars, mean = chart.spec["layer"]
    assert mean["data"]["values"] == [{"mean": pytest.approx(0.9)}]
    assert mean["mark"]["strokeDash"][1] > 0
    colors = dict(zip(*bars["encoding"]["color"]["scale"].values(), strict=True))
    assert colors["chosen"] == mean["mark"]["color"] != colors["other"]
    assert chart.points["place"].tolist() == [1, 2, 3]
    assert told(bars) == {"image": None, "loss": ".4f"}


def test_hundreds_of_bars_stand_side_by_side_without_labels():
    chart = losses_of_images(np.ones(128), chosen=5)
    bars, _ = chart.spec["layer"]
    assert bars["mark"] == {"type": "bar", "binSpacing": 0}
    assert bars["encoding"]["x"]["axis"] == {"labels": False, "ticks": False}
    assert bars["encoding"]["color"]["legend"] is None
    assert chart.points["image"].tolist() == list(range(1, 129))  # equals keep their order


def test_a_step_is_told_by_the_learning_rate_that_would_go_as_far():
    chart = loss_along(0.002, [0.0, 0.5, 1.0], [2.0, 1.5, 1.8], other=(4.0, 1.9))
    asked = chart.points[chart.points["kind"] == "other"]
    assert asked["learning_rate"].tolist() == [0.008]
    x = chart.spec["encoding"]["x"]
    assert (x["title"], x["scale"]) == ("learning rate", {"type": "symlog", "constant": 0.001})
    assert x["axis"]["values"][:6] == pytest.approx([0, 0.0005, 0.001, 0.002, 0.004, 0.008])
    assert x["axis"]["values"][6:] == pytest.approx([0.02, 0.2, 2, 20, 200, 2000])


def test_the_marked_places_are_told_apart_and_told_and_the_line_goes_on_to_the_other():
    chart = loss_along(0.001, [0.0, 1.0], [2.0, 1.9], other=(3.0, 1.0))
    line, marked = chart.spec["layer"]
    assert line["transform"] == [{"filter": "datum.kind == 'line' || datum.kind == 'other'"}]
    assert marked["transform"] == [{"filter": "datum.kind != 'line'"}]
    assert len(set(marked["encoding"]["color"]["scale"]["range"])) == 3
    assert told(marked) == {"kind": None, "learning_rate": ".4~g", "loss": ".4~g"}
    assert set(loss_along(0.001, [0.0, 1.0], [2.0, 1.9]).points["kind"]) == {"line", "before", "after"}


@pytest.mark.parametrize(("highest", "kind"), [(2.0, None), (2.1, "log")])
def test_losses_are_far_apart_where_one_is_more_than_twenty_times_another(highest, kind):
    assert loss_along(0.001, [0.0, 1.0], [0.1, highest]).spec["encoding"]["y"]["scale"].get("type") == kind


def test_a_loss_of_nothing_is_no_reason_for_a_division_by_it():
    assert loss_along(0.001, [0.0, 1.0], [0.0, 1e-6]).spec["encoding"]["y"]["scale"] == {"zero": False}


def told(layer):
    """Return the numbers and names that a layer's tooltip has, with their formats."""
    return {entry["field"]: entry.get("format") for entry in layer["encoding"]["tooltip"]}
