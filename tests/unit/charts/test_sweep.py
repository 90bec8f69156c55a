import pandas as pd
import pytest

from cnnlab.charts.sweep import is_spread, means_chart


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
