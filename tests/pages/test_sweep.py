import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import delete_network, keep_network, kept_networks
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs
from cnnlab.sweeps.plan import Between, Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps, find_sweep


@pytest.fixture
def sweep_page(app):
    """Return the lab, opened on the Sweep page."""
    return app.switch_page("pages/sweep.py").run()


def written(page, label):
    return next(each for each in page.text_input if each.label == label)


def number(page, label):
    return next(each for each in page.number_input if each.label == label)


def button(page, label):
    return next(each for each in page.button if each.label == label)


def captions(page):
    return " ".join(each.value for each in page.caption)


def test_the_form_says_how_many_runs_it_makes(sweep_page):
    assert not sweep_page.exception
    assert "9 runs" in captions(sweep_page)
    written(sweep_page, "Seed").set_value("0, 1").run()
    assert "6 runs" in captions(sweep_page)
    sweep_page.session_state["sweep_kind"] = "draws"
    number(sweep_page.run(), "Runs, at most").set_value(4).run()
    assert "4 runs" in captions(sweep_page)


def test_a_search_between_two_numbers_is_started(sweep_page):
    sweep_page.session_state["sweep_kind"] = "search"
    sweep_page.run()
    written(sweep_page, "Learning rate").set_value("0.0001 to 0.1").run()
    button(sweep_page, "Start the sweep").click().run()
    assert not sweep_page.exception
    (sweep,) = all_sweeps()
    assert sweep.plans[0].settings["learning_rate"] == Between(1e-4, 1e-1, is_logarithmic=True)
    assert (sweep.plans[0].search.runs, sweep.is_searching) == (20, True)
    assert not any(each.label == "Add to the sweep shown" for each in sweep_page.button)
    button(sweep_page, "Stop all").click().run()
    assert not find_sweep(sweep.id).is_searching


def test_a_range_of_whole_numbers_is_one(sweep_page):
    sweep_page.session_state["sweep_kind"] = "search"
    sweep_page.session_state["sweep_fields"] = ["batch_size"]
    written(sweep_page.run(), "Batch size").set_value("64 to 256").run()
    assert not sweep_page.error
    button(sweep_page, "Start the sweep").click().run()
    assert all_sweeps()[0].plans[0].settings["batch_size"] == Between(64, 256)


def test_more_draws_than_there_are_combinations_are_these(sweep_page):
    sweep_page.session_state["sweep_kind"] = "draws"
    number(sweep_page.run(), "Runs, at most").set_value(10_000).run()
    assert not sweep_page.error
    assert "9 runs" in captions(sweep_page)


def test_another_sweep_is_shown_with_its_name_and_what_it_lacks(app):
    older = Sweep.start(Plan({"epochs": 3, "threads": 1, "learning_rate": 0.001, "seed": (0, 1, 2)}), "Older")
    Sweep.start(Plan({"epochs": 3, "threads": 1, "learning_rate": 0.001, "seed": (0, 1)}), "Newer")
    page = app.switch_page("pages/sweep.py").run()
    written(page, "Learning rate").set_value("0.001").run()
    assert page.subheader[0].value == "Newer"
    assert not button(page, "Add to the sweep shown").disabled
    next(each for each in page.selectbox if each.label == "Sweep").set_value(older.id).run()
    assert page.subheader[0].value == "Older"
    assert button(page, "Add to the sweep shown").disabled


def test_a_range_needs_draws_or_a_search(sweep_page):
    written(sweep_page, "Learning rate").set_value("0.0001 to 0.1").run()
    assert "say how many runs to draw" in sweep_page.error[0].value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no values"),
        ("a, b", "learning_rate is 'a'"),
        ("0.1, 0.1", "a value twice"),
        ("-1", "is -1"),
        ("]", "']'"),
    ],
)
def test_values_that_are_none_are_refused_where_one_looks(text, told, sweep_page):
    written(sweep_page, "Learning rate").set_value(text).run()
    assert not sweep_page.exception
    assert told in sweep_page.error[0].value.replace("\\", "")
    assert not any(each.label == "Start the sweep" for each in sweep_page.button)


def test_more_than_a_hundred_runs_ask_first(sweep_page):
    written(sweep_page, "Seed").set_value(", ".join(map(str, range(50)))).run()
    assert button(sweep_page, "Start the sweep").disabled
    sweep_page.checkbox[0].check().run()
    assert not button(sweep_page, "Start the sweep").disabled


def test_values_are_added_to_the_sweep_that_is_shown(app):
    sweep = Sweep.start(Plan({"epochs": 3, "threads": 1, "learning_rate": 0.001, "seed": (0, 1)}))
    page = app.switch_page("pages/sweep.py").run()
    assert not button(page, "Add to the sweep shown").disabled
    written(page, "Learning rate").set_value("0.001").run()
    written(page, "Seed").set_value("1, 5").run()
    button(page, "Add to the sweep shown").click().run()
    assert not page.exception
    assert [run.config.seed for run in all_sweeps()[0].runs()] == [0, 1, 5]
    assert [each.id for each in all_sweeps()] == [sweep.id]
    assert button(page, "Add to the sweep shown").disabled


def test_ten_thousand_are_the_most(sweep_page):
    written(sweep_page, "Seed").set_value(", ".join(map(str, range(100)))).run()
    written(sweep_page, "Learning rate").set_value(", ".join(f"0.{number:03}" for number in range(1, 102))).run()
    assert "at most 10,000" in sweep_page.error[0].value


def test_all_runs_of_a_sweep_are_stopped_and_resumed_together(app):
    sweep = Sweep.start(Plan({"epochs": 50, "seed": (0, 1)}))
    page = app.switch_page("pages/sweep.py").run()
    button(page, "Stop all").click().run()
    assert not page.exception
    assert not any(run.stop_requested is False and run.status.is_active for run in all_runs())
    assert page.query_params["sweep"] in (sweep.id, [sweep.id])


def test_an_address_of_no_sweep_says_so(app):
    Sweep.start(Plan({"epochs": 50, "seed": (0, 1)}))
    app.switch_page("pages/sweep.py")
    app.query_params["sweep"] = "../nothing"
    app.run()
    assert not app.exception
    assert "no such sweep" in app.warning[0].value
    assert len(all_sweeps()) == 1
    assert {run.status for run in all_runs()} <= {Status.QUEUED, Status.RUNNING}


def test_a_search_does_not_search_over_the_seed(sweep_page):
    sweep_page.session_state["sweep_kind"] = "search"
    sweep_page.run()
    assert "The seed is left out" in captions(sweep_page)
    assert not any(each.label == "Seed" for each in sweep_page.text_input)
    button(sweep_page, "Start the sweep").click().run()
    assert "seed" not in all_sweeps()[0].plans[0].settings


def test_networks_of_ones_own_can_be_tried_beside_the_labs(sweep_page):
    keep_network("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    sweep_page.multiselect(key="sweep_fields").set_value(["model"]).run()
    assert sweep_page.multiselect(key="sweep_model").value == list(DEFINITIONS)
    sweep_page.multiselect(key="sweep_model").set_value(["module", "Rows"]).run()
    button(sweep_page, "Start the sweep").click().run()
    assert not sweep_page.exception
    assert {run.model for run in all_runs()} == {"module", "Rows"}


def test_a_network_that_is_deleted_meanwhile_leaves_the_form(sweep_page):
    keep_network("Rows", "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    sweep_page.multiselect(key="sweep_fields").set_value(["model"]).run()
    sweep_page.multiselect(key="sweep_model").set_value(["module", "Rows"]).run()
    delete_network(*kept_networks())
    sweep_page.run()
    assert not sweep_page.exception
    assert sweep_page.multiselect(key="sweep_model").value == ["module"]
