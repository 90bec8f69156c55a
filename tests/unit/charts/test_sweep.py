import numpy as np
import pandas as pd
import pytest

from cnnlab.charts.sweep import heat_map, is_spread, means_chart, title_of


def chart_of(setting, values):
    count = len(values)
    means = pd.DataFrame({setting: values, "mean": [0.97] * count, "low": 0.96, "high": 0.98, "runs": 3})
    runs = pd.DataFrame({setting: values, "test_accuracy": [0.97] * count})
    return means_chart(means, runs, setting, "test_accuracy").to_dict()


@pytest.mark.parametrize(
    ("setting", "values", "scale"),
    [("learning_rate", [0.0003, 0.003], "log"), ("epochs", [5, 10], "linear"), ("weight_decay", [0.0, 0.1], "linear")],
)
def test_numbers_over_orders_of_magnitude_have_a_logarithmic_axis(setting, values, scale):
    assert {layer["encoding"]["x"]["scale"]["type"] for layer in chart_of(setting, values)["layer"]} == {scale}


def test_names_have_no_order_and_no_line():
    layers = chart_of("optimizer", ["adam", "rmsprop"])["layer"]
    assert all(layer["encoding"]["x"]["type"] == "nominal" for layer in layers)
    assert "line" not in [layer["mark"]["type"] for layer in layers]


def test_words_are_not_spread():
    assert not is_spread(pd.Series(["adam", "sgd"]))


def cells_of(table, rows="optimizer", columns="learning_rate"):
    chart = heat_map(table, rows, columns, "test_accuracy", text_color="#123456").to_dict()
    (cells,) = chart["datasets"].values()
    return cells, chart


def test_a_cell_is_the_mean_of_its_runs_that_have_ended():
    table = pd.DataFrame(
        {
            "run": ["a", "b", "c", "d"],
            "optimizer": ["adam", "adam", "sgd", "sgd"],
            "learning_rate": [0.01, 0.01, 0.01, 0.1],
            "test_accuracy": [0.97, 0.98, 0.9, None],
        }
    )
    cells, chart = cells_of(table)
    assert [(cell["optimizer"], cell["learning_rate"], cell["written"], cell["runs"]) for cell in cells] == [
        ("adam", 0.01, "97.50 %", 2),
        ("sgd", 0.01, "90.00 %", 1),
    ]
    squares, numbers = chart["layer"]
    assert numbers["mark"]["color"] == "#123456"
    assert [entry["title"] for entry in squares["encoding"]["tooltip"]] == [
        "Optimizer",
        "Learning rate",
        "Test accuracy",
        "Runs",
    ]
    assert (squares["encoding"]["y"]["field"], squares["encoding"]["x"]["field"]) == ("optimizer", "learning_rate")
    assert (chart["params"][0]["name"], chart["params"][0]["select"]["fields"]) == (
        "cell",
        ["optimizer", "learning_rate"],
    )


def test_the_colours_of_cells_are_spread_over_what_there_is_and_each_row_is_as_high():
    one, two = (
        pd.DataFrame({"run": range(count), "seed": range(count), "epochs": 1, "test_accuracy": [0.97] * count})
        for count in (1, 2)
    )
    heights = [cells_of(table, "seed", "epochs")[1]["height"] for table in (one, two)]
    assert 40 <= heights[1] - heights[0] <= 60  # pixels: a row has room for its number
    _, chart = cells_of(one, "seed", "epochs")
    color = chart["layer"][0]["encoding"]["color"]["scale"]
    assert color["zero"] is False
    faint, full = (int(each[-2:], 16) for each in color["range"])
    assert faint < 64 < 128 < full
    assert chart["layer"][0]["encoding"]["x"]["axis"]["labelAngle"] == 0


def means_of(values, accuracies, **columns):
    means = pd.DataFrame({"epochs": values, "mean": accuracies, "low": np.nan, "high": np.nan, "runs": 1} | columns)
    runs = pd.DataFrame({"epochs": values, "test_accuracy": accuracies})
    return means_chart(means, runs, "epochs", "test_accuracy").to_dict()


def marks_of(chart):
    return [layer["mark"]["type"] for layer in chart["layer"]]


def test_a_mean_says_its_interval_or_that_there_is_one_seed():
    chart = means_of([10, 5], [0.97, 0.96], low=[0.965, np.nan], high=[0.975, np.nan])
    point = next(layer for layer in chart["layer"] if "tooltip" in layer["encoding"])
    rows = chart["datasets"][point["data"]["name"]]
    assert [(row["epochs"], row["written"], row["interval"]) for row in rows] == [
        (5, "96.00 %", "one seed"),
        (10, "97.00 %", "96.50 % to 97.50 %"),
    ]
    assert [entry["title"] for entry in point["encoding"]["tooltip"]] == ["Epochs", "mean", "95 % interval", "runs"]


@pytest.mark.parametrize(
    ("accuracies", "domain"),
    [
        ([0.96, 0.98], [0.955, 0.985]),  # a quarter of the way between them, on both sides
        ([0.97, 0.971], [0.968, 0.973]),  # 0.2 percentage points at least
        ([0.1, 0.96, 0.98], [0.955, 0.985]),  # what learned nothing stands at the lower end
        ([0.1, 0.2], [0.075, 0.225]),
        ([0.6, 1.0], [0.5, 1.0]),
        ([0.0, 0.0], [0.0, 0.002]),
    ],
)
def test_the_axis_has_room_around_the_runs_that_learned(accuracies, domain):
    chart = means_of(list(range(1, len(accuracies) + 1)), accuracies)
    scales = [layer["encoding"]["y"]["scale"] for layer in chart["layer"]]
    assert all(scale["domain"] == pytest.approx(domain) for scale in scales)
    assert all((scale["clamp"], scale["nice"]) == (True, False) for scale in scales)


@pytest.mark.parametrize(("accuracies", "decimals"), [([0.9, 0.93], 1), ([0.95, 0.96], 2)])
def test_the_axis_has_as_many_decimals_as_the_accuracies_differ_in(accuracies, decimals):
    line = next(each for each in means_of([1, 2], accuracies)["layer"] if each["mark"]["type"] == "line")
    assert f"'.{decimals}f'" in line["encoding"]["y"]["axis"]["labelExpr"]


def test_means_are_joined_and_stand_out_from_the_runs_and_the_interval_is_behind_them():
    chart = means_of([1, 2], [0.96, 0.97])
    assert marks_of(chart) == ["rule", "line", "point", "point"]
    rule, _, mean, run = chart["layer"]
    assert (rule["encoding"]["y"]["field"], rule["encoding"]["y2"]["field"]) == ("low", "high")
    assert rule["mark"]["opacity"] < mean["mark"]["opacity"] == 1
    assert mean["mark"]["size"] > 2 * run["mark"]["size"]
    assert (mean["mark"]["filled"], run["mark"].get("filled")) == (True, None)
    assert chart["params"][0]["select"]["fields"] == ["epochs"]


@pytest.mark.parametrize(("values", "is_logarithmic"), [([1, 8], True), ([1, 7.9], False), ([0, 8], False)])
def test_numbers_are_spread_where_the_greatest_is_eight_times_the_least(values, is_logarithmic):
    assert is_spread(pd.Series(values)) is is_logarithmic


def test_the_axis_names_each_value_unless_there_are_more_than_twelve():
    for count, named in ((12, list(range(1, 13))), (13, None)):
        axis = means_of(range(1, count + 1), [0.97] * count)["layer"][0]["encoding"]["x"]["axis"]
        assert axis.get("values") == named
        assert axis["format"] == "~g"
    names = chart_of("optimizer", ["adam", "sgd"])["layer"][0]["encoding"]["x"]
    assert names["axis"] == {"labelAngle": 0}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("model", "Definition"),
        ("pen_accuracy", "Accuracy on people's digits"),
        ("learning_rate", "Learning rate"),
        ("test_accuracy", "Test accuracy"),
    ],
)
def test_a_column_is_called_what_people_call_it(name, title):
    assert title_of(name) == title
