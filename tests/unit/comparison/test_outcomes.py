import pytest
from truth import images_and_labels, wilson

from cnnlab.comparison.outcomes import collapse_of, has_collapsed, is_chance, is_good, outcome
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig


def run_with(accuracies, losses=(), ending="finished", **recipe):
    """Return a run of two batches an epoch with such accuracies after its epochs, and such batch losses."""
    run = create_run(DEFINITIONS["module"], TrainingConfig(batch_size=30_000, epochs=len(accuracies), **recipe))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for epoch, accuracy in enumerate(accuracies, start=1):
            for step in (2 * epoch - 1, 2 * epoch):
                if step <= len(losses):
                    writer.append_training(BatchEvent(step, epoch, losses[step - 1], float(step)))
            writer.append_training(EpochEvent(epoch, 2 * epoch, 2.3, 2.3, accuracy, 2.0, 30_000.0))
        writer.append(ending)
    return run


@pytest.mark.parametrize("digit", range(10))
def test_always_the_same_answer_is_chance(digit):
    assert is_chance(float((images_and_labels()[1] == digit).mean()))


@pytest.mark.parametrize(("accuracy", "expected"), [(0.1010, True), (0.1028, True), (0.12, False), (0.5, False)])
def test_an_accuracy_near_a_tenth_is_chance(accuracy, expected):
    assert is_chance(accuracy) is expected


def test_a_run_that_trained_to_the_end_and_learned_nothing_has_collapsed():
    run = run_with([0.1010])
    assert has_collapsed(run)
    assert not is_good(run)
    assert outcome(run) == "collapsed"


@pytest.mark.parametrize("ending", ["stopped", "failed", "interrupted", "queued"])
def test_a_run_that_came_to_no_end_has_not_collapsed(ending):
    run = run_with([0.1010], ending=ending)
    assert not has_collapsed(run)
    assert outcome(run) == ending


def test_the_shipped_runs_are_good():
    assert all(is_good(run) and outcome(run) == "finished" and collapse_of(run) is None for run in reference_runs())


def test_where_it_collapsed_is_the_first_epoch_that_none_after_it_betters():
    collapse = collapse_of(run_with([0.93, 0.1028, 0.95, 0.1135, 0.0974], [2.3, 1, 1, 1, 1, 1, 1, 9_883.6]))
    assert (collapse.epoch, collapse.loss, collapse.step) == (4, 9_883.6, 8)


def test_a_loss_that_exploded_asks_for_a_smaller_learning_rate():
    told = collapse_of(run_with([0.1010, 0.1010], [2.3, 9_883.6, 2.35, 2.35], learning_rate=0.03)).sentence()
    assert told == (
        "Collapsed in epoch 1: its loss rose to 9,884 in step 2, and from then on it learned nothing (10.10 % of the "
        "test images are right, as if it guessed). Try a smaller learning rate, such as 0.001; or another seed, which "
        "may be spared."
    )


@pytest.mark.parametrize(
    ("optimizer", "learning_rate", "smaller"),
    [
        *(("rmsprop", 0.5, 0.001), ("rmsprop", 0.005, 0.0005), ("adam", 0.5, 0.001), ("nesterov", 5.0, 0.5)),
        *(("adamw", 0.5, 0.001), ("adam", 0.009, 0.0009), ("sgd", 0.5, 0.05), ("sgd", 0.001, 0.0001)),
    ],
)
def test_the_smaller_rate_is_a_tenth_and_where_gradients_are_scaled_the_tutorials_at_most(
    optimizer, learning_rate, smaller
):
    run = run_with([0.1010], [2.3, 9_883.6], learning_rate=learning_rate, optimizer=optimizer)
    assert collapse_of(run).smaller_rate == pytest.approx(smaller)


@pytest.mark.parametrize(("loss", "has_exploded"), [(4.59, False), (4.61, True)])
def test_a_loss_has_exploded_from_twice_that_of_guessing_on(loss, has_exploded):
    assert collapse_of(run_with([0.1010, 0.1010], [2.3, loss])).has_exploded == has_exploded


def test_a_loss_that_never_moved_asks_for_another_learning_rate():
    collapse = collapse_of(run_with([0.1135], [2.31, 2.30], learning_rate=1e-7))
    assert not collapse.has_exploded
    assert collapse.sentence() == (
        "Collapsed from the first epoch on: its loss stayed near that of guessing, ln 10 = 2.30 (11.35 % of the test "
        "images are right, as if it guessed). Try another learning rate, ten times smaller or larger, or another seed."
    )


def test_chance_ends_where_wilsons_interval_leaves_the_share_of_ones():
    """Of MNIST's test images, 1,135 show a 1: the most that cannot be told from them, counted by Wilson's interval."""
    at_chance = [right for right in range(1_100, 1_400) if wilson(right, 10_000)[0] <= 0.1135]
    most = max(at_chance)
    assert [is_chance(right / 10_000) for right in (0, 500, most - 1, most)] == [True] * 4
    assert [is_chance(right / 10_000) for right in (most + 1, most + 2, 10_000)] == [False] * 3


@pytest.mark.parametrize(("accuracy", "reads_well"), [(0.8999, False), (0.9, True), (0.99, True)])
def test_a_run_that_is_right_on_nine_of_ten_reads_well(accuracy, reads_well):
    assert is_good(run_with([accuracy])) == reads_well
    assert not is_good(run_with([accuracy], ending="stopped"))


def test_a_run_without_an_epoch_has_come_to_nothing():
    run = create_run(DEFINITIONS["module"], TrainingConfig())
    assert (has_collapsed(run), is_good(run), collapse_of(run)) == (False, False, None)


def test_the_greatest_loss_counts_up_to_the_end_of_the_epoch_in_which_it_collapsed():
    collapse = collapse_of(run_with([0.1010, 0.1010], [7.5, 2.4, 9.5, 3.0]))
    assert (collapse.epoch, collapse.loss, collapse.step, collapse.accuracy) == (1, 7.5, 1, 0.1010)
    collapse = collapse_of(run_with([0.95, 0.11, 0.1010], [1.0, 2.0, 3.0, 8.5, 9.0, 9.5]))
    assert (collapse.epoch, collapse.loss, collapse.step, collapse.accuracy) == (2, 8.5, 4, 0.1010)


def test_a_log_without_batches_has_not_exploded_and_names_its_epoch():
    collapse = collapse_of(run_with([0.5, 0.1]))
    assert (collapse.loss, collapse.step, collapse.has_exploded) == (None, None, False)
    assert collapse.sentence().startswith("Collapsed from epoch 2 on: its loss stayed near that of guessing")
