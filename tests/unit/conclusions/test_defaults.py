import pytest

from cnnlab.conclusions.defaults import networks_to_draw_for, newest_good, pair_to_compare, runs_of_sweeps
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import all_runs, create_run, delete_run, reference_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig


def end(run, accuracy=0.97, ending="finished"):
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, run.steps_per_epoch, 0.2, 0.2, accuracy, 3.0, 20_000.0))
        writer.append(ending)
    return run


def ended(model, accuracy=0.97, ending="finished", **recipe):
    return end(create_run(DEFINITIONS[model], TrainingConfig(**{"epochs": 1, **recipe})), accuracy, ending)


def everything():
    return [*all_runs(), *reference_runs()]


def compared():
    return [run.id for run in pair_to_compare(everything(), set())]


def test_without_a_pair_of_ones_own_the_shipped_pair_is_compared():
    ended("sequential", learning_rate=0.003)
    ended("module")
    assert compared() == ["reference-sequential", "reference-module"]


@pytest.mark.parametrize("other", [{"seed": 1}, {"learning_rate": 0.003}, {"epochs": 2}, {"threads": 3}])
def test_a_newer_run_with_another_recipe_or_seed_is_no_partner(other):
    sequential, module = ended("sequential", threads=1), ended("module", threads=1)
    ended("module", **{"threads": 1, **other})
    assert compared() == [sequential.id, module.id]


def test_the_newest_of_two_pairs_is_compared():
    ended("sequential"), ended("module")
    module, sequential = ended("module", seed=1), ended("sequential", seed=1)
    assert compared() == [sequential.id, module.id]


@pytest.mark.parametrize("ending", ["failed", "stopped", "interrupted", "queued"])
def test_a_run_that_did_not_finish_is_chosen_nowhere(ending):
    ended("sequential"), ended("module", ending=ending)
    assert compared() == ["reference-sequential", "reference-module"]
    assert newest_good(all_runs()[:1], set()) is None


def test_a_run_that_collapsed_is_chosen_nowhere():
    ended("sequential"), ended("module", accuracy=0.1028)
    assert compared() == ["reference-sequential", "reference-module"]
    assert newest_good(all_runs(), set()).model == "sequential"


def test_a_run_of_a_sweep_is_chosen_nowhere():
    sweep = Sweep.start(Plan({"model": ("sequential", "module"), "epochs": 1}))
    for run in sweep.runs():
        end(run)
    assert runs_of_sweeps() == set(sweep.run_ids)
    assert [run.id for run in pair_to_compare(everything(), runs_of_sweeps())] == [
        "reference-sequential",
        "reference-module",
    ]
    assert newest_good(everything(), runs_of_sweeps()).id == "reference-sequential"


def test_for_drawing_the_run_that_ships_for_it_comes_first_and_then_the_newest_good_one():
    newest = ended("module")
    ended("module", accuracy=0.101)
    assert [run.id for run in networks_to_draw_for(everything(), set())] == ["reference-drawing", newest.id]


def test_on_a_fresh_home_the_shipped_runs_answer():
    chosen = networks_to_draw_for(everything(), set())
    assert [run.id for run in chosen] == ["reference-drawing", "reference-sequential"]


def test_a_run_of_a_network_that_is_written_otherwise_now_is_no_partner(monkeypatch):
    ended("sequential")
    monkeypatch.setattr(type(DEFINITIONS["module"]), "source", property(lambda self: "another one"))
    assert compared() == []


def test_a_newer_run_of_a_network_that_is_not_the_tutorials_hides_no_pair():
    sequential, module = ended("sequential"), ended("module")
    ended("residual")
    assert compared() == [sequential.id, module.id]


def test_a_run_that_was_deleted_just_now_is_chosen_nowhere():
    older, newest = ended("sequential"), ended("module")
    runs = all_runs()
    delete_run(newest)
    assert newest_good(runs, set()).id == older.id


def test_a_run_that_is_right_on_nine_of_ten_is_good_and_on_fewer_is_not():
    worse, good = ended("module", accuracy=0.8999), ended("sequential", accuracy=0.9)
    assert newest_good([worse], set()) is None
    assert newest_good([worse, good], set()).id == good.id


def test_where_only_the_run_for_drawing_is_good_it_is_alone():
    runs = [run for run in reference_runs() if run.id == "reference-drawing"]
    assert networks_to_draw_for(runs, set()) == runs
    assert networks_to_draw_for([], set()) == []
