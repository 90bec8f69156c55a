import pytest
from truth import REFERENCE, events

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig

# As the tutorial prints them.
TUTORIAL = {
    "reference-sequential": "0.2298 0.0815 0.0670 0.0576 0.0518 0.0484 0.0480 0.0440 0.0435 0.0431",
    "reference-module": "0.2158 0.0795 0.0644 0.0553 0.0502 0.0440 0.0441 0.0391 0.0380 0.0359",
}


@pytest.mark.parametrize("run_id", TUTORIAL)
def test_the_table_of_epochs_is_the_log_beside_the_tutorials_losses(run_id, open_page):
    table = open_page("train", run=run_id).table[0].value
    logged = events(REFERENCE / run_id, "epoch")
    assert len(logged) == 10
    assert table.to_dict("list") == {
        "Epoch": [str(number) for number in range(1, 11)],
        "Train loss": [f"{epoch['train_loss']:.4f}" for epoch in logged],
        "Tutorial's": TUTORIAL[run_id].split(),
        "Difference": [
            f"{round(epoch['train_loss'], 4) - float(loss):+.4f}".replace("-", "\u2212")
            for epoch, loss in zip(logged, TUTORIAL[run_id].split(), strict=True)
        ],
        "Test loss": [f"{epoch['test_loss']:.4f}" for epoch in logged],
        "Test accuracy": [f"{round(epoch['test_accuracy'] * 10_000) / 100:.2f} %" for epoch in logged],
        "Seconds": [f"{epoch['seconds']:.1f}" for epoch in logged],
        "Images/s": [f"{60_000 / epoch['seconds']:,.0f}" for epoch in logged],
    }


def test_the_loss_of_an_epoch_is_the_mean_of_its_batches():
    batches = events(REFERENCE / "reference-sequential", "batch")
    for epoch in events(REFERENCE / "reference-sequential", "epoch"):
        losses = [batch["loss"] for batch in batches if batch["epoch"] == epoch["epoch"]]
        assert len(losses) == 469
        assert epoch["train_loss"] == pytest.approx(sum(losses) / 469, rel=1e-12)


def test_the_loss_chart_draws_each_curve_of_the_log(open_page, drawn):
    losses, accuracy = drawn(open_page("train", run="reference-module"))
    logged = events(REFERENCE / "reference-module", "epoch")
    batches = [batch["loss"] for batch in events(REFERENCE / "reference-module", "batch")]
    curves = {name: list(zip(own["epoch"], own["loss"], strict=True)) for name, own in losses.groupby("curve")}
    assert curves.keys() == {"batch loss", "train loss", "test loss", "tutorial"}
    assert curves["train loss"] == [(epoch["epoch"], epoch["train_loss"]) for epoch in logged]
    assert curves["test loss"] == [(epoch["epoch"], epoch["test_loss"]) for epoch in logged]
    tutorial = [float(loss) for loss in TUTORIAL["reference-module"].split()]
    assert curves["tutorial"] == list(zip(range(1, 11), tutorial, strict=True))
    means = [sum(batches[first : first + 5]) / 5 for first in range(0, 4690, 5)]
    assert [loss for _, loss in curves["batch loss"]] == pytest.approx(means)
    assert [place for place, _ in curves["batch loss"]][:2] == pytest.approx([3 / 469, 8 / 469])
    assert accuracy[["epoch", "test_accuracy"]].to_numpy().tolist() == [
        [epoch["epoch"], epoch["test_accuracy"]] for epoch in logged
    ]
    assert accuracy["written"].iloc[-1] == "98.44 %"


def test_the_newest_losses_are_said_to_those_who_do_not_see_the_chart(open_page, html):
    last = events(REFERENCE / "reference-module", "epoch")[-1]
    losses = f"train loss {last['train_loss']:.4f}, test loss {last['test_loss']:.4f}"
    page = open_page("train", run="reference-module")
    assert f"after epoch 10: {losses}, test accuracy 98.44 %." in html(page)


def test_the_large_numbers_are_those_of_the_last_epoch(open_page, metrics):
    run = create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=4, batch_size=100))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        for step in range(1, 1801):
            writer.append_training(BatchEvent(step, -(-step // 600), 1 / step, 0.01 * step))
            if step % 600 == 0:
                accuracy = {600: 0.9812, 1200: 0.99, 1800: 0.9876}[step]
                writer.append_training(EpochEvent(step // 600, step, 0.4321, 0.1234, accuracy, 6.25, 9600.0))
        writer.stopped()
    page = open_page("train", run=run.id)
    assert metrics(page) == {
        "Train loss": "0.4321",
        "Test accuracy": "98.76 %",
        "Drawn by people": "–",
        "Images per second": "10,000",  # a batch of 100 each 0.01 s
        "Trained for": "18 s",
        "Time to 99 %": "12.5 s",
    }
    assert page.get("progress")[0].proto.value == 75
    assert page.get("progress")[0].proto.text == "Epoch 3 of 4 · step 1,800 of 2,400"


def test_a_run_that_waits_tells_how_many_are_before_it(open_page):
    config = TrainingConfig(epochs=1, threads=256)
    runs = [create_run(DEFINITIONS["sequential"], config) for _ in range(3)]
    for run in (runs[1], runs[0], runs[2]):
        enqueue(run)
    page = open_page("train", run=runs[2].id)
    assert page.get("progress")[0].proto.text == "Waits for its turn: 2 runs before it in the queue"
