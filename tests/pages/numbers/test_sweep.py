import pytest
import streamlit as st

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run, delete_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan, Search
from cnnlab.sweeps.search import advance_searches
from cnnlab.sweeps.sweep import Sweep, find_sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame import live

ACCURACIES = {(0.001, 0): 0.9611, (0.001, 1): 0.9733, (0.01, 0): 0.9845, (0.01, 1): 0.1028}


def finish(run, accuracy, images_per_second=30_000.0, **others):
    loss = 1 - accuracy
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(
            EpochEvent(1, run.total_steps, loss, loss / 2, accuracy, 2.0, images_per_second, **others)
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


def written(page, key):
    """Return the sentences in the box that answers the sweep's question."""
    (found,) = [each.value for each in page.markdown if key in each.value]
    return found.replace("\\", "")


def test_the_answer_is_over_seeds_and_of_what_has_ended(sweep, open_page):
    """The mean of 96.11 and 97.33 % is 96.72 %, and Student's t for one degree of freedom 12.706.

    The half width is 12.706 · (97.33 - 96.11) / 2 = 7.75 %.
    """
    page = open_page("sweep")
    assert written(page, "best mean") == (
        "So far, learning rate 0.01 has the best mean accuracy: 98.45 % (one seed). The next best is learning rate "
        "0.001 with 96.72 % (95 % interval 88.97 to 100.00 %, 2 seeds): a difference of 1.73 percentage points, of "
        "which single seeds cannot say whether it is chance."
    )
    assert page.get("progress")[0].proto.text == "3 of 4 runs ended"
    assert page.get("progress")[0].proto.value == 75
    captions = " ".join(each.value for each in page.caption).replace("\\", "")
    assert "1 run of 4 not finished: they count for nothing" in captions


def test_a_sweep_that_has_ended_tells_which_value_is_best_and_what_collapsed(sweep, open_page):
    """The means are 96.72 and (98.45 + 10.29) / 2 = 54.37 %.

    Welch's t is 42.35 / √(0.61² + 44.08²) = 0.9606, with 1.0004 degrees of freedom, p = 1 - 2/π · arctan t = 0.513.
    It takes (1.96 + 0.84)² · 2 · (0.61² + 44.08²) / 42.35² + 0.96 = 17.97 seeds.
    """
    finish(sweep.runs()[-1], 0.1029)
    page = open_page("sweep")
    assert written(page, "best mean") == (
        "Learning rate 0.001 has the best mean accuracy: 96.72 % (95 % interval 88.97 to 100.00 %, 2 seeds). The next "
        "best is learning rate 0.01 with 54.37 % (95 % interval 0.00 to 100.00 %, 2 seeds): a difference of 42.35 "
        "percentage points, which chance alone would explain, p = 0.51; were it real, it would take about 18 seeds of "
        "each to tell."
    )
    assert any("1 of 2 runs with learning rate 0.01" in each.value.replace("\\", "") for each in page.caption)
    assert page.dataframe[0].value["Status"].tolist() == ["finished", "finished", "finished", "collapsed"]


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


def test_with_one_setting_the_mean_of_each_value_is_drawn_with_its_runs(sweep, open_page, drawn):
    means = drawn(open_page("sweep"))[0].set_index("learning_rate")
    assert means["written"].to_dict() == {0.001: "96.72 %", 0.01: "98.45 %"}
    assert means["interval"].to_dict() == {0.001: "88.97 % to 100.00 %", 0.01: "one seed"}
    assert means["runs"].to_dict() == {0.001: 2, 0.01: 1}


def test_a_cell_of_the_heat_map_is_the_mean_of_its_runs_over_the_seeds(open_page, drawn):
    sweep = Sweep.start(Plan({"epochs": (1, 2), "threads": 1, "learning_rate": (0.001, 0.01), "seed": (0, 1)}))
    accuracies = [0.9611, 0.9633, 0.9845, 0.9847, 0.9711, 0.9733, 0.99]
    for run, accuracy in zip(sweep.runs(), accuracies, strict=False):
        finish(run, accuracy)
    cells = drawn(open_page("sweep"))[0]
    shown = cells.set_index(["epochs", "learning_rate"])
    assert shown["written"].to_dict() == {
        (1, 0.001): "96.22 %",
        (1, 0.01): "98.46 %",
        (2, 0.001): "97.22 %",
        (2, 0.01): "99.00 %",
    }
    assert shown["runs"].tolist() == [2, 2, 2, 1]


def test_a_sweep_with_images_for_validation_goes_by_the_accuracy_on_them(open_page, formats):
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "validation": 10_000, "seed": (0, 1)}))
    for run, (accuracy, validation) in zip(sweep.runs(), ((0.99, 0.97), (0.98, 0.975)), strict=True):
        finish(run, accuracy, validation_accuracy=validation)
    page = open_page("sweep")
    assert written(page, "mean accuracy").startswith("The mean accuracy is 97.25 %")
    assert any("By the accuracy on images kept out of training" in each.value for each in page.caption)
    assert page.dataframe[0].value["Validation accuracy"].tolist() == [97.0, 97.5]
    assert formats(page.dataframe[0])["Validation accuracy"] == "%.2f %%"


def test_a_sweep_can_be_looked_at_by_the_accuracy_on_what_people_drew(open_page, drawn):
    """On MNIST 0.01 is best, on drawings 0.001: (94 + 95) / 2 = 94.5 %, Student's half width 12.706 · 0.5 = 6.35 %.

    One run is of a version that did not ask.
    """
    runs = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.01), "seed": (0, 1)})).runs()
    for run, accuracy, asked in zip(runs, (0.96, 0.97, 0.98, 0.98), (0.94, 0.95, 0.93, None), strict=True):
        finish(run, accuracy, pen_accuracy=asked)
    page = open_page("sweep")
    assert written(page, "best mean").startswith("Learning rate 0.01 has the best mean accuracy: 98.00 %")
    (choice,) = [each for each in page.get("button_group") if each.label == "By the accuracy on"]
    assert [option.content for option in choice.proto.options] == ["MNIST's test images", "Digits drawn by people"]
    page.session_state[choice.key] = "pen_accuracy"
    page.run()
    assert not page.exception
    assert written(page, "best mean") == (
        "Learning rate 0.001 has the best mean accuracy: 94.50 % (95 % interval 88.15 to 100.00 %, 2 seeds). The next "
        "best is learning rate 0.01 with 93.00 % (one seed): a difference of 1.50 percentage points, of which single "
        "seeds cannot say whether it is chance."
    )
    captions = " ".join(each.value for each in page.caption).replace("\\", "")
    assert "1 run of an earlier version, without this accuracy: left out." in captions
    assert "By the accuracy on digits drawn by people; single runs tell little." in captions
    assert drawn(page)[0].set_index("learning_rate")["written"].to_dict() == {0.001: "94.50 %", 0.01: "93.00 %"}
    assert page.dataframe[0].value["Accuracy on people's digits"].dropna().tolist() == [94.0, 95.0, 93.0]


def test_a_search_says_that_it_goes_by_validation_images_whatever_is_looked_at(open_page):
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.01)}, search=Search(2)))
    advance_searches()
    (run,) = find_sweep(sweep.id).runs()
    finish(run, 0.96, validation_accuracy=0.97, pen_accuracy=0.94)
    page = open_page("sweep")
    assert "97.00 % (one seed)" in written(page, "mean accuracy")
    assert any(each.value.startswith("The search itself chooses by the images kept out") for each in page.caption)


def test_what_a_plan_costs_goes_by_the_median_speed_of_the_newest_runs(open_page):
    for speed in (10_000.0, 20_000.0, 60_000.0):
        finish(create_run(DEFINITIONS["module"], TrainingConfig(epochs=1)), 0.97, speed)
    page = open_page("sweep")  # nine runs of three epochs of 60,000 images: 1,620,000 at 20,000 a second
    told = "9 runs over learning rate 0.0003, 0.001, 0.003 and seed 0, 1, 2: about 1 min 21 s of training"
    assert any(told in each.value for each in page.caption)


def progress(page):
    return page.get("progress")[0].proto


def made_captions(page):
    return [each.value.replace("\\", "") for each in page.caption if each.value.startswith("It made ")]


def test_a_search_counts_the_runs_that_it_is_still_to_make_until_it_is_stopped(open_page):
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.003, 0.01)}, search=Search(3)))
    advance_searches()
    for run in find_sweep(sweep.id).runs():
        finish(run, 0.96, validation_accuracy=0.97)
    page = open_page("sweep")
    assert (progress(page).text, progress(page).value) == ("1 of 3 runs ended", 33)
    assert made_captions(page) == []
    find_sweep(sweep.id).end_search()
    page.run()
    assert (progress(page).text, progress(page).value) == ("1 of 1 run ended", 100)
    assert made_captions(page) == ["It made 1 of 3 runs: it was stopped, or found no other settings that are allowed."]


def test_a_search_that_made_all_its_runs_and_a_sweep_that_has_all_say_nothing_of_any_lacking(sweep, open_page):
    assert made_captions(open_page("sweep")) == []
    search = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.003)}, search=Search(1)))
    advance_searches()
    find_sweep(search.id).end_search()
    assert len(find_sweep(search.id).run_ids) == 1
    assert made_captions(open_page("sweep", sweep=search.id)) == []


def test_runs_that_were_deleted_are_not_counted_and_those_that_a_search_broke_off_are(sweep, open_page):
    first, *_, last = sweep.runs()
    delete_run(first)
    with RunWriter.claim(last) as writer:
        writer.stopped()
    with sweep.changing():
        sweep.pruned_ids.append(last.id)
    page = open_page("sweep")
    assert (progress(page).text, progress(page).value) == ("3 of 3 runs ended, 1 of them early", 100)
    assert page.dataframe[0].value["Status"].tolist() == ["finished", "finished", "pruned"]


def test_what_the_charts_show_is_said_below_them(open_page):
    sweep = Sweep.start(Plan({"epochs": (1, 2), "threads": 1, "learning_rate": (0.001, 0.01)}))
    for run in sweep.runs():
        finish(run, 0.97)
    captions = [each.value for each in open_page("sweep").caption]
    assert "The mean test accuracy of the runs in each cell. Click one to compare its runs." in captions
    assert any(each.startswith("Filled: the mean over all runs with that value") for each in captions)


def test_a_sweep_is_looked_at_each_second_while_it_trains_and_only_then_can_be_stopped(sweep, open_page, monkeypatch):
    paces = []
    fragment = st.fragment
    monkeypatch.setattr(live, "_seen", {})  # nobody else looks
    monkeypatch.setattr(st, "fragment", lambda part, run_every: paces.append(run_every) or fragment(part))
    page = open_page("sweep")

    def disabled():
        return {each.label: each.disabled for each in page.button if each.label in ("Stop all", "Resume")}

    assert (paces, disabled()) == ([1.0], {"Stop all": False, "Resume": True})
    with RunWriter.claim(sweep.runs()[-1]) as writer:
        writer.stopped()
    page.run()
    assert (paces, disabled()) == ([1.0, None], {"Stop all": True, "Resume": False})
    with RunWriter.claim(sweep.runs()[-1]) as writer:
        writer.finished()
    page.run()
    assert disabled() == {"Stop all": True, "Resume": True}
