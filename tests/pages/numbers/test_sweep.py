import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig

ACCURACIES = {(0.001, 0): 0.9611, (0.001, 1): 0.9733, (0.01, 0): 0.9845, (0.01, 1): 0.1028}


def finish(run, accuracy, images_per_second=30_000.0, **validation):
    loss = 1 - accuracy
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(
            EpochEvent(1, run.total_steps, loss, loss / 2, accuracy, 2.0, images_per_second, **validation)
        )
        writer.finished()


@pytest.fixture
def sweep():
    """Return a sweep of four runs; the one that learns nothing has not ended."""
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.01), "seed": (0, 1)}))
    for run in sweep.runs():
        if (accuracy := ACCURACIES[run.config.learning_rate, run.config.seed]) > 0.5:
            finish(run, accuracy)
    return sweep


def test_the_best_run_is_named_with_its_accuracy_and_settings(sweep, open_page):
    page = open_page("sweep")
    best = next(each.value for each in page.markdown if "Best so far" in each.value).replace("\\", "")
    assert best == "**Best so far: 98.45 %** on the test set, with learning rate 0.01, seed 0."
    assert page.get("progress")[0].proto.text == "3 of 4 runs ended"
    assert page.get("progress")[0].proto.value == 75


def test_the_table_of_a_sweep_is_what_its_runs_reached(sweep, open_page, formats):
    table = open_page("sweep").dataframe[0]
    assert table.value["Run"].tolist() == sweep.run_ids
    assert table.value["Status"].tolist() == ["finished", "finished", "finished", "queued"]
    assert table.value["Learning rate"].tolist() == [0.001, 0.001, 0.01, 0.01]
    assert table.value["Seed"].tolist() == [0, 1, 0, 1]
    assert table.value["Train loss"].tolist()[:3] == [1 - 0.9611, 1 - 0.9733, 1 - 0.9845]
    assert table.value["Test loss"].tolist()[:3] == [(1 - 0.9611) / 2, (1 - 0.9733) / 2, (1 - 0.9845) / 2]
    assert table.value["Test accuracy"].tolist()[:3] == [100 * 0.9611, 100 * 0.9733, 100 * 0.9845]
    assert formats(table) == {"Train loss": "%.4f", "Test loss": "%.4f", "Test accuracy": "%.2f %%"}


def test_a_cell_of_the_heat_map_is_the_mean_of_its_runs(sweep, open_page, drawn):
    page = open_page("sweep")
    (cells,) = drawn(page)
    shown = cells.set_index(["learning_rate", "seed"])["written"].to_dict()
    assert shown == {(0.001, 0): "96.11 %", (0.001, 1): "97.33 %", (0.01, 0): "98.45 %"}
    sweep.add(Plan({"epochs": 2, "threads": 1, "learning_rate": 0.001, "seed": 0}))
    finish(sweep.runs()[-1], 0.9711)
    (cells,) = drawn(page.run())
    both = cells[(cells["learning_rate"] == 0.001) & (cells["seed"] == 0)].iloc[0]
    assert (both["written"], both["runs"]) == ("96.61 %", 2)


def test_each_line_of_the_parallel_coordinates_is_a_run(sweep, open_page, figures):
    (figure,) = figures(open_page("sweep"))
    axes = {axis["label"]: axis for axis in figure["data"][0]["dimensions"]}
    assert list(axes) == ["Learning rate", "Seed", "Test accuracy (%)"]
    assert axes["Learning rate"]["ticktext"] == ["0.001", "0.01"]
    assert axes["Seed"]["ticktext"] == ["0", "1"]


def test_a_sweep_with_images_for_validation_goes_by_the_accuracy_on_them(open_page, formats):
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "validation": 10_000, "seed": (0, 1)}))
    for run, (accuracy, validation) in zip(sweep.runs(), ((0.99, 0.97), (0.98, 0.975)), strict=True):
        finish(run, accuracy, validation_accuracy=validation)
    page = open_page("sweep")
    best = next(each.value for each in page.markdown if "Best so far" in each.value).replace("\\", "")
    assert best == "**Best so far: 97.50 %** on the images that were kept out of training, with seed 1."
    assert page.dataframe[0].value["Validation accuracy"].tolist() == [97.0, 97.5]
    assert formats(page.dataframe[0])["Validation accuracy"] == "%.2f %%"


def test_what_a_plan_costs_goes_by_the_median_speed_of_the_newest_runs(open_page):
    for speed in (10_000.0, 20_000.0, 60_000.0):
        finish(create_run(DEFINITIONS["module"], TrainingConfig(epochs=1)), 0.97, speed)
    page = open_page("sweep")  # nine runs of three epochs of 60,000 images: 1,620,000 at 20,000 a second
    assert "9 runs, about 1 min 21 s of training" in page.caption[0].value
