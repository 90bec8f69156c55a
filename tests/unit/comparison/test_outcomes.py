import pytest
from truth import images_and_labels

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
    [("rmsprop", 0.5, 0.001), ("rmsprop", 0.005, 0.0005), ("adam", 0.5, 0.001), ("nesterov", 5.0, 0.5)],
)
def test_the_smaller_rate_is_one_that_does_not_explode_too(optimizer, learning_rate, smaller):
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


def test_a_log_without_batches_still_tells_the_epoch():
    assert collapse_of(run_with([0.5, 0.1])).epoch == 2
