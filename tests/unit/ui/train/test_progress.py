import pandas as pd
import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.train import progress
from cnnlab.ui.train.progress import epoch_table, progress_line, result_sentence, seconds_to

CONFIG = TrainingConfig(epochs=12, batch_size=600)  # of a hundred steps each


def run_after(*events, model="module", config=CONFIG):
    """Return a run whose training has told such events, and has not ended."""
    run = create_run(DEFINITIONS[model], config)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for event in events:
            writer.append_training(event)
    return run


def line(run, status):
    return progress_line(run, status, run.history())


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (1, "Epoch 1 of 12 · step 1 of 1,200"),
        (100, "Epoch 1 of 12 · step 100 of 1,200"),
        (101, "Epoch 2 of 12 · step 101 of 1,200"),
        (1_200, "Epoch 12 of 12 · step 1,200 of 1,200"),
    ],
)
def test_an_epoch_lasts_until_its_last_step_is_done(step, told):
    run = run_after(BatchEvent(step, -(-step // 100), 0.5, 1.0))
    assert line(run, Status.STOPPED) == told


def test_a_run_that_trains_says_how_much_longer_and_one_that_does_not_does_not():
    run = run_after(*(BatchEvent(step, 1, 0.5, 0.5 * step) for step in range(1, 61)))
    assert line(run, Status.RUNNING) == "Epoch 1 of 12 · step 60 of 1,200 · 9 min 30 s left"  # two steps a second
    assert line(run, Status.INTERRUPTED) == "Epoch 1 of 12 · step 60 of 1,200"


def test_before_the_first_step_it_gets_ready_in_its_first_epoch():
    run = run_after()
    assert line(run, Status.RUNNING) == "Getting ready: loading PyTorch and MNIST"
    assert line(run, Status.STOPPED) == "Epoch 1 of 12 · step 0 of 1,200"


def test_a_run_that_waits_counts_those_before_it():
    runs = [create_run(DEFINITIONS["module"], CONFIG) for _ in range(3)]
    for run in runs[:2]:
        enqueue(run)
    assert [line(run, Status.QUEUED) for run in runs] == [
        "Next in the queue",
        "Waits for its turn: 1 run before it in the queue",
        "Next in the queue",  # it has just been taken out
    ]


@pytest.mark.parametrize(
    ("model", "epoch", "pen_accuracy", "told"),
    [
        (
            "sequential",
            2,
            None,
            "**0.1235** after 2 epochs; the tutorial printed 0.0815 there. **98.76 %** of the test images are right.",
        ),
        (
            "sequential",
            1,
            0.5,
            "**0.1235** after 1 epoch; the tutorial printed 0.2298 there. **98.76 %** of the test images are right, "
            "and 50.00 % of those that people drew.",
        ),
        (
            "sequential",
            10,
            None,
            "**0.1235** after 10 epochs; the tutorial printed 0.0431 there. **98.76 %** of the test images are right.",
        ),
        ("sequential", 11, None, "**0.1235** after 11 epochs. **98.76 %** of the test images are right."),
        ("residual", 2, None, "**0.1235** after 2 epochs. **98.76 %** of the test images are right."),
    ],
)
def test_a_result_stands_beside_the_tutorials_loss_after_as_many_epochs(model, epoch, pen_accuracy, told):
    last = EpochEvent(epoch, 469 * epoch, 0.12345, 0.2, 0.98764, 2.0, 30_000.0, pen_accuracy=pen_accuracy)
    run = run_after(last, model=model, config=TrainingConfig(epochs=12))
    assert result_sentence(run) == told


def test_a_run_without_an_epoch_has_no_result():
    assert result_sentence(run_after(BatchEvent(1, 1, 0.5, 0.5))) == ""


def epochs(count, **columns):
    return pd.DataFrame(
        {
            "epoch": range(1, count + 1),
            "train_loss": 0.25,
            "test_loss": 0.125,
            "test_accuracy": 0.98764,
            "seconds": 2.25,
            "images_per_second": 26_666.7,
        }
        | columns
    )


def test_an_epoch_is_a_row_and_those_to_come_have_theirs():
    table = epoch_table(epochs(1), (0.2, 0.1), planned_epochs=3)
    assert table.to_dict("list") == {
        "Epoch": ["1", "2", "3"],
        "Train loss": ["0.2500", "", ""],
        "Tutorial's": ["0.2000", "0.1000", ""],
        "Difference": ["+0.0500", "", ""],
        "Test loss": ["0.1250", "", ""],
        "Test accuracy": ["98.76 %", "", ""],
        "Seconds": ["2.2", "", ""],
        "Images/s": ["26,667", "", ""],
    }


def test_a_loss_below_the_tutorials_has_a_minus_and_what_is_compared_is_what_is_written():
    assert epoch_table(epochs(1, train_loss=0.12346), (0.2,), 1)["Difference"].tolist() == ["\u22120.0765"]


def test_images_that_were_held_back_have_a_column_of_their_own():
    table = epoch_table(epochs(1, validation_accuracy=0.5), (), planned_epochs=2)
    assert table["Validation"].tolist() == ["50.00 %", ""]


@pytest.mark.parametrize(
    ("done", "planned", "rows"), [(0, 3, 3), (0, 10, 10), (0, 11, 10), (5, 100, 10), (12, 100, 12)]
)
def test_the_table_has_a_row_for_what_is_planned_up_to_ten_and_for_all_that_is_done(done, planned, rows):
    assert len(epoch_table(epochs(done), (), planned)) == rows


@pytest.mark.parametrize(("accuracies", "seconds"), [([0.98, 0.99, 0.995], 4.5), ([0.98, 0.9899], None), ([], None)])
def test_the_time_to_an_accuracy_ends_with_the_first_epoch_that_has_it(accuracies, seconds):
    assert seconds_to(0.99, epochs(len(accuracies), test_accuracy=accuracies)) == seconds


def test_the_newest_points_are_said_to_those_who_do_not_see_the_chart():
    assert progress._chart_in_words(run_after().history()) == "The chart has no epoch yet."
    losses = [EpochEvent(epoch, epoch * 100, 0.5 / epoch, 0.25 / epoch, 0.9, 2.0, 30_000.0) for epoch in (1, 2, 4)]
    assert progress._chart_in_words(run_after(*losses).history()) == (
        "The chart's newest points, after epoch 4: train loss 0.1250, test loss 0.0625, test accuracy 90.00 %."
    )
