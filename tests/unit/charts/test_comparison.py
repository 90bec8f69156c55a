import numpy as np
import pandas as pd
import pytest

from cnnlab.charts.answers import confusion_figure
from cnnlab.charts.comparison import comparison_chart, hover_table
from cnnlab.comparison.curves import Axis, Measure


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
    table = hover_table(points(a=[0.5, 0.25, 0.125], b=[1.0]), "{:.2f}".format)
    assert table["x"].tolist() == [1, 2, 3]
    assert table["a"].tolist() == ["0.50", "0.25", "0.12"]
    assert table["b"].tolist() == ["1.00", "–", "–"]


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize("axis", list(Axis))
def test_a_comparison_chart_can_be_drawn_before_and_after_the_first_point(measure, axis):
    for data in (points(a=[0.5, 0.0], b=[1.0]), points(a=[], b=[])):
        chart = comparison_chart(data, ["a", "b"], measure, axis, end=2, is_logarithmic=True).to_dict()
        assert len(chart["layer"]) == 4


def test_a_band_is_seen_through_and_goes_with_its_hidden_curve():
    data = points(a=[1.0, 0.5])
    chart = comparison_chart(data, ["a"], "train_loss", "epoch", end=2, is_logarithmic=True).to_dict()
    (band,) = (layer for layer in chart["layer"] if layer["mark"]["type"] == "area")
    assert 0 < band["encoding"]["opacity"]["value"] < 0.5
    assert band["encoding"]["opacity"]["condition"] == {"param": "hidden", "value": 0.0, "empty": False}


def test_a_curve_of_one_epoch_has_a_point_to_see():
    chart = comparison_chart(points(a=[1.0]), ["a"], "train_loss", "epoch", end=2, is_logarithmic=True).to_dict()
    assert {"type": "point", "filled": True, "size": 60} in [layer["mark"] for layer in chart["layer"]]


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
