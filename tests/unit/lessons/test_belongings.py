import pytest

from cnnlab.drawing.my_digits import keep, my_digits
from cnnlab.drawing.strokes import Stroke
from cnnlab.lessons.belongings import delete_belongings
from cnnlab.lessons.notebook import all_notebooks, notebook_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import damaged_networks, keep_network, kept_networks
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run, delete_runs, unreadable_runs
from cnnlab.runs.writer import RunBusy, RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps, unreadable_sweeps
from cnnlab.training.recipe import TrainingConfig

ONE = Stroke(20, ((140, 60), (140, 220)))
NETWORK = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"


def leave_traces(name):
    """Let a learner do what leaves something in the home; return one of his runs."""
    notebook_of(name).begin("1-draw", "2026-12-01T08:00:00+00:00")
    keep(1, [ONE], name)
    keep_network(f"{name}'s", NETWORK, name)
    Sweep.start(Plan({"seed": (0, 1)}), made_by=name)
    run = create_run(DEFINITIONS["module"], TrainingConfig(), made_by=name)
    enqueue(run)
    return run


def test_all_that_belongs_to_a_name_is_deleted_and_nothing_of_others(lab_home):
    leave_traces("Ada")
    leave_traces("Bob")
    nobodys = create_run(DEFINITIONS["module"], TrainingConfig())
    keep(1, [ONE])
    delete_belongings("Ada")
    assert [book.learner for book in all_notebooks()] == ["Bob"]
    assert (len(my_digits("Ada")), len(my_digits("Bob")), len(my_digits())) == (0, 1, 1)
    assert [kept.made_by for kept in kept_networks()] == ["Bob"]
    assert [sweep.made_by for sweep in all_sweeps()] == ["Bob"]
    assert sorted(run.made_by or "" for run in all_runs()) == ["", "Bob", "Bob", "Bob"]
    assert nobodys.name_path.exists()
    assert not [path for path in lab_home.rglob("*") if path.is_file() and b"Ada" in path.read_bytes()]


def test_nothing_is_deleted_while_a_run_of_that_name_trains():
    run = leave_traces("Ada")
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        with pytest.raises(RunBusy, match=r"stop it first\. Nothing was deleted"):
            delete_belongings("Ada")
    assert len(all_runs()) == 3
    assert len(my_digits("Ada")) == len(all_notebooks()) == len(all_sweeps()) == 1


def test_runs_that_cannot_be_read_are_deleted_too_and_names_are_one_however_they_are_written():
    for name in ("Ada", "ADA", "Bob"):
        run = create_run(DEFINITIONS["module"], TrainingConfig(), made_by=name)
        run.manifest_path.write_text("{")
    create_run(DEFINITIONS["module"], TrainingConfig(), made_by="aDA")
    delete_belongings("Ada")
    assert [unreadable.run_id for unreadable in unreadable_runs()] == [run.id]
    assert all_runs() == []


def test_networks_and_sweeps_that_cannot_be_read_are_deleted_too(lab_home):
    for name in ('A"da', "Bob"):
        leave_traces(name)
        keep_network(f"{name}s other", NETWORK, name)
    for folder in ("networks", "sweeps"):
        for path in (lab_home / folder).glob("*.json"):
            path.write_text(path.read_text().replace('"format"', '"form'))  # no JSON any more
    assert len(damaged_networks()) == 4
    delete_belongings('a"DA')
    assert len(damaged_networks()) == 2
    assert len(unreadable_sweeps()) == 1
    assert all("Bob" in path.read_text() for path in damaged_networks())


@pytest.mark.slow
def test_a_run_that_a_worker_takes_meanwhile_keeps_all_of_them():
    for _ in range(3):
        run = create_run(DEFINITIONS["module"], TrainingConfig(), made_by="Ada")
        enqueue(run)
    with RunWriter.claim(all_runs()[1]), pytest.raises(RunBusy):
        delete_runs(all_runs())
    assert len(all_runs()) == 3
