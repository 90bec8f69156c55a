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


def drawn(labels, measure="train_loss", axis="epoch", end=2.0, *, data=None, is_logarithmic=True, references=None):
    data = points(**{label: [0.5, 0.25] for label in labels}) if data is None else data
    chart = comparison_chart(
        data, labels, measure, axis, end=end, is_logarithmic=is_logarithmic, references=references
    ).to_dict()
    return {layer["mark"]["type"]: layer for layer in chart["layer"]}, chart


def rows(chart, layer):
    return chart["datasets"][layer["data"]["name"]]


def test_the_first_curve_is_the_widest_so_that_one_upon_it_does_not_cover_it():
    marks, _ = drawn(["a", "b", "c"])
    assert marks["line"]["encoding"]["strokeWidth"]["scale"]["range"] == [6.0, 3.75, 1.5]
    assert drawn(["a"])[0]["line"]["encoding"]["strokeWidth"]["scale"]["range"] == [6.0]


def test_after_ten_curves_the_colours_begin_anew_with_dashes():
    marks, _ = drawn([f"run {number}" for number in range(12)])
    colors = marks["line"]["encoding"]["color"]["scale"]["range"]
    dashes = marks["line"]["encoding"]["strokeDash"]["scale"]["range"]
    assert len(set(colors)) == 10
    assert colors[10:] == colors[:2]
    assert all(gap == 0 for _, gap in dashes[:10])
    assert all(gap > 0 for _, gap in dashes[10:])


@pytest.mark.parametrize("mark", ["line", "point"])
def test_a_hidden_curve_is_not_seen_and_any_other_is(mark):
    opacity = drawn(["a"])[0][mark]["encoding"]["opacity"]
    assert opacity == {"condition": {"param": "hidden", "value": 0.0, "empty": False}, "value": 1.0}


def test_the_line_at_the_pointer_is_faint_and_seen_only_there():
    opacity = drawn(["a"])[0]["rule"]["encoding"]["opacity"]
    assert opacity["value"] == 0
    assert 0 < opacity["condition"]["value"] < 1
    assert (opacity["condition"]["param"], opacity["condition"]["empty"]) == ("at_pointer", False)


def test_a_click_on_the_legend_hides_a_curve_and_the_pointer_takes_the_nearest_place():
    _, chart = drawn(["a"])
    by_name = {param["name"]: param for param in chart["params"]}
    hidden, at_pointer = by_name["hidden"], by_name["at_pointer"]
    assert (hidden["select"]["fields"], hidden["bind"], hidden["select"]["toggle"]) == (["label"], "legend", "true")
    assert (at_pointer["select"]["fields"], at_pointer["select"]["nearest"]) == (["x"], True)


def test_losses_of_nothing_are_drawn_at_the_foot_of_a_logarithmic_axis_and_as_they_are_on_another():
    data = points(a=[0.5, 0.0])
    for is_logarithmic, kind, lowest in ((True, "log", 1e-6), (False, "linear", 0)):
        marks, chart = drawn(["a"], data=data, is_logarithmic=is_logarithmic)
        assert marks["line"]["encoding"]["y"]["scale"]["type"] == kind
        values = [row for row in rows(chart, marks["line"]) if row["value"] is not None]
        assert min(row["value"] for row in values) == lowest
        assert min(row["low"] for row in values) == lowest


@pytest.mark.parametrize(
    ("measure", "axis"),
    [("test_accuracy", {"labelExpr": "format(100 * datum.value, '.1f') + ' %'"}), ("train_loss", {})],
)
def test_an_axis_is_written_as_its_measure_is(measure, axis):
    y = drawn(["a"], measure, is_logarithmic=False)[0]["line"]["encoding"]["y"]
    assert (y["axis"], y["scale"]["zero"]) == (axis, False)


def test_a_logarithmic_axis_has_its_ticks_at_powers_of_ten():
    ticks = drawn(["a"], is_logarithmic=True)[0]["line"]["encoding"]["y"]["axis"]
    assert ticks["format"] == "~g"
    assert {0.01, 0.1, 1.0} <= set(ticks["values"])


def test_the_tooltip_writes_an_accuracy_in_percent_and_a_loss_with_four_digits():
    for measure, written in (("test_accuracy", "50.00 %"), ("train_loss", "0.5000")):
        marks, chart = drawn(["a.b[0]"], measure)
        rule = marks["rule"]
        assert rows(chart, rule)[0]["curve0"] == written
        assert [entry["title"] for entry in rule["encoding"]["tooltip"]] == ["epoch", "a.b[0]"]


def test_the_axis_of_places_reaches_as_far_as_the_longest_curve_will():
    assert drawn(["a"], end=10)[0]["line"]["encoding"]["x"]["scale"] == {"domain": [0, 10], "nice": False}
    assert drawn(["a"], end=None)[0]["line"]["encoding"]["x"]["scale"] == {"nice": False, "zero": True}


def test_losses_of_batches_have_no_points_there_are_so_many():
    assert drawn(["a"], "batch_loss", "step")[0]["point"]["mark"]["size"] == 0


def test_what_the_curves_are_held_against_is_dotted_and_named_at_its_end_one_below_the_others_above():
    references = pd.DataFrame(
        {"label": ["high", "high", "low", "low"], "x": [1, 2, 1, 2], "value": [0.4, 0.3, 0.2, 0.1]}
    )
    chart = drawn(["a"], references=references)[1]
    line, low, high = chart["layer"][4:]
    assert line["mark"]["strokeDash"][1] > 0
    assert line["encoding"]["detail"]["field"] == "label"
    assert [[(row["label"], row["x"]) for row in rows(chart, each)] for each in (low, high)] == [
        [("low", 2)],
        [("high", 2)],
    ]
    assert low["mark"]["dy"] > 0 > high["mark"]["dy"]
    assert low["mark"]["dx"] < 0
    assert len(drawn(["a"], references=references[:0])[1]["layer"]) == 4


def test_a_tooltip_of_very_long_curves_has_places_from_their_first_to_their_last():
    table = hover_table(points(a=list(range(1_000)), b=list(range(500))), "{:.0f}".format)
    assert len(table) == 150
    assert table["x"].iloc[[0, -1]].tolist() == [1, 1_000]
    assert table["a"].iloc[[0, -1]].tolist() == ["0", "999"]
    assert [value != "–" for value in table["b"]] == (table["x"] <= 500).tolist()
    few = points(a=list(range(150))).assign(x=[place**2 for place in range(150)])
    assert hover_table(few, "{:.0f}".format)["x"].tolist() == few["x"].tolist()


def test_a_curve_that_begins_later_has_a_dash_before():
    late = points(b=[1.0, 2.0]).assign(x=[3.0, 4.0])
    table = hover_table(pd.concat([points(a=[0.5]), late]), "{:.1f}".format)
    assert table["b"].tolist() == ["–", "1.0", "2.0"]


@pytest.mark.parametrize(
    ("measure", "usual"),
    [
        ("train_loss", [0.03, 0.3]),
        ("test_loss", [0.03, 0.3]),
        ("batch_loss", [0.03, 3.0]),
        ("test_accuracy", [0.96, 1.0]),
    ],
)
def test_the_axis_holds_what_is_usual_from_the_start(measure, usual):
    scale = drawn(["a"], measure)[0]["line"]["encoding"]["y"]["scale"]
    assert (scale["domain"], scale["nice"]) == ({"unionWith": usual}, True)
