import numpy as np
import pytest
from truth import wilson

from cnnlab.comparison.curves import Axis, Measure, curve, curves
from cnnlab.comparison.experiments import by_experiment, by_seed, differing_settings, experiment_of, folded_labels_of
from cnnlab.comparison.results import over_seeds, results, tutorial_losses_of
from cnnlab.comparison.statistics import Verdict, accuracy_interval, compare_answers, disagreements
from cnnlab.fine_tuning.start import FineTuning
from cnnlab.inference.confusion import confusion_matrix, worst_errors
from cnnlab.inference.test_set import Predictions, pen_accuracy_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig


def run_with(losses=(), *, model="module", name=None, ends="finished", seconds=2.0, **recipe):
    """Return a run with two batches an epoch, of which every one has the given train loss and took two seconds."""
    config = TrainingConfig(**{"batch_size": 30_000, "epochs": 5, **recipe})
    run = create_run(DEFINITIONS[model], config, name)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for epoch, loss in enumerate(losses, start=1):
            for step in (2 * epoch - 1, 2 * epoch):
                writer.append_training(BatchEvent(step, epoch, loss, seconds=float(step)))
            writer.append_training(EpochEvent(epoch, 2 * epoch, loss, loss + 0.1, 1 - loss, seconds, 30_000.0))
        writer.append(ends)
    return run


def test_a_confusion_matrix_counts_answers_by_digit():
    matrix = confusion_matrix(np.array([3, 3, 3, 8]), np.array([3, 5, 5, 8], dtype=np.uint8))
    assert matrix.shape == (10, 10)
    assert (matrix[3, 3], matrix[3, 5], matrix[8, 8], matrix.sum()) == (1, 2, 1, 4)


def test_mcnemars_test_gives_the_textbooks_answer():
    """Two culture media for 50 sputum samples: both grew 20, only A 12, only B 2, neither 16; exact p = 0.013.

    P. Armitage, G. Berry, J. N. S. Matthews: Statistical Methods in Medical Research, on the comparison of two paired
    proportions.
    """
    labels = np.ones(50, dtype=np.int64)
    medium_a = np.repeat([1, 1, 0, 0], [20, 12, 2, 16])
    medium_b = np.repeat([1, 0, 1, 0], [20, 12, 2, 16])
    verdict = compare_answers(labels, medium_a, medium_b)
    assert (verdict.only_first, verdict.only_second, verdict.differing) == (12, 2, 14)
    assert verdict.p_value == pytest.approx(0.0129, abs=5e-5)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"), [(0, 0, 1), (5, 5, 1), (0, 1, 1), (0, 5, 2 / 32), (6, 1, 16 / 128)]
)
def test_an_uneven_split_is_as_probable_as_that_of_a_fair_coin(only_first, only_second, p_value):
    first = np.repeat([1, 0], [only_first, only_second])
    assert compare_answers(np.ones(len(first), dtype=np.int64), first, 1 - first).p_value == p_value


def test_runs_that_differ_on_every_image_of_the_test_set_can_be_compared():
    labels = np.ones(10_000, dtype=np.int64)
    first = np.repeat([1, 0], [5_100, 4_900])
    normal_approximation = 0.0466  # (5,100 - 5,000 - 1/2) / 50 = 1.99 standard deviations
    assert compare_answers(labels, first, 1 - first).p_value == pytest.approx(normal_approximation, abs=1e-3)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)]
)
def test_the_interval_is_wilsons(right, total, low, high):
    """R. G. Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert accuracy_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Verdict(0, 0, 0, 1.0), "A and B give the same answer to every image."),
        (
            Verdict(41, 37, 90, 0.734),
            "A is right on 41 that B misses, B on 37 that A misses: no more than chance would explain, p = 0.73.",
        ),
        (
            Verdict(60, 40, 110, 0.0496),
            "A is right on 60 that B misses, B on 40 that A misses: A is better than chance would explain, p = 0.0496.",
        ),
        (
            Verdict(10, 1200, 1300, 1e-9),
            "A is right on 10 that B misses, B on 1,200 that A misses: B is better than chance would explain, "
            "p < 0.001.",
        ),
    ],
)
def test_a_verdict_is_a_sentence(verdict, sentence):
    assert verdict.sentence("A", "B") == sentence


def test_disagreements_come_with_the_most_confident_first():
    first = Predictions(np.array([1, 2, 3, 4]), np.array([0.9, 0.5, 0.6, 0.9]))
    second = Predictions(np.array([1, 7, 8, 9]), np.array([0.9, 0.5, 0.9, 0.9]))
    assert disagreements([first, second]).tolist() == [3, 2, 1]


def test_the_worst_errors_are_those_of_which_a_run_is_most_sure():
    predictions = Predictions(np.array([1, 2, 3, 4, 5]), np.array([0.9, 0.5, 1.0, 0.7, 0.99]))
    assert worst_errors(np.array([1, 7, 3, 8, 9]), predictions).tolist() == [4, 3, 1]
    assert worst_errors(predictions.answers, predictions).tolist() == []


def test_only_the_settings_that_differ_are_told():
    runs = [run_with(model="sequential", seed=1), run_with(seed=1), run_with(seed=1, learning_rate=0.01)]
    settings = differing_settings(runs)
    assert settings.loc["definition"].tolist() == ["nn.Sequential", "nn.Module", "nn.Module"]
    assert settings.loc["learning_rate"].tolist() == [0.001, 0.001, 0.01]
    assert len(settings) == 2


def test_runs_that_differ_in_their_seed_alone_belong_together():
    runs = [run_with(seed=0), run_with(seed=1), run_with(seed=0, momentum=0.5), run_with(seed=1, model="sequential")]
    assert [len(group) for group in by_experiment(runs).values()] == [2, 1, 1]
    assert by_seed(experiment_of(runs[0]), runs) == {0: runs[0], 1: runs[1]}
    assert experiment_of(runs[1]).with_seed(7) == TrainingConfig(batch_size=30_000, epochs=5, seed=7)


@pytest.mark.parametrize("ends", ["failed", "stopped", "interrupted"])
def test_a_run_that_came_to_no_end_does_not_stand_for_its_seed(ends):
    unfinished = run_with(ends=ends)
    assert by_seed(experiment_of(unfinished), [unfinished]) == {}


def test_a_finished_run_stands_for_its_seed_before_one_that_waits():
    waits, finished = run_with(ends="queued"), run_with()
    assert by_seed(experiment_of(waits), [waits, finished]) == {0: finished}
    assert by_seed(experiment_of(waits), [waits]) == {0: waits}


def test_folded_labels_tell_the_seeds_and_what_is_special():
    runs = [run_with(seed=0), run_with(seed=1), run_with(seed=0, momentum=0.5), run_with(seed=1, momentum=0.5)]
    assert folded_labels_of(runs) == [
        *["Module · 5 epochs · batch 30,000 · seeds 0, 1"] * 2,
        *["Module · 5 epochs · batch 30,000 · momentum 0.5 · seeds 0, 1"] * 2,
    ]


def test_a_curve_goes_against_epochs_steps_and_seconds():
    run = run_with([0.3, 0.2])
    assert curve(run, Measure.TEST_LOSS, Axis.EPOCH, points=100)["x"].tolist() == [1, 2]
    assert curve(run, Measure.TEST_LOSS, Axis.STEP, points=100)["x"].tolist() == [2, 4]
    assert curve(run, Measure.TEST_LOSS, Axis.SECONDS, points=100)["x"].tolist() == [2, 4]
    assert curve(run, Measure.TEST_LOSS, Axis.EPOCH, points=100)["value"].tolist() == pytest.approx([0.4, 0.3])


def test_batch_losses_are_means_of_the_last_ones():
    run = run_with([0.4, 0.2])
    losses = curve(run, Measure.BATCH_LOSS, Axis.EPOCH, points=100, smoothing=2)
    assert losses["x"].tolist() == [0.5, 1, 1.5, 2]
    assert losses["value"].tolist() == pytest.approx([0.4, 0.4, 0.3, 0.2])


def test_a_thinned_curve_goes_through_the_means_it_names():
    run = run_with([0.4, 0.2, 0.1])
    losses = curve(run, Measure.BATCH_LOSS, Axis.STEP, points=5, smoothing=2)
    assert losses["x"].tolist() == [2, 4, 6]
    assert losses["value"].tolist() == pytest.approx([0.4, 0.2, 0.1])
    exact = curve(run, Measure.BATCH_LOSS, Axis.STEP, points=3, smoothing=1)
    assert exact["value"].tolist() == pytest.approx([0.2])


def test_folded_curves_against_seconds_never_run_backwards():
    runs = [run_with([0.5, 0.4, 0.3, 0.2], seed=0, seconds=1), run_with([0.7, 0.6], seed=1, seconds=10)]
    folded = curves(runs, folded_labels_of(runs), Measure.TRAIN_LOSS, Axis.SECONDS, fold=True)
    assert folded["x"].tolist() == [5.5, 11]
    assert folded["value"].tolist() == pytest.approx([0.6, 0.5])


def test_folded_curves_are_the_mean_of_those_that_came_as_far():
    runs = [run_with([0.4, 0.2], seed=0), run_with([0.2], seed=1)]
    folded = curves(runs, folded_labels_of(runs), Measure.TRAIN_LOSS, Axis.EPOCH, fold=True)
    assert folded["label"].unique().tolist() == ["Module · 5 epochs · batch 30,000 · seeds 0, 1"]
    assert folded["value"].tolist() == pytest.approx([0.3, 0.2])
    assert folded["low"].tolist() == pytest.approx([0.2, 0.2])
    assert folded["high"].tolist() == pytest.approx([0.4, 0.2])


def test_results_tell_the_newest_and_the_best_epoch():
    table = results([run_with([0.2, 0.1, 0.3]), run_with()])
    assert table.loc[0, ["train_loss", "best_test_loss", "best_epoch", "test_accuracy"]].tolist() == pytest.approx(
        [0.3, 0.2, 2, 0.7]
    )
    assert table.loc[0, "accuracy_low"] < 0.7 < table.loc[0, "accuracy_high"]
    assert table.loc[0, "progress"] == 0.6
    assert table["parameters"].tolist() == [29_322, 29_322]
    assert table.loc[1].drop(["status", "progress", "parameters"]).isna().all()


def test_over_seeds_there_is_a_row_for_each_recipe_with_several():
    runs = [run_with([0.2], seed=0), run_with([0.4], seed=1), run_with([0.1], model="sequential")]
    table = over_seeds(runs)
    assert table["label"].tolist() == ["Module · 5 epochs · batch 30,000 · seeds 0, 1"]
    assert table.loc[0, ["seeds", "accuracy_mean", "accuracy_low"]].tolist() == pytest.approx([2, 0.7, 0.6])


def test_over_seeds_each_seed_counts_once_and_only_if_finished():
    runs = [run_with([0.2], seed=0), run_with([0.9], seed=0), run_with([0.4], seed=1)]
    runs += [run_with([0.9], seed=2, ends="stopped"), run_with([0.9], seed=3, ends="failed")]
    table = over_seeds(runs)
    assert table.loc[0, ["seeds", "accuracy_mean"]].tolist() == pytest.approx([2, 0.7])
    assert table["label"].tolist() == ["Module · 5 epochs · batch 30,000 · seeds 0, 1"]


def test_runs_without_an_epoch_have_empty_curves():
    runs = [run_with(ends="queued"), run_with(ends="stopped", seed=1)]
    for fold in (False, True):
        assert curves(runs, folded_labels_of(runs), Measure.TRAIN_LOSS, Axis.EPOCH, fold=fold).empty
    assert over_seeds(runs).empty


def test_a_p_value_near_the_limit_is_told_with_the_digits_that_show_its_side():
    assert "p = 0.0496." in Verdict(10, 22, 40, 0.0496).sentence("A", "B")
    assert "p = 0.0489." in Verdict(10, 22, 40, 0.0489).sentence("A", "B")
    assert "p = 0.013." in Verdict(10, 22, 40, 0.01334).sentence("A", "B")


def test_a_curve_of_batches_is_not_smoothed_unless_that_is_asked_for():
    run = reference_runs()[0]
    drawn = curve(run, Measure.BATCH_LOSS, Axis.STEP, points=100)
    losses = run.history().batches.set_index("step")["loss"]
    assert drawn["value"].tolist() == losses[drawn["x"].astype(int)].tolist()


def test_on_people_a_run_that_trains_has_what_its_newest_epoch_says_and_an_ended_one_its_last_answer():
    run = create_run(DEFINITIONS["module"], TrainingConfig(batch_size=30_000, epochs=2))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 2, 0.5, 0.4, 0.9, 1.0, 60_000.0, pen_accuracy=0.8))
        row = results([run]).loc[0]
        assert (row["status"], row["pen_accuracy"]) == ("running", 0.8)
        right, total = round(0.8 * 2_575), 2_575  # of the testing writers' digits
        assert (row["pen_low"], row["pen_high"]) == pytest.approx(wilson(right, total))
        writer.append_training(EpochEvent(2, 4, 0.5, 0.4, 0.9, 1.0, 60_000.0))
        assert results([run]).loc[0, ["pen_accuracy", "pen_low", "pen_high"]].isna().all()
        writer.finished()
    assert results([run]).loc[0, ["pen_accuracy", "pen_low", "pen_high"]].isna().all()  # it has no weights to ask


def test_an_ended_run_that_did_not_measure_it_is_asked_about_what_people_drew():
    run = reference_runs()[0]
    assert results([run]).loc[0, "pen_accuracy"] == pen_accuracy_of(run)


def test_an_accuracy_comes_with_wilsons_interval_of_the_ten_thousand_test_images():
    row = results([run_with([0.3, 0.0217])]).loc[0]
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(wilson(9_783, 10_000))


def test_beside_the_tutorial_the_loss_of_the_same_epoch_counts_as_far_as_it_prints_any():
    printed = DEFINITIONS["module"].tutorial_losses
    for epochs in (1, 2, len(printed), len(printed) + 1):
        run = run_with([0.5] * epochs, epochs=epochs)
        beside = results([run]).loc[0, "beside_tutorial"]
        if epochs <= len(printed):
            assert beside == 0.5 - printed[epochs - 1]
        else:
            assert beside is None or np.isnan(beside)
    assert tutorial_losses_of(run) == printed
    start = FineTuning.of("run", "Before", 3, b"start"), b"start"
    assert tutorial_losses_of(create_run(DEFINITIONS["module"], TrainingConfig(), start=start)) == ()


def test_over_seeds_the_means_are_of_all_seeds_and_the_ends_of_one_each():
    table = over_seeds([run_with([0.9, loss], seed=seed) for seed, loss in enumerate((0.1, 0.4, 0.25))])
    assert table.columns.tolist() == [
        "label",
        "seeds",
        "accuracy_mean",
        "accuracy_low",
        "accuracy_high",
        "pen_accuracy_mean",
        "train_loss_mean",
    ]
    numbers = ["seeds", "accuracy_mean", "accuracy_low", "accuracy_high", "train_loss_mean"]
    assert table.loc[0, numbers].tolist() == pytest.approx([3, 0.75, 0.6, 0.9, 0.25])
