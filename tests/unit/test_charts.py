import numpy as np
import pandas as pd
import pytest

from cnnlab.charts import (
    BATCH_POINTS,
    accuracy_chart,
    batch_curve,
    comparison_chart,
    confusion_figure,
    hover_table,
    loss_chart,
)
from cnnlab.comparison import Axis, Measure

BATCHES = pd.DataFrame({"step": range(1, 4691), "loss": [2.0, 0.0] * 2345})
EPOCHS = pd.DataFrame(
    {"epoch": [1, 2], "train_loss": [0.3, 0.1], "test_loss": [0.2, 0.1], "test_accuracy": [0.9, 0.97]}
)
NO_EPOCHS = EPOCHS.iloc[:0]


def test_a_long_run_has_no_more_points_than_fit():
    batches = pd.DataFrame({"step": range(1, 46_901), "loss": 1.0})
    assert len(batch_curve(batches, 469, 46_900)) <= BATCH_POINTS


def test_points_that_were_drawn_stay_while_others_come():
    early = batch_curve(BATCHES[:1000], 469, 4690)
    late = batch_curve(BATCHES[:2000], 469, 4690)
    pd.testing.assert_frame_equal(late[: len(early)], early)


def test_a_point_is_the_mean_of_its_steps():
    curve = batch_curve(BATCHES[:10], 469, 4690)
    assert curve["loss"].tolist() == pytest.approx([1.2, 0.8])
    assert curve["epoch"].tolist() == pytest.approx([3 / 469, 8 / 469])


@pytest.mark.parametrize(("batches", "epochs"), [(BATCHES[:0], NO_EPOCHS), (BATCHES[:9], NO_EPOCHS), (BATCHES, EPOCHS)])
def test_the_loss_chart_shows_what_there_is_on_fixed_axes(batches, epochs):
    chart = loss_chart(batches, epochs, (0.23, 0.08), steps_per_epoch=469, total_steps=4690).to_dict()
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 10]
    (rows,) = chart["datasets"].values()
    assert {"tutorial"} <= {row["curve"] for row in rows}
    assert all(row["loss"] > 0 for row in rows)


def test_a_definition_without_losses_of_the_tutorial_has_no_such_curve():
    chart = loss_chart(BATCHES[:9], NO_EPOCHS, (), steps_per_epoch=469, total_steps=4690).to_dict()
    assert "tutorial" not in chart["layer"][0]["encoding"]["color"]["scale"]["domain"]


def test_the_accuracy_axis_reaches_down_to_a_bad_run():
    bad = EPOCHS.assign(test_accuracy=[0.12, 0.1])
    assert accuracy_chart(bad, 10).to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.1, 1.0]
    assert accuracy_chart(NO_EPOCHS, 10).to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.9, 1.0]


def points(**curves):
    return pd.concat(
        [
            pd.DataFrame(
                {"label": label, "x": range(1, len(values) + 1), "value": values, "low": values, "high": values}
            )
            for label, values in curves.items()
        ]
    ).astype({"x": float})


def test_the_tooltip_tells_of_every_curve_at_each_place():
    table = hover_table(points(a=[0.5, 0.25, 0.125], b=[1.0]), ".2f")
    assert table["x"].tolist() == [1, 2, 3]
    assert table["a"].tolist() == ["0.50", "0.25", "0.12"]
    assert table["b"].tolist() == ["1.00", "–", "–"]


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize("axis", list(Axis))
def test_a_comparison_chart_can_be_drawn_before_and_after_the_first_point(measure, axis):
    for data in (points(a=[0.5, 0.0], b=[1.0]), points(a=[], b=[])):
        chart = comparison_chart(data, ["a", "b"], measure, axis, end=2, is_logarithmic=True).to_dict()
        assert len(chart["layer"]) == 3


def test_every_curve_has_a_place_in_the_drawing_from_the_start():
    chart = comparison_chart(points(b=[1.0]), ["a", "b"], "train_loss", "epoch", end=2, is_logarithmic=False)
    assert chart.layer[1].data["label"].tolist() == ["a", "b", "b"]


def test_a_confusion_figure_has_a_point_to_click_for_each_cell():
    matrix = np.zeros((10, 10), dtype=int)
    matrix[4, 9] = 7
    cells = confusion_figure(matrix, highest=7, text_color="#000000").data[1]
    assert len(cells.x) == 100
    assert (cells.y[49], cells.x[49], cells.text[49]) == (4, 9, "7")
    assert "7 × 4 answered as 9" in cells.customdata
