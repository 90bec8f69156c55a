import re

import pandas as pd
import pytest
from truth import REFERENCE, events

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.networks.shelf import network_named
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, create_run, find_run
from cnnlab.runs.transfer.archive import export_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import PRESETS, SETTINGS, TrainingConfig
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.train.progress import seconds_to


def number(page, label):
    return next(each for each in page.number_input if each.label == label)


def choice(page, label):
    return next(each for each in page.selectbox if each.label == label)


def button(page, label):
    return next(each for each in page.button if each.label == label)


def ended_run(event, **fields):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=2), name=f"It {event}")
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append(event, **fields)
    return run


def open_run(page, run_id):
    page.query_params["run"] = run_id
    return page.run()


def test_the_form_holds_the_tutorials_recipe(train_page):
    assert not train_page.exception
    assert number(train_page, "Epochs").value == 10
    assert number(train_page, "Batch size").value == 128
    assert number(train_page, "Learning rate").value == 0.001
    assert number(train_page, "Momentum").value == 0.9
    assert [choice(train_page, label).value for label in ("Recipe", "Optimizer", "Schedule", "Device")] == [
        "tutorial",
        "rmsprop",
        "constant",
        "auto",
    ]
    assert "This is the tutorial's recipe." in [each.value for each in train_page.caption]


def test_the_form_has_a_field_for_every_setting(train_page):
    fields = [*train_page.number_input, *train_page.selectbox, *train_page.toggle]
    shown = {field.label: field.value for field in fields}
    assert {setting.label: shown.get(setting.label) for setting in SETTINGS.values()} == {
        setting.label: getattr(TrainingConfig(), name) for name, setting in SETTINGS.items()
    }


def test_a_runs_page_names_its_whole_recipe(train_page):
    config = TrainingConfig(epochs=2, validation=5_000, kernels="torch", shift=1)
    run = create_run(DEFINITIONS["module"], config)
    page = open_run(train_page, run.id)
    assert " · ".join(["nn.Module", *config.described()]) in [each.value for each in page.caption]


def test_the_preset_for_drawing_fills_the_fields(train_page):
    choice(train_page, "Recipe").set_value("drawing").run()
    assert number(train_page, "Learning rate").value == PRESETS["drawing"]["learning_rate"]
    assert [choice(train_page, label).value for label in ("Optimizer", "Schedule")] == ["nesterov", "one-cycle"]
    assert choice(train_page, "Trained on").value == "mnist+pen"


def test_a_click_sent_before_the_browser_has_seen_my_own_does_not_bring_the_recipe_back(train_page):
    known_to_the_browser = choice(train_page, "Recipe").key
    number(train_page, "Epochs").set_value(12).run()
    assert choice(train_page, "Recipe").value == "own"
    assert choice(train_page, "Recipe").key != known_to_the_browser  # so "tutorial" there is no choice of anybody's


def test_a_recipe_that_was_chosen_stays_in_the_list_that_it_was_chosen_from(train_page):
    focused = choice(train_page, "Recipe").key
    choice(train_page, "Recipe").set_value("drawing").run()
    assert (choice(train_page, "Recipe").key, choice(train_page, "Recipe").value) == (focused, "drawing")


def test_the_speedrun_fills_the_fields(train_page):
    choice(train_page, "Recipe").set_value("speedrun").run()
    assert number(train_page, "Batch size").value == PRESETS["speedrun"]["batch_size"]
    assert number(train_page, "Weight decay").value == 0.0005
    assert number(train_page, "Shift (pixels)").value == 1
    assert [choice(train_page, label).value for label in ("Optimizer", "Schedule")] == ["nesterov", "one-cycle"]


@pytest.mark.parametrize(
    ("started", "told"),
    [
        ({"kernels": "fused"}, "The fused backend"),
        ({"kernels": "torch"}, "The torch backend: "),
        ({"kernels": "torch", "kernels_reason": "it trains on cuda"}, "cannot be used: it trains on cuda"),
    ],
)
def test_a_run_says_which_kernels_it_uses_and_why_not_the_labs(train_page, started, told):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=2))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu", **started)
        writer.stopped()
    open_run(train_page, run.id)
    assert any(told in caption.value.replace("\\", "") for caption in train_page.caption)


def test_the_time_to_99_percent_is_that_of_the_first_epoch_that_reaches_it():
    epochs = pd.DataFrame({"seconds": [1.5, 1.0, 1.25], "test_accuracy": [0.98, 0.991, 0.99]})
    assert seconds_to(0.99, epochs) == 2.5
    assert seconds_to(0.995, epochs) is None


def test_the_tutorial_recipe_comes_back(train_page):
    number(train_page, "Epochs").set_value(3)
    number(train_page, "Momentum").set_value(0.5)
    train_page.run()
    assert choice(train_page, "Recipe").value == "own"
    assert "Unlike the tutorial's recipe: 3 epochs · momentum 0.5." in [each.value for each in train_page.caption]
    choice(train_page, "Recipe").set_value("tutorial").run()
    assert (number(train_page, "Epochs").value, number(train_page, "Momentum").value) == (10, 0.9)
    assert all_runs() == []


@pytest.mark.parametrize(
    ("label", "value"), [("Learning rate", 0.0), ("Epochs", 0), ("Batch size", 60_001), ("Momentum", 1.0), ("Seed", -1)]
)
def test_a_bad_value_is_refused_under_the_form(train_page, label, value):
    number(train_page, label).set_value(value)
    button(train_page, "Start training").click().run()
    (error,) = train_page.error
    assert error.value.startswith(f"{label} is {value}; allowed is ")
    assert all_runs() == []


def test_start_makes_a_run_and_puts_it_into_the_address_bar(train_page, wait_for):
    number(train_page, "Seed").set_value(42)
    button(train_page, "Start training").click().run()
    assert not train_page.exception
    (run,) = all_runs()
    assert train_page.query_params["run"] in (run.id, [run.id])
    assert run.config.seed == 42
    wait_for(lambda: run.status is Status.RUNNING)
    button(train_page.run(), "Stop").click().run()
    wait_for(lambda: run.status is Status.STOPPED)


def test_an_unknown_run_is_said_to_be_unknown(train_page):
    open_run(train_page, "../../etc")
    assert as_text("There is no run '../../etc' here") in train_page.error[0].value
    assert not train_page.exception


def test_a_failed_run_shows_its_reason(train_page):
    open_run(train_page, ended_run("failed", reason="The training loss became nan.").id)
    assert train_page.error[0].value == as_text("The training loss became nan.")


def test_an_interrupted_run_shows_the_workers_last_lines_and_can_be_resumed(train_page):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=2))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
    run.errors_path.write_text("Killed for using too much memory\n")
    open_run(train_page, run.id)
    assert "ended unexpectedly" in train_page.warning[0].value
    assert train_page.code[0].value == "Killed for using too much memory"
    assert button(train_page, "Resume")


def test_a_run_can_be_renamed_to_anything_that_can_be_read(train_page):
    run = ended_run("stopped")
    open_run(train_page, run.id)
    next(each for each in train_page.text_input if each.label == "Name").set_value("**Mine** <b>")
    button(train_page, "Save").click().run()
    assert run.name == "**Mine** <b>"
    assert r"\*\*Mine\*\* \<b\>" in [each.value for each in train_page.subheader]


def test_a_note_is_shown_as_text_on_the_runs_page_and_in_the_list(train_page):
    run = ended_run("stopped")
    open_run(train_page, run.id)
    next(each for each in train_page.text_input if each.label == "Note").set_value("**For** <b>Monday").run()
    button(train_page, "Save").click().run()
    assert run.note == "**For** <b>Monday"
    shown = [each.value for each in train_page.caption if "Monday" in each.value]
    assert shown == [r":material/sticky_note_2: \*\*For\*\* \<b\>Monday"] * 2


def test_what_is_changed_elsewhere_while_the_fields_are_open_is_not_overwritten(train_page):
    run = ended_run("stopped")
    open_run(train_page, run.id)
    run.take_note("written in another tab")
    next(each for each in train_page.text_input if each.label == "Name").set_value("Mine")
    button(train_page, "Save").click().run()
    assert (run.name, run.note) == ("Mine", "written in another tab")
    run.rename("Renamed in another tab")
    train_page.run()
    next(each for each in train_page.text_input if each.label == "Note").set_value("For Monday")
    button(train_page, "Save").click().run()
    assert (run.name, run.note) == ("Renamed in another tab", "For Monday")


def test_a_name_that_cannot_be_one_is_refused_and_takes_the_note_with_it(train_page):
    run = ended_run("stopped")
    open_run(train_page, run.id)
    next(each for each in train_page.text_input if each.label == "Name").set_value(" ")
    next(each for each in train_page.text_input if each.label == "Note").set_value("For Monday")
    button(train_page, "Save").click().run()
    assert "name is one line" in train_page.error[0].value
    assert (run.name, run.note) == ("It stopped", "")


def links_in_list(page):
    return [link.proto.label for link in page.get("page_link") if re.fullmatch("run=[-0-9]+", link.proto.query_string)]


def test_a_run_with_a_star_comes_first_in_the_list_until_it_is_taken_away(train_page):
    first, second = (ended_run("stopped") for _ in range(2))
    first.rename("First"), second.rename("Second")
    open_run(train_page, first.id)
    assert "Second" in links_in_list(train_page)[0]
    button(train_page, "Star").click().run()
    assert first.is_starred
    assert "First" in links_in_list(train_page)[0]
    assert any(each.value.startswith(":orange[★] stopped") for each in train_page.caption)
    button(train_page, "Starred").click().run()
    assert "Second" in links_in_list(train_page)[0]


def test_what_ships_with_the_lab_takes_no_star_and_no_note(train_page):
    open_run(train_page, "reference-module")
    assert not {"Star", "Save"} & {each.label for each in train_page.button}


def test_the_list_is_put_into_the_order_that_is_chosen(train_page):
    for name, accuracy in (("B", 0.95), ("A", 0.96), ("C", 0.10)):
        finished_run(accuracy, name=name)
    order = next(each for each in train_page.get("button_group") if each.label == "Order")
    for chosen, names in (("age", "CAB"), ("accuracy", "ABC"), ("name", "ABC")):
        order.set_value(chosen).run()
        mine = [label[0] for label in links_in_list(train_page) if label[1:].startswith(" · Module")]
        assert "".join(mine) == names


def finished_run(accuracy, definition=DEFINITIONS["module"], name=None):
    run = create_run(definition, TrainingConfig(epochs=1), name)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, accuracy, 3.0, 20_000.0))
        writer.finished()
    return run


def test_a_sweep_is_one_row_of_the_list_and_a_search_finds_its_runs(train_page):
    sweep = Sweep.start(Plan({"learning_rate": (0.001, 0.003), "seed": (0, 1)}))
    train_page.run()
    assert as_text(f"{sweep.name} · 4 runs") in [each.label for each in train_page.expander]
    assert links_in_list(train_page) == []
    search = next(each for each in train_page.text_input if each.label == "Search")
    search.set_value("0.003 seed 1").run()
    assert [as_seen(label) for label in links_in_list(train_page)] == ["Sequential · lr 0.003 · seed 1"]


def as_seen(label):
    return label.replace("\\", "").replace("\u2060", "")


@pytest.mark.parametrize("is_here", [True, False])
def test_an_import_says_what_it_brought(is_here, train_page):
    definition = (
        DEFINITIONS["module"] if is_here else read_definition("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    )
    content = export_run(finished_run(0.9712, definition, "Mine"))
    next(each for each in train_page.file_uploader if "archive" in each.label).upload(
        "mine.zip", content, "application/zip"
    ).run()
    run = all_runs()[0]
    assert train_page.query_params["run"] in (run.id, [run.id])
    (told,) = train_page.success
    network = (
        "Its network is here already: nn.Module." if is_here else "Its network was not here: it came along as a source"
    )
    assert as_seen(told.value).startswith(
        f"Imported as **Mine (imported)** · {definition.title} · 1 of 1 epoch · 97.12 % of the test images are right. "
        f"{network}"
    )
    assert open_run(train_page, "reference-module").success == []
    assert open_run(train_page, run.id).success == []


def test_a_run_is_deleted_only_after_a_question(train_page):
    run = ended_run("stopped")
    open_run(train_page, run.id)
    button(train_page, "Delete").click().run()
    assert len(all_runs()) == 1
    button(train_page, "Delete for good").click().run()
    assert all_runs() == []
    assert not train_page.exception


def test_a_home_that_cannot_be_written_is_said_to_be_so(train_page, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", "/proc/nowhere")
    button(train_page, "Start training").click().run()
    assert "The lab's home /proc/nowhere cannot be used" in train_page.error[0].value
    assert not train_page.exception


def test_what_is_typed_is_there_again_after_another_page_and_another_run(app, train_page):
    number(train_page, "Epochs").set_value(3)
    number(train_page, "Batch size").set_value(64)
    number(train_page, "Seed").set_value(7)
    train_page.run()
    app.switch_page("pages/compare.py").run()
    page = app.switch_page("pages/train.py").run()
    open_run(page, "reference-module")
    assert [number(page, label).value for label in ("Epochs", "Batch size", "Seed")] == [3, 64, 7]


def test_a_finished_run_says_what_came_of_it_and_what_can_be_done_next(train_page):
    page = open_run(train_page, "reference-sequential")
    last = events(REFERENCE / "reference-sequential", "epoch")[-1]
    assert (
        f"**{last['train_loss']:.4f}** after 10 epochs; the tutorial printed 0.0431 there. "
        f"**{100 * last['test_accuracy']:.2f} %** of the test images are right."
    ) in [each.value for each in page.markdown]
    links = {link.proto.label: link.proto.query_string for link in page.get("page_link")}
    assert links["Draw on it"] == "runs=reference-sequential"
    assert links["Compare it"].startswith("runs=reference-sequential%2Creference-module")


def test_the_list_of_runs_can_be_searched(train_page):
    for name in ("Apple", "Pear"):
        create_run(DEFINITIONS["module"], TrainingConfig(epochs=2), name)
    next(each for each in train_page.text_input if each.label == "Search").set_value("pear").run()
    labels = [link.proto.label for link in train_page.get("page_link")]
    assert any("Pear" in label for label in labels)
    assert not any("Apple" in label for label in labels)


def test_a_runs_recipe_is_taken_to_be_trained_again_with_one_change(train_page):
    definition = read_definition("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    config = TrainingConfig(epochs=1, learning_rate=0.003, optimizer="adam", seed=4, threads=1)
    run = create_run(definition, config, "Mine", snapshots=7)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
        writer.finished()
    page = open_run(train_page, run.id)
    next(each for each in page.button if each.label == "Again with one change").click().run()
    assert not page.exception
    assert [number(page, label).value for label in ("Epochs", "Learning rate", "Seed", "Snapshots")] == [1, 0.003, 4, 7]
    assert [choice(page, label).value for label in ("Recipe", "Network", "Optimizer")] == ["own", "Mine", "adam"]
    assert network_named("Mine").source == definition.source  # it was not here: it came with the run


def test_a_run_keeps_as_many_snapshots_as_the_field_says(train_page):
    number(train_page, "Snapshots").set_value(0).run()
    next(each for each in train_page.button if each.label == "Start training").click().run()
    assert not train_page.exception
    assert find_run(train_page.query_params["run"]).snapshots == 0


def test_a_network_can_be_taken_to_other_runtimes_where_the_packages_are_and_else_it_says_how_to_install_them(
    train_page, monkeypatch
):
    for is_installed in (True, False):
        monkeypatch.setattr("cnnlab.ui.train.downloads.can_write_onnx", lambda here=is_installed: here)
        page = open_run(train_page, "reference-module")
        onnx = next(each for each in page.get("download_button") if each.label == "Network (ONNX)")
        assert onnx.disabled is not is_installed
        told = [each.value for each in page.caption if "pip install -r cnnlab/requirements-onnx.txt" in each.value]
        assert len(told) == (not is_installed)
