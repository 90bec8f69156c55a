import pytest

from cnnlab.comparison.curves import Axis, Measure, curve, curves, tutorial_curves
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def run():
    """Return a run of 20 steps with the batch losses 1, 2, … 20."""
    made = create_run(DEFINITIONS["module"], TrainingConfig(batch_size=30_000, epochs=10))
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        for step in range(1, 21):
            writer.append_training(BatchEvent(step, (step + 1) // 2, float(step), 0.5 * step))
    return made


@pytest.mark.parametrize(
    ("points", "steps"), [(20, list(range(1, 21))), (19, list(range(2, 21, 2))), (3, [7, 14]), (1, [20])]
)
def test_a_thinned_curve_has_at_most_as_many_points_at_even_steps(run, points, steps):
    drawn = curve(run, Measure.BATCH_LOSS, Axis.STEP, points=points)
    assert drawn["x"].tolist() == steps
    assert drawn["value"].tolist() == steps


def test_a_mean_of_batch_losses_starts_with_those_there_are(run):
    drawn = curve(run, Measure.BATCH_LOSS, Axis.STEP, points=20, smoothing=4)
    assert drawn["value"].tolist()[:6] == [1, 1.5, 2, 2.5, 3.5, 4.5]


def test_batch_losses_go_against_seconds_of_training(run):
    assert curve(run, Measure.BATCH_LOSS, Axis.SECONDS, points=5)["x"].tolist() == [2, 4, 6, 8, 10]


def test_many_curves_share_the_points_that_a_chart_can_bear():
    run = reference_runs()[0]
    for count in (1, 10, 40, 50):
        drawn = curves([run] * count, [str(place) for place in range(count)], Measure.BATCH_LOSS, Axis.STEP)
        allowed = max(100, 4_000 // count)
        assert allowed / 2 < len(drawn) / count <= allowed


def test_the_tutorials_losses_end_with_the_axis():
    for axis, unit in ((Axis.EPOCH, 1), (Axis.STEP, 938)):
        drawn = tutorial_curves(3 * unit, axis, steps_per_epoch=938)
        assert drawn["label"].tolist() == [*["tutorial, Sequential"] * 3, *["tutorial, Module"] * 3]
        assert drawn["x"].tolist() == [unit, 2 * unit, 3 * unit] * 2
        told = [*DEFINITIONS["sequential"].tutorial_losses[:3], *DEFINITIONS["module"].tutorial_losses[:3]]
        assert drawn["value"].tolist() == told
    assert len(tutorial_curves(2.9, Axis.EPOCH, steps_per_epoch=938)) == 4
    assert tutorial_curves(100, Axis.SECONDS, steps_per_epoch=938).empty


def test_curves_that_are_not_folded_have_no_band(run):
    drawn = curves([run, run], ["a", "b"], Measure.BATCH_LOSS, Axis.STEP)
    assert drawn["label"].tolist() == ["a"] * 20 + ["b"] * 20
    assert drawn["low"].tolist() == drawn["high"].tolist() == drawn["value"].tolist() == [*range(1, 21)] * 2


def test_each_of_many_curves_keeps_a_hundred_points(run):
    """A chart bears 4,000 points: of 41 runs 100 each, of a run of a hundred steps all."""
    long = create_run(DEFINITIONS["module"], TrainingConfig(batch_size=30_000, epochs=50))
    with RunWriter.claim(long) as writer:
        for step in range(1, 101):
            writer.append_training(BatchEvent(step, (step + 1) // 2, 1.0, float(step)))
    drawn = curves([long, *[run] * 40], [str(place) for place in range(41)], Measure.BATCH_LOSS, Axis.STEP)
    assert drawn[drawn["label"] == "0"]["x"].tolist() == list(range(1, 101))
    assert curves([], [], Measure.BATCH_LOSS, Axis.STEP).empty


def test_the_longest_of_folded_curves_counts_alone_where_the_others_have_not_come_so_far(run):
    shorter = create_run(DEFINITIONS["module"], TrainingConfig(batch_size=30_000, epochs=10))
    with RunWriter.claim(shorter) as writer:
        for step in range(1, 11):
            writer.append_training(BatchEvent(step, (step + 1) // 2, 3.0 * step, 0.25 * step))
    folded = curves([run, shorter, run], ["a", "a", "b"], Measure.BATCH_LOSS, Axis.STEP, fold=True)
    first = folded[folded["label"] == "a"]
    assert first["x"].tolist() == list(range(1, 21))
    assert first["value"].tolist() == [*(2.0 * step for step in range(1, 11)), *range(11, 21)]
    assert first["low"].tolist() == list(range(1, 21))
    assert first["high"].tolist() == [*(3 * step for step in range(1, 11)), *range(11, 21)]
    assert folded[folded["label"] == "b"]["value"].tolist() == list(range(1, 21))
    timed = curves([run, shorter, run], ["a", "a", "b"], Measure.BATCH_LOSS, Axis.SECONDS, fold=True)
    assert timed[timed["label"] == "a"]["x"].tolist() == [0.375 * step for step in range(1, 11)]
    assert timed[timed["label"] == "b"]["x"].tolist() == [0.5 * step for step in range(1, 21)]
    assert folded.columns.tolist() == timed.columns.tolist() == ["label", "x", "value", "low", "high"]
