import re
from statistics import median

import numpy as np
import pytest
from truth import REFERENCE, answers, counted, events, images_and_labels, mcnemar, wilson

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig

FIRST, SECOND = "reference-sequential", "reference-drawing"


@pytest.fixture
def compare_page(open_page):
    """Return the Compare page with two runs of which one is better."""
    return open_page("compare", runs=f"{FIRST},{SECOND}")


@pytest.mark.parametrize("measure", ["train_loss", "test_loss", "test_accuracy"])
@pytest.mark.parametrize("axis", ["epoch", "step", "seconds"])
def test_a_curve_is_what_it_is_called_against_what_its_axis_says(measure, axis, compare_page, drawn):
    compare_page.session_state["measure"], compare_page.session_state["axis"] = measure, axis
    (points,) = drawn(compare_page.run())
    for label, run_id in zip(points["label"].unique(), (FIRST, SECOND), strict=True):
        own = points[points["label"] == label].dropna()
        logged = events(REFERENCE / run_id, "epoch")
        places = np.cumsum([epoch["seconds"] for epoch in logged]) if axis == "seconds" else [e[axis] for e in logged]
        assert own["x"].tolist() == pytest.approx(list(places))
        assert own["value"].tolist() == [epoch[measure] for epoch in logged]


def test_a_curve_of_batches_is_the_running_mean_of_their_losses(compare_page, drawn):
    compare_page.session_state["measure"] = "batch_loss"
    (points,) = drawn(compare_page.run())
    assert compare_page.select_slider(key="smoothing").options == ["1", "10", "30", "100", "300", "1000"]
    losses = [batch["loss"] for batch in events(REFERENCE / FIRST, "batch")]
    own = points[points["label"] == points["label"].iloc[0]].dropna()
    assert len(own) > 1000
    for place, value in zip(own["x"], own["value"], strict=True):
        step = round(place * 469)
        assert value == pytest.approx(np.mean(losses[max(0, step - 30) : step]))


def test_the_table_of_results_is_the_log(compare_page):
    table = compare_page.dataframe[0].value
    for place, (run_id, parameters) in enumerate(((FIRST, 29_322), (SECOND, 29_322))):
        logged = events(REFERENCE / run_id, "epoch")
        last, best = logged[-1], min(logged, key=lambda epoch: epoch["test_loss"])
        low, high = wilson(round(last["test_accuracy"] * 10_000), 10_000)
        row = table.iloc[place].to_dict()
        assert {name: row[name] for name in ("status", "progress", "interval", "parameters", "best_epoch")} == {
            "status": "finished",
            "progress": 100,
            "interval": f"{round(low * 10_000) / 100:.2f} % to {round(high * 10_000) / 100:.2f} %",
            "parameters": parameters,
            "best_epoch": best["epoch"],
        }
        assert [row[name] for name in ("train_loss", "test_loss", "test_accuracy", "best_test_loss")] == [
            last["train_loss"],
            last["test_loss"],
            100 * last["test_accuracy"],
            best["test_loss"],
        ]
        assert row["seconds_per_epoch"] == pytest.approx(median(epoch["seconds"] for epoch in logged))
        assert row["images_per_second"] == pytest.approx(median(epoch["images_per_second"] for epoch in logged))


def test_a_train_loss_stands_beside_the_tutorials_of_that_epoch(compare_page):
    shown = compare_page.dataframe[0].value["beside_tutorial"].tolist()
    assert shown[0] == events(REFERENCE / FIRST, "epoch")[-1]["train_loss"] - 0.0431
    assert np.isnan(shown[1])  # the tutorial ends after ten epochs, this run after twelve


def test_accuracies_are_written_as_percentages_and_losses_with_four_decimals(compare_page, formats):
    assert formats(compare_page.dataframe[0]) == {
        "progress": "%.0f %%",
        "train_loss": "%.4f",
        "beside_tutorial": "%+.4f",
        "test_loss": "%.4f",
        "best_test_loss": "%.4f",
        "best_epoch": "%d",
        "test_accuracy": "%.2f %%",
        "pen_accuracy": "%.2f %%",
        "my_digits": "%.2f %%",
        "parameters": "localized",
        "seconds_per_epoch": "%.1f",
        "images_per_second": "localized",
    }


@pytest.mark.slow
def test_the_verdict_counts_the_images_that_only_one_gets_right(compare_page):
    labels = images_and_labels()[1]
    first, second = (answers(REFERENCE / run_id)[0] == labels for run_id in (FIRST, SECOND))
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    assert only_second > only_first
    assert mcnemar(only_first, only_second) < 0.001
    sentence = next(each.value for each in compare_page.markdown if "is right on" in each.value)
    names = re.findall(r"\*\*(.*?)\*\*", sentence)
    one, other = names[0], names[1]
    assert sentence == (
        "The recipes differ (epochs, batch size, optimizer, learning rate, weight decay, schedule, trained on, shift "
        "(pixels), threads, backend): "
        f"**{one}** is right on {only_first:,} of MNIST's test images that **{other}** misses, **{other}** on "
        f"{only_second:,} that **{one}** misses: of these two trained networks **{other}** is the better one, by more "
        "than chance, p < 0.001; which of the differences it comes from cannot be told."
    )


def test_the_confusion_matrices_count_digits_and_answers(compare_page, figures):
    labels = images_and_labels()[1]
    first, second = (np.array(counted(labels, answers(REFERENCE / run_id)[0])) for run_id in (FIRST, SECOND))
    for figure, expected, form in zip(
        figures(compare_page), (first, second, second - first), ("d", "d", "+d"), strict=True
    ):
        cells = figure["data"][1]
        shown = dict(zip(zip(cells["y"], cells["x"], strict=True), cells["text"], strict=True))
        assert shown == {
            (digit, answer): format(expected[digit, answer], form) if expected[digit, answer] else ""
            for digit in range(10)
            for answer in range(10)
        }
    assert "In the third, orange is where the second run gives that answer more often" in key_of(compare_page)


def key_of(page):
    """Return what is said below the confusion matrices of a page."""
    (told,) = [each.value for each in page.caption if each.value.startswith("Each row is a digit")]
    return told


def test_the_images_they_disagree_on_come_with_both_answers_the_surest_first(compare_page, html):
    labels = images_and_labels()[1]
    (first, sure), (second, also_sure) = (answers(REFERENCE / run_id) for run_id in (FIRST, SECOND))
    differing = np.flatnonzero(first != second)
    assert any(f"On {len(differing):,} of 10,000 test images" in each.value for each in compare_page.markdown)
    surest = differing[np.argsort(-(sure + also_sure)[differing], kind="stable")][:3]
    captions = re.findall(r"<figcaption>(Digit .*?)</figcaption>", html(compare_page))
    for caption, index in zip(captions, surest, strict=False):
        digit, one, other = caption.split("<br>")
        assert digit == f"Digit {labels[index]}"
        assert one.endswith(f": {first[index]} ({100 * sure[index]:.0f} %)")
        assert other.endswith(f": {second[index]} ({100 * also_sure[index]:.0f} %)")


def test_over_seeds_the_mean_and_the_ends_are_those_of_the_last_epochs(open_page):
    accuracies = {0: 0.97, 1: 0.985, 2: 0.9813}
    runs = []
    for seed, accuracy in accuracies.items():
        runs.append(create_run(DEFINITIONS["module"], TrainingConfig(epochs=2, seed=seed, threads=1)))
        with RunWriter.claim(runs[-1]) as writer:
            writer.started(step=0, device="cpu")
            writer.append_training(EpochEvent(1, 469, 0.5, 0.2, 0.9, 3.0, 20_000.0))
            last = EpochEvent(2, 938, 0.25 + seed / 100, 0.1, accuracy, 3.0, 20_000.0, pen_accuracy=accuracy - 0.03)
            writer.append_training(last)
            writer.finished()
    page = open_page("compare", runs=",".join(run.id for run in runs))
    row = page.table[0].value.iloc[0].to_dict()
    assert {name: value for name, value in row.items() if name} == {
        "Seeds": "3",
        "Mean test accuracy": "97.88 %",
        "Lowest": "97.00 %",
        "Highest": "98.50 %",
        "Mean on people's digits": "94.88 %",
        "Mean train loss": "0.2600",
    }
    assert row[""].replace("\\", "") == "Module · 2 epochs · seeds 0 to 2"


def test_what_differs_are_the_settings_in_which_the_recipes_differ(compare_page):
    table = compare_page.table[-1].value
    shown = dict(zip(table.columns, table.iloc[1], strict=True))
    assert {name: shown[name] for name in ("Optimizer", "Learning rate", "Epochs")} == {
        "Optimizer": "nesterov",
        "Learning rate": "0.1",
        "Epochs": "15",
    }


def shown_images(page, html):
    """Return the digit and the answers of each image in the first gallery of a page."""
    gallery = re.search(r'<div class="digits">(.*?)</div>', html(page))[1]
    captions = [caption.split("<br>") for caption in re.findall(r"<figcaption>(.*?)</figcaption>", gallery)]
    return [(digit, *(re.search(r": (\d) \(", answer)[1] for answer in told)) for digit, *told in captions]


@pytest.mark.parametrize("which", ["first", "second", "difference"])
def test_behind_a_cell_are_the_images_that_are_so_answered(which, compare_page, html):
    labels = images_and_labels()[1]
    by_first, by_second = (answers(REFERENCE / run_id)[0] == 9 for run_id in (FIRST, SECOND))
    behind = {"first": by_first, "second": by_second, "difference": by_first | by_second}[which]
    count = int((behind & (labels == 4)).sum())
    compare_page.session_state["confusion_cell"] = (which, 4, 9)
    page = compare_page.run()
    heading = next(each.value for each in page.markdown if each.value.startswith("**4 answered as 9** by "))
    assert (" or " in heading) is (which == "difference")
    images = shown_images(page, html)
    assert len(images) == count
    assert {digit for digit, *_ in images} == {"Digit 4"}
    asked = {"first": [1], "second": [2], "difference": [1, 2]}[which]
    assert all("9" in [image[place] for place in asked] for image in images)


def test_the_matrices_of_runs_that_answer_alike_are_one(open_page, figures):
    page = open_page("compare", runs=f"{FIRST},reference-module")
    assert len(figures(page)) == 1
    assert any(each.value.count("Reference") == 2 for each in page.markdown if " and " in each.value)
    assert "Both have the same confusion matrix." in [each.value for each in page.markdown]
    assert "A stronger colour is more errors. Click" in key_of(page)


def test_the_strongest_colour_is_the_largest_number_of_errors_in_a_cell_of_any_of_the_two(compare_page, figures):
    labels = images_and_labels()[1]
    counts = [np.array(counted(labels, answers(REFERENCE / run_id)[0])) for run_id in (FIRST, SECOND)]
    highest = max(int((each * (1 - np.eye(10, dtype=int))).max()) for each in counts)
    assert [(figure["data"][0]["zmin"], figure["data"][0]["zmax"]) for figure in figures(compare_page)] == [
        (0, highest),
        (0, highest),
        (-highest, highest),
    ]


@pytest.mark.slow
def test_of_three_runs_any_two_matrices_can_be_held_against_each_other(open_page, figures):
    page = open_page("compare", runs=f"{FIRST},reference-module,{SECOND}")
    assert len(figures(page)) == 1  # the first two are one network
    page.selectbox(key="second_confused").select_index(2).run()
    first, second, difference = (figure["data"][1]["text"] for figure in figures(page))
    labels = images_and_labels()[1]
    of_first, of_second = (counted(labels, answers(REFERENCE / run_id)[0])[1][1] for run_id in (FIRST, SECOND))
    assert (first[11], second[11], int(difference[11] or 0)) == (str(of_first), str(of_second), of_second - of_first)


@pytest.mark.parametrize(("axis", "end"), [("epoch", 15), ("step", 27_060), ("seconds", None)])
def test_the_axis_reaches_to_the_end_of_the_longest_run_where_that_is_known(axis, end, compare_page, spec):
    compare_page.session_state["axis"] = axis
    assert {name: events(REFERENCE / SECOND, "epoch")[-1][name] for name in ("epoch", "step")} == {
        "epoch": 15,
        "step": 27_060,
    }
    places = spec(compare_page.run())["layer"][0]["encoding"]["x"]["scale"]
    assert places.get("domain") == (None if end is None else [0, end])


@pytest.mark.slow
def test_a_loss_has_a_logarithmic_axis_unless_somebody_turns_it_off_and_an_accuracy_never(compare_page, spec):
    def kind():
        return spec(compare_page.run())["layer"][1]["encoding"]["y"]["scale"]["type"]

    assert kind() == "log"
    compare_page.toggle(key="logarithmic").set_value(False)
    assert kind() == "linear"
    compare_page.toggle(key="logarithmic").set_value(True)
    compare_page.session_state["measure"] = "test_accuracy"
    assert kind() == "linear"


@pytest.mark.slow
def test_the_tutorials_losses_are_drawn_beside_train_losses_alone(compare_page, spec):
    def layers(**state):
        for name, value in state.items():
            compare_page.session_state[name] = value
        return len(spec(compare_page.run())["layer"])

    assert layers() == 7  # a line, and a name for each of the two tables
    assert layers(axis="step") == 7
    assert layers(axis="seconds") == 4
    assert layers(axis="epoch", measure="test_loss") == 4
    assert layers(measure="train_loss", with_tutorial=False) == 4


def test_how_the_sources_differ_is_shown_line_by_line(open_page):
    page = open_page("compare", runs=f"{FIRST},reference-module")
    (changes,) = [each for each in page.code if each.language == "diff"]
    removed, added = ([line for line in changes.value.splitlines() if line.startswith(sign)] for sign in "-+")
    assert any("nn.Sequential" in line for line in removed)
    assert any("nn.Module" in line for line in added)
    (expander,) = [each.label for each in page.expander if "The source of" in each.label]
    assert re.fullmatch(r"The source of .*Sequential.* \(−\) and of .*Module.* \(\+\)", expander)


@pytest.mark.slow
def test_a_run_that_trains_says_how_much_longer_once_that_is_known(open_page):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, batch_size=600))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        page = open_page("compare", runs=run.id)
        assert page.dataframe[0].value["status"].tolist() == ["running"]
        for step in range(1, 41):
            writer.append_training(BatchEvent(step, 1, 0.5, 0.5 * step))
        table = page.run().dataframe[0].value
        assert table["status"].tolist() == ["running, 30 s left"]
        assert table["progress"].tolist() == [40]
        assert table["interval"].tolist() == [None]  # of an accuracy that is not known yet
        writer.stopped()
    assert page.run().dataframe[0].value["status"].tolist() == ["stopped"]
