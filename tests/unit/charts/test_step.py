import numpy as np

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
