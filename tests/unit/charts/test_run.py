import numpy as np
import pandas as pd
import pytest

from cnnlab.charts.network import equivalence_chart, network_graph
from cnnlab.charts.run import BATCH_POINTS, accuracy_chart, answers_chart, batch_curve, film_chart, loss_chart
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.layers import layers_of_definition
from cnnlab.proof.equivalence import TrainedBoth

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
    assert (labelled["label_loss"] / labelled["label_loss"].shift(1)).dropna().min() == pytest.approx(1.6)


def test_the_accuracy_axis_reaches_down_to_a_bad_run():
    bad = EPOCHS.assign(test_accuracy=[0.12, 0.1])
    assert accuracy_chart(bad, 10).spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.1, 1.0]
    assert accuracy_chart(NO_EPOCHS, 10).spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.9, 1.0]


def test_the_graph_has_shapes_on_its_arrows_and_the_way_round_the_branch():
    lines = network_graph(layers_of_definition(DEFINITIONS["residual"])).splitlines()
    assert '"the image" -> "conv1" [label="  1 × 28 × 28"]' in lines
    assert '"max_pool2d" -> "branch" [label="  8 × 13 × 13"]' in lines
    assert '"max_pool2d" -> "add" [label="  8 × 13 × 13"]' in lines
    assert any(line.startswith('"the logits" [label="10 logits"') for line in lines)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_losses_of_the_proof_are_drawn_on_axes_that_stay(count):
    trained = [
        TrainedBoth("A", "B", 0, False, [2.3, 2.2], [2.3, 2.2], None),
        TrainedBoth("B", "C", 0, False, [2.3, 2.2], [2.2, 2.1], 1),
    ]
    chart = equivalence_chart(trained[:count], ["A", "B", "C"], steps=2).to_dict()
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == [1, 2]
    assert chart["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["A", "B", "C"]
    (rows,) = chart["datasets"].values()
    assert [row["curve"] for row in rows] == ["A", "A", "B", "B", "C", "C"][: 0 if count == 0 else 2 + 2 * count]


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
