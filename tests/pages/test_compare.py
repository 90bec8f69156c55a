import shutil

import pytest

from cnnlab.data.mnist import DataError
from cnnlab.inference.test_set import predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, create_run, delete_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.compare import verdict


@pytest.fixture
def compare_page(app):
    """Return the lab, opened on the Compare page."""
    return app.switch_page("pages/compare.py").run()


def button(page, label):
    return next(each for each in page.button if each.label == label)


def chosen(page):
    return page.multiselect(key="compared").value


def texts(page):
    return [each.value for kind in (page.markdown, page.caption, page.subheader) for each in kind]


def ended_run(model, seed, answers_of=None, epochs=1):
    """Return a finished run; with answers that another run has already, the page need not compute them."""
    run = create_run(DEFINITIONS[model], TrainingConfig(epochs=epochs, seed=seed, threads=1))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(epochs, 469 * epochs, 0.2 + seed / 10, 0.2, 0.95, 3.0, 20_000.0))
        writer.save_weights(DEFINITIONS[model].build(seed).state_dict())
        writer.finished()
    if answers_of:
        shutil.copy(answers_of.weights_path, run.weights_path)
        shutil.copy(answers_of.predictions_path, run.predictions_path)
        shutil.copy(answers_of.pen_predictions_path, run.pen_predictions_path)
    return run


def open_comparison(page, *run_ids):
    page.query_params["runs"] = ",".join(run_ids)
    return page.run()


@pytest.mark.slow
def test_at_first_the_newest_pair_of_the_two_definitions_is_chosen(app):
    pair = [ended_run("sequential", 1), ended_run("module", 1)]
    ended_run("module", 2)
    page = app.switch_page("pages/compare.py").run()
    assert not page.exception
    assert chosen(page) == [run.id for run in pair]
    assert page.query_params["runs"] in (",".join(chosen(page)), [",".join(chosen(page))])


@pytest.mark.slow
def test_the_address_chooses_the_runs_and_says_which_are_gone(compare_page):
    run = ended_run("module", 1)
    open_comparison(compare_page, run.id, "20200101-000000-000")
    assert chosen(compare_page) == [run.id]
    assert "20200101" in compare_page.warning[0].value
    assert not compare_page.exception


@pytest.mark.slow
def test_a_run_named_twice_is_compared_once_and_no_run_is_no_warning(compare_page):
    run = ended_run("module", 1)
    open_comparison(compare_page, run.id, run.id, "")
    assert chosen(compare_page) == [run.id]
    open_comparison(compare_page)
    assert chosen(compare_page) == []
    assert not compare_page.warning
    assert not compare_page.exception


@pytest.mark.slow
def test_an_address_with_too_many_runs_says_so(compare_page):
    answering = reference_runs()[0]
    runs = [ended_run("module", seed, answering) for seed in range(21)]
    open_comparison(compare_page, *(run.id for run in runs))
    assert len(chosen(compare_page)) == 20
    assert "names 21 runs; the first 20 are taken" in compare_page.warning[0].value


@pytest.mark.slow
def test_the_choice_outlasts_a_visit_to_another_page(compare_page):
    run = ended_run("module", 1)
    open_comparison(compare_page, run.id)
    compare_page.switch_page("app.py").run()
    compare_page.query_params.clear()
    compare_page.switch_page("pages/compare.py").run()
    assert chosen(compare_page) == [run.id]


@pytest.mark.slow
def test_a_run_deleted_elsewhere_leaves_the_comparison(compare_page):
    kept, deleted = ended_run("module", 1), ended_run("module", 2)
    open_comparison(compare_page, kept.id, deleted.id)
    delete_run(deleted)
    compare_page.run()
    assert chosen(compare_page) == [kept.id]
    assert not compare_page.exception


def test_runs_that_answer_alike_are_said_to(compare_page):
    assert not compare_page.exception
    assert any("give the same answer to every test image: they are one network" in text for text in texts(compare_page))


@pytest.mark.slow
def test_two_networks_that_differ_get_a_verdict_and_images(compare_page):
    first, second = ended_run("module", 1), ended_run("module", 2)
    open_comparison(compare_page, first.id, second.id)
    assert not compare_page.exception
    assert any("is right on" in text and "p " in text for text in texts(compare_page))
    assert any("not all answers are the same" in text for text in texts(compare_page))
    assert [table.value.columns.tolist() for table in compare_page.table][-1] == ["Seed"]


def test_runs_without_weights_are_left_out_of_the_verdict_with_a_reason(compare_page):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))
    with RunWriter.claim(run) as writer:
        writer.stopped()
    open_comparison(compare_page, run.id, "reference-module")
    assert any("has no weights yet" in warning.value for warning in compare_page.warning)
    assert not compare_page.exception


def test_two_networks_get_a_verdict_on_what_people_drew_beside_that_on_mnist(compare_page):
    open_comparison(compare_page, "reference-sequential", "reference-drawing")
    assert not compare_page.exception
    (told,) = [text for text in texts(compare_page) if text.startswith("On digits drawn by people")]
    assert "is right on 94" in told
    assert "more than chance would explain, p < 0.001" in told
    table = compare_page.dataframe[0].value
    assert table["pen_accuracy"].notna().all()  # the first's log is of a version that did not ask for them
    assert table["pen_interval"].str.fullmatch(r"\d\d\.\d\d % to \d\d\.\d\d %").all()


def test_a_run_that_cannot_be_asked_about_what_people_drew_says_so(compare_page, monkeypatch):
    def without_pen(run, test_set="mnist"):
        if test_set == "pen" and run.id == "reference-drawing":
            raise DataError("The pen digits cannot be read.")
        return predictions_of(run, test_set)

    monkeypatch.setattr(verdict, "predictions_of", without_pen)
    open_comparison(compare_page, "reference-sequential", "reference-drawing")
    assert not compare_page.exception
    (told,) = [text for text in texts(compare_page) if text.startswith("On digits drawn by people")]
    assert "**Reference: For drawing** has no answers to them. The pen digits cannot be read" in told.replace("\\", "")


def test_of_three_networks_each_two_are_compared_on_both_test_sets(compare_page):
    open_comparison(compare_page, "reference-sequential", "reference-module", "reference-drawing")
    shown = texts(compare_page)
    mnist, people = shown.index("**MNIST's test images**"), shown.index("**Digits drawn by people**")
    assert [text.startswith("- ") for text in shown[mnist + 1 : people]] == [True] * 3
    assert [text.startswith("- ") for text in shown[people + 1 : people + 4]] == [True] * 3


@pytest.mark.slow
def test_train_both_starts_the_two_definitions_alike_and_chooses_them(compare_page, wait_for):
    button(compare_page, "Train both").click().run()
    assert not compare_page.exception
    module, sequential = all_runs()
    assert chosen(compare_page) == [sequential.id, module.id]
    assert {sequential.model, module.model} == {"sequential", "module"}
    assert sequential.config == module.config
    button(compare_page, "Stop").click().run()
    wait_for(lambda: {run.status for run in all_runs()} == {Status.STOPPED})


def test_a_bad_recipe_is_refused(compare_page):
    next(each for each in compare_page.number_input if each.label == "Epochs").set_value(0)
    button(compare_page, "Train both").click().run()
    assert compare_page.error[0].value.startswith("Epochs is 0; allowed is ")
    assert all_runs() == []


@pytest.mark.slow
def test_missing_seeds_are_started_and_those_there_are_used(compare_page, wait_for):
    there = [ended_run("module", seed, epochs=100) for seed in (0, 2)]  # so many that the third still trains below
    open_comparison(compare_page, there[0].id)
    next(each for each in compare_page.number_input if "Seeds" in each.label).set_value(3)
    compare_page.run()
    button(compare_page, "Start 1 missing run").click().run()
    assert not compare_page.exception
    (started,) = [run for run in all_runs() if run.config.seed == 1]
    assert started.model == "module"
    assert chosen(compare_page) == [there[0].id, started.id, there[1].id]
    assert any("Over the seeds" in text for text in texts(compare_page))
    assert "Module · 100 epochs · seeds 0, 2" in compare_page.table[0].value.to_string().replace("\\", "")
    button(compare_page, "Stop").click().run()
    wait_for(lambda: started.status is Status.STOPPED)


@pytest.mark.slow
def test_twenty_runs_can_be_compared(compare_page):
    runs = [ended_run("module", seed, reference_runs()[seed % 2]) for seed in range(20)]
    open_comparison(compare_page, *(run.id for run in runs))
    assert not compare_page.exception
    assert len(chosen(compare_page)) == 20
    assert any("About 9.5 of 190 pairs" in text for text in texts(compare_page))


def test_nothing_chosen_says_what_to_do(compare_page):
    compare_page.multiselect(key="compared").set_value([]).run()
    assert not compare_page.exception
    assert compare_page.info[0].value == "Choose at least one run."


def test_a_run_that_failed_shows_its_reason_and_one_that_collapsed_what_to_try(compare_page):
    failed = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, learning_rate=9.0))
    with RunWriter.claim(failed) as writer:
        writer.started(step=0, device="cpu")
        writer.failed("The loss is no number any more.", diverged=True)
    collapsed = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, learning_rate=0.03))
    with RunWriter.claim(collapsed) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 9_883.6, 2.3477, 0.101, 3.0, 20_000.0))
        writer.finished()
    open_comparison(compare_page, failed.id, collapsed.id)
    assert compare_page.error[0].value == "**Module · lr 9 · 1 epoch** failed. The loss is no number any more\\."
    assert compare_page.warning[0].value.replace("\\", "").startswith("**Module · lr 0.03 · 1 epoch**: Collapsed from")
    assert compare_page.dataframe[0].value["status"].tolist() == ["failed", "collapsed"]
