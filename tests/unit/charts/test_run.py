import numpy as np
import pandas as pd
import pytest

from cnnlab.charts.run import BATCH_POINTS, accuracy_chart, answers_chart, batch_curve, film_chart, loss_chart

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
    chart = loss_chart(batches, epochs, (0.23, 0.08), steps_per_epoch=469, total_steps=4690)
    assert chart.spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 10]
    assert {"tutorial"} <= set(chart.points["curve"])
    assert (chart.points["loss"] > 0).all()
    losses = chart.spec["layer"][0]["encoding"]["y"]["scale"]
    assert (losses["type"], losses["domain"]) == ("log", {"unionWith": [0.01, 10.0]})


def test_while_points_are_added_the_spec_stays_the_same():
    sizes = {"steps_per_epoch": 469, "total_steps": 4690}
    early, late = (loss_chart(BATCHES[:count], EPOCHS, (0.23, 0.08), **sizes) for count in (9, 900))
    assert early.spec is late.spec


def test_a_definition_without_losses_of_the_tutorial_has_no_such_curve():
    chart = loss_chart(BATCHES[:9], NO_EPOCHS, (), steps_per_epoch=469, total_steps=4690)
    assert "tutorial" not in chart.spec["layer"][0]["encoding"]["color"]["scale"]["domain"]


def test_each_curve_is_labelled_with_its_newest_loss_and_no_label_covers_another():
    chart = loss_chart(BATCHES, EPOCHS, (0.23, 0.1), steps_per_epoch=469, total_steps=4690)
    labelled = chart.points.dropna(subset="label").sort_values("label_loss")
    assert set(labelled["label"]) == {"batch 0.8000", "train 0.1000", "test 0.1000", "tutorial 0.1000"}
    assert labelled["label_loss"].iloc[0] == 0.1
    (widest,) = [layer for layer in layers_of(chart, "text") if "value" in layer["encoding"]["text"]]
    assert widest["encoding"]["opacity"] == {"value": 0}  # it only keeps the room
    assert len(widest["encoding"]["text"]["value"]) >= labelled["label"].str.len().max()
    assert (labelled["label_loss"] / labelled["label_loss"].shift(1)).dropna().min() == pytest.approx(1.6)


def test_the_accuracy_axis_reaches_down_to_a_bad_run():
    bad = EPOCHS.assign(test_accuracy=[0.12, 0.1])
    assert accuracy_chart(bad, 10).spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.1, 1.0]
    fair = EPOCHS.assign(test_accuracy=[0.95, 0.85])
    assert accuracy_chart(fair, 10).spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.8, 1.0]
    assert accuracy_chart(NO_EPOCHS, 10).spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.9, 1.0]


def test_the_curve_beside_a_film_has_early_steps_one_by_one_and_marks_the_moment():
    batches = pd.DataFrame({"step": range(1, 4_691), "loss": [1 / step for step in range(1, 4_691)]})
    chart = film_chart(batches, 12, 4_690)
    curve = chart.points[chart.points["loss"].notna()]
    assert curve["step"].tolist()[:5] == [1, 2, 3, 4, 5]
    assert len(curve) < 200
    np.testing.assert_allclose(curve["loss"].iloc[:5], [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert chart.points["moment"].dropna().tolist() == [12]
    assert film_chart(batches[:300], 40, 4_690).spec == chart.spec


def test_a_digit_that_was_likely_once_is_named_where_it_was_likeliest():
    answers = pd.DataFrame(
        {
            "step": np.repeat([0, 5, 100], 10),
            "digit": np.tile(np.arange(10), 3),
            "probability": [0.1] * 10 + [0.0] * 4 + [0.7, 0.3] + [0.0] * 4 + [0.0] * 5 + [1.0] + [0.0] * 4,
        }
    )
    named = answers_chart(answers, 100).points.dropna(subset="label")
    assert named[["step", "label"]].values.tolist() == [[5, "4"], [100, "5"]]


def test_each_digit_that_is_named_has_a_colour_of_its_own():
    answers = pd.DataFrame({"step": [0] * 10, "digit": range(10), "probability": [0.9] * 10})
    colors = answers_chart(answers, 100).spec["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert len(set(colors)) == 10
    answers["probability"] = [0.9] * 9 + [0.0]
    nine = answers_chart(answers, 100).spec["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert nine[:9] == colors[:9]
    assert nine[9] not in colors


def layers_of(chart, mark):
    """Return the layers of a chart that are drawn with a kind of mark."""
    return [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == mark]


def by_curve(chart, channel):
    """Return how each curve of a chart of losses is drawn."""
    scale = layers_of(chart, "line")[0]["encoding"][channel]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_the_losses_of_batches_lie_faint_and_thin_behind_those_of_epochs_and_the_tutorials_are_dotted():
    chart = loss_chart(BATCHES, EPOCHS, (0.23, 0.08), steps_per_epoch=469, total_steps=4690)
    opacities, widths, dashes = (by_curve(chart, name) for name in ("opacity", "strokeWidth", "strokeDash"))
    assert 0.2 < opacities.pop("batch loss") < 0.5
    assert set(opacities.values()) == {1}
    assert 1 <= widths.pop("batch loss") < min(widths.values())
    assert widths.pop("train loss") > max(widths.values())
    assert dashes.pop("tutorial")[1] > 0
    assert all(gap == 0 for _, gap in dashes.values())
    colors = by_curve(chart, "color")
    assert colors["batch loss"] == colors["train loss"]
    assert len(set(colors.values())) == 3


def test_the_chart_shows_no_epoch_of_the_tutorial_that_the_run_has_not_planned():
    chart = loss_chart(BATCHES[:9], NO_EPOCHS, (0.23, 0.08, 0.06), steps_per_epoch=469, total_steps=938)
    tutorial = chart.points[chart.points["curve"] == "tutorial"]
    assert tutorial[["epoch", "loss"]].to_numpy().tolist() == [[1, 0.23], [2, 0.08]]


def test_a_changed_rate_is_a_line_where_the_step_before_it_was_done():
    sizes = {"steps_per_epoch": 469, "total_steps": 4690}
    chart = loss_chart(BATCHES, EPOCHS, (), **sizes, learning_rates={470: 0.002, 939: 0.01}, rate_name="highest rate")
    (line,) = layers_of(chart, "rule")
    assert line["data"]["values"] == [
        {"epoch": 1, "told": "highest rate 0.002"},
        {"epoch": 2, "told": "highest rate 0.01"},
    ]
    assert line["encoding"]["x"]["field"] == "epoch"
    assert not layers_of(loss_chart(BATCHES, EPOCHS, (), **sizes), "rule")


def test_epochs_and_steps_are_told_without_a_fraction_and_losses_with_four_digits():
    answers = pd.DataFrame({"step": [0], "digit": [1], "probability": [0.9]})
    told = [
        entry
        for chart in (
            loss_chart(BATCHES, EPOCHS, (), steps_per_epoch=469, total_steps=4690),
            accuracy_chart(EPOCHS, 10),
            film_chart(BATCHES, 12, 4690),
            answers_chart(answers, 4690),
        )
        for layer in chart.spec["layer"]
        for entry in layer["encoding"].get("tooltip", ())
    ]
    formats = {(entry["field"], entry.get("format")) for entry in told}
    assert formats == {
        ("curve", None),
        ("epoch", ".0f"),
        ("loss", ".4f"),
        ("written", None),
        ("step", ",.0f"),
        ("digit", None),
        ("probability", ".1%"),
    }


def test_the_point_of_an_epoch_says_its_loss_and_that_of_a_batch_is_none():
    chart = loss_chart(BATCHES, EPOCHS, (), steps_per_epoch=469, total_steps=4690)
    (dots,) = layers_of(chart, "point")
    assert dots["transform"] == [{"filter": "(datum.curve !== 'batch loss')"}]
    assert dots["mark"]["filled"]


def test_an_accuracy_is_told_as_the_pages_write_it():
    chart = accuracy_chart(EPOCHS, 10)
    assert chart.points["written"].tolist() == ["90.00 %", "97.00 %"]
    assert chart.spec["layer"][0]["encoding"]["y"]["axis"]["labelExpr"] == "format(100 * datum.value, '.0f') + ' %'"
    assert chart.spec["layer"][0]["encoding"]["x"]["scale"] == {"domain": [0, 10], "nice": False}


def test_the_axis_of_steps_has_a_place_for_the_start_and_each_power_of_ten_up_to_the_end():
    axis = film_chart(BATCHES, 12, 1_000).spec["layer"][0]["encoding"]["x"]
    assert axis["axis"]["values"] == [0, 1, 10, 100, 1_000]
    assert axis["scale"] == {"type": "symlog", "constant": 1, "domain": [0, 1_000], "nice": False}
    assert film_chart(BATCHES, 12, 999).spec["layer"][0]["encoding"]["x"]["axis"]["values"][-1] == 100


def test_the_curve_beside_a_film_is_coloured_and_the_moment_stands_out_from_it():
    chart = film_chart(BATCHES, 12, 4_690)
    (line,), (moment,) = layers_of(chart, "line"), layers_of(chart, "rule")
    assert line["mark"]["color"] != moment["mark"]["color"]
    assert (line["encoding"]["x"]["field"], moment["encoding"]["x"]["field"]) == ("step", "moment")
    assert [layer["transform"] for layer in (line, moment)] == [
        [{"filter": "isValid(datum.loss)"}],
        [{"filter": "isValid(datum.moment)"}],
    ]
    ticks = line["encoding"]["y"]["axis"]["values"]
    assert [tick for tick in ticks if 0.005 < tick < 50] == pytest.approx([0.01, 0.1, 1, 10])


def test_a_digit_that_was_never_likely_is_faint_and_grey():
    answers = pd.DataFrame({"step": [0] * 10, "digit": range(10), "probability": [0.2] * 9 + [0.9]})
    spec = answers_chart(answers, 100).spec
    opacity = spec["layer"][0]["encoding"]["opacity"]
    assert opacity["condition"] == {"test": {"field": "digit", "oneOf": ["9"]}, "value": 1}
    assert opacity["value"] < 0.5
    colors = spec["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert len(set(colors)) == 2
    assert colors[9] not in colors[:9]
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][0] == 0
