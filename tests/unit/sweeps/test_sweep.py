import json
import subprocess
import sys

import pytest

from cnnlab.models.definitions import DEFINITIONS, UnknownDefinition
from cnnlab.runs.log import Status
from cnnlab.runs.queue import waiting_runs
from cnnlab.runs.shelf import all_runs, create_run, delete_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.home import HomeError
from cnnlab.sweeps import sweep as sweep_module
from cnnlab.sweeps.folder import DamagedSweep, NoSuchSweep
from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search
from cnnlab.sweeps.search import advance_searches
from cnnlab.sweeps.sweep import (
    NotAllResumed,
    Sweep,
    all_sweeps,
    delete_sweep,
    find_sweep,
    settle_sweeps,
    unreadable_sweeps,
    waiting_runs_of,
)
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import SETTINGS, InvalidConfig, TrainingConfig


def test_values_that_are_not_allowed_are_refused_before_any_run_is_made():
    with pytest.raises(InvalidConfig, match="epochs is 0"):
        Sweep.start(Plan({"epochs": (1, 0)}))
    with pytest.raises(UnknownDefinition):
        Sweep.start(Plan({"model": "mine"}))
    assert all_runs() == []
    assert all_sweeps() == []


def test_a_sweep_queues_its_runs_in_order_and_is_found_again():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (3, 1, 2)}), "Seeds")
    assert [run.config.seed for run in waiting_runs()] == [3, 1, 2]
    found = find_sweep(sweep.id)
    assert (found.name, found.plans, found.run_ids) == ("Seeds", sweep.plans, sweep.run_ids)
    assert [each.id for each in all_sweeps()] == [sweep.id]
    with pytest.raises(NoSuchSweep):
        find_sweep("../sweeps")


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (Plan({"epochs": 1, "seed": (1, 2), "batch_size": (64, 128)}), "Sweep over seed, batch size"),
        (Plan({"epochs": 1}), "Sweep over one run"),
        (Plan({"epochs": 1, "optimizer": ("sgd", "adam")}, search=Search(2)), "Search over optimizer"),
    ],
)
def test_a_sweep_without_a_name_is_called_what_it_tries(plan, name):
    assert Sweep.start(plan).name == name


def test_values_can_be_added_and_what_is_there_is_not_made_again():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    assert sweep.add(Plan({"epochs": 1, "seed": (1, 2), "learning_rate": (0.001, 0.01)})) == 3
    found = find_sweep(sweep.id)
    assert found.tried == ["seed", "learning_rate"]
    assert {(run.config.seed, run.config.learning_rate) for run in found.runs()} == {
        (0, 0.001),
        (1, 0.001),
        (2, 0.001),
        (1, 0.01),
        (2, 0.01),
    }
    assert [run.id for run in waiting_runs()] == found.run_ids
    assert found.add(Plan({"epochs": 1, "seed": (0, 1, 2)})) == 0
    with pytest.raises(InvalidSweep, match="more than 10,000"):
        found.add(Plan({"seed": tuple(range(10_000))}))


def test_its_table_tells_what_came_of_each_run_and_leaves_out_deleted_ones():
    sweep = Sweep.start(Plan({"epochs": 2, "learning_rate": (0.1, 0.2), "seed": (0, 1)}))
    first, second, *_ = sweep.runs()
    with RunWriter.claim(first) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.5, 0.4, 0.9, 1.0, 60_000.0))
        writer.stopped()
    delete_run(second)
    table = sweep.table()
    assert list(table.columns[:4]) == ["run", "status", "learning_rate", "seed"]
    assert table[["learning_rate", "seed"]].values.tolist() == [[0.1, 0], [0.2, 0], [0.2, 1]]
    assert table["status"].tolist() == [Status.STOPPED, Status.QUEUED, Status.QUEUED]
    assert table["test_accuracy"].dropna().tolist() == [0.9]
    assert sweep.resume() == 1
    assert waiting_runs()[-1].id == first.id


def test_its_table_has_the_accuracy_on_what_people_drew_where_a_run_was_asked():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    first, second = sweep.runs()
    for run, asked in ((first, {}), (second, {"pen_accuracy": 0.94})):
        assert "pen_accuracy" not in sweep.table()
        with RunWriter.claim(run) as writer:
            writer.started(step=0, device="cpu")
            writer.append_training(EpochEvent(1, 469, 0.5, 0.4, 0.9, 1.0, 60_000.0, **asked))
            writer.finished()
    accuracies = sweep.table()["pen_accuracy"]
    assert accuracies.isna().tolist() == [True, False]
    assert accuracies[1] == 0.94


def test_a_damaged_run_does_not_keep_the_others_from_going_on():
    sweep = Sweep.start(Plan({"epochs": 2, "seed": (0, 1, 2)}))
    for run in sweep.runs():
        with RunWriter.claim(run) as writer:
            writer.stopped()
    (sweep.runs()[1].folder / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.raises(NotAllResumed, match=r"1 of 3 runs cannot go on\. .* is damaged"):
        sweep.resume()
    assert [run.config.seed for run in waiting_runs()] == [0, 2]


def test_the_queue_of_one_sweep_leaves_out_the_others():
    one, other = (Sweep.start(Plan({"epochs": 1, "seed": (0, 1)})) for _ in range(2))
    assert [run.id for run in waiting_runs_of(other.id)] == other.run_ids
    assert [run.id for run in waiting_runs_of(None)] == one.run_ids + other.run_ids


def test_newer_sweeps_come_first_also_when_the_clock_is_set_back(lab_home):
    folder = lab_home / "sweeps"
    older = Sweep.start(Plan({"seed": (1, 2)}))
    later = folder / "20991231-235959-998.json"
    (folder / f"{older.id}.json").rename(later)
    newest = [Sweep.start(Plan({"seed": (1, 2)})).id for _ in range(2)]
    assert newest == ["20991231-235959-999", "21000101-000000-000"]
    assert [sweep.id for sweep in all_sweeps()] == [*reversed(newest), later.stem]


def rewrite(sweep, lab_home, **changes):
    """Write a sweep's file as somebody would by hand, or another version of the lab."""
    path = lab_home / "sweeps" / f"{sweep.id}.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps({name: value for name, value in (content | changes).items() if value is not GONE}))


GONE = object()


@pytest.mark.parametrize("name", [".20261129-080000-000.json", "notes.txt"])
def test_other_files_are_no_sweeps(name, lab_home):
    sweep = Sweep.start(Plan({"seed": (0, 1)}))
    (lab_home / "sweeps" / name).write_bytes((lab_home / "sweeps" / f"{sweep.id}.json").read_bytes())
    assert [each.id for each in all_sweeps()] == [sweep.id]
    assert unreadable_sweeps() == []


def test_a_damaged_sweep_is_named(lab_home):
    sweep = Sweep.start(Plan({"seed": (0, 1)}))
    path = lab_home / "sweeps" / f"{sweep.id}.json"
    path.write_text(path.read_text().replace('"seed"', '"sead"'))
    assert all_sweeps() == []
    assert [type(error) for error in unreadable_sweeps()] == [DamagedSweep]
    with pytest.raises(NoSuchSweep, match="is damaged"):
        find_sweep(sweep.id)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 3},
        {"name": None},
        {"plans": []},
        {"plans": [3]},
        {"plans": [{"settings": {"nothing": 1}, "draws": None, "draws_seed": 0, "search": None}]},
        {"plans": [{"settings": {"seed": {"low": 3, "high": 1}}, "draws": 2, "draws_seed": 0, "search": None}]},
        {"plans": [{"settings": ["seed"], "draws": None, "draws_seed": 0, "search": None}]},
        {"plans": [{"settings": {}, "draws": "many", "draws_seed": 0, "search": None}]},
        {"plans": [{"settings": {}, "draws": None, "draws_seed": 0, "search": {"runs": 0}}]},
        {"plans": [{"settings": {}, "draws": None, "draws_seed": 0, "search": {"walks": 2}}]},
        {"runs": 3},
        {"runs": [3]},
        {"runs": None},
        {"pruned": [["a"]]},
        {"is_searching": "yes"},
        {"runs": GONE},
        {"format": "two"},
    ],
)
def test_a_sweep_file_that_says_what_cannot_be_is_named_and_the_others_are_there(changes, lab_home):
    bad, good = (Sweep.start(Plan({"seed": (0, 1)})) for _ in range(2))
    rewrite(bad, lab_home, **changes)
    assert [sweep.id for sweep in all_sweeps()] == [good.id]
    (error,) = unreadable_sweeps()
    assert bad.id in str(error)


def test_a_sweep_of_a_newer_version_is_said_to_be_one(lab_home):
    rewrite(Sweep.start(Plan({"seed": (0, 1)})), lab_home, format=3)
    (error,) = unreadable_sweeps()
    assert "made by a newer version" in str(error)
    assert "delete" not in str(error)


def test_a_sweep_that_fails_while_it_is_made_leaves_nothing(lab_home, monkeypatch):
    made = create_run

    def fail_at_third(definition, config, *arguments, **keywords):
        if len(all_runs()) == 2:
            raise HomeError("The lab's home is full.")
        return made(definition, config, *arguments, **keywords)

    monkeypatch.setattr(sweep_module, "create_run", fail_at_third)
    with pytest.raises(HomeError):
        Sweep.start(Plan({"seed": (0, 1, 2, 3)}))
    assert (all_runs(), all_sweeps()) == ([], [])


@pytest.mark.slow
def test_a_sweep_whose_process_was_killed_while_it_was_made_is_cleared_away_at_the_next_start():
    code = """
import os
from cnnlab.runs import shelf
from cnnlab.sweeps import sweep
made = shelf.create_run
def kill_at_third(*arguments, **keywords):
    if len(shelf.all_runs()) == 3:
        os.kill(os.getpid(), 9)
    return made(*arguments, **keywords)
sweep.create_run = kill_at_third
sweep.Sweep.start(sweep.Plan({"seed": (0, 1, 2, 3)}))
"""
    alone = create_run(DEFINITIONS["module"], TrainingConfig())  # of the command line, which is about to train it
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (len(all_runs()), len(all_sweeps())) == (3, 1)
    settle_sweeps()
    assert [run.id for run in all_runs()] == [alone.id]
    assert all_sweeps() == []


def test_a_sweep_that_was_made_and_not_yet_queued_is_queued_at_the_next_start(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "enqueue_all", lambda runs: [])
        sweep = Sweep.start(Plan({"seed": (0, 1)}))
    assert waiting_runs() == []
    settle_sweeps()
    assert [run.id for run in waiting_runs()] == sweep.run_ids


def test_a_sweep_that_another_process_is_making_is_left_alone_and_the_others_are_settled():
    sweeps = [Sweep.start(Plan({"seed": (0, 1)})) for _ in range(3)]
    first, held, last = (create_run(DEFINITIONS["module"], TrainingConfig(), sweep_id=sweep.id) for sweep in sweeps)
    with sweeps[1].changing():
        settle_sweeps()
    assert [run.folder.exists() for run in (first, held, last)] == [False, True, False]
    settle_sweeps()
    assert not held.folder.exists()


def test_runs_of_a_sweep_are_whose_plan_it_was_and_a_deleted_one_leaves_its_runs():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}), made_by="Ada")
    find_sweep(sweep.id).add(Plan({"epochs": 1, "seed": 2}), "Eve")
    assert [run.made_by for run in find_sweep(sweep.id).runs()] == ["Ada", "Ada", "Eve"]
    search = Sweep.start(Plan({"learning_rate": Between(1e-4, 1e-1)}, search=Search(2, at_once=1)), made_by="Bob")
    advance_searches()
    assert [run.made_by for run in find_sweep(search.id).runs()] == ["Bob"]
    for each in all_sweeps():
        delete_sweep(each)
    advance_searches()
    assert (all_sweeps(), len(all_runs())) == ([], 4)


def test_a_sweep_can_go_on_as_long_as_a_run_of_it_can():
    sweep = Sweep.start(Plan({"epochs": 2, "seed": (0, 1)}))
    first, second = sweep.runs()
    assert not sweep.can_resume
    with RunWriter.claim(first) as writer:
        writer.finished()
    assert not sweep.can_resume
    with RunWriter.claim(second) as writer:
        writer.stopped()
    assert sweep.can_resume
    assert sweep.resume() == 1
    assert not sweep.can_resume
    assert [run.id for run in waiting_runs()] == [second.id]


def test_a_sweep_that_is_looked_at_and_not_changed_is_not_written(lab_home):
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    path = lab_home / "sweeps" / f"{sweep.id}.json"
    before = path.stat().st_ino, path.stat().st_mtime_ns
    with sweep.changing():
        pass
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    with sweep.changing():
        sweep.name = "Another"
    assert find_sweep(sweep.id).name == "Another"


def test_a_sweep_may_have_as_many_runs_as_is_said_and_no_more(monkeypatch):
    monkeypatch.setattr(sweep_module, "MOST_RUNS", 3)
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    with pytest.raises(InvalidSweep, match="With 2 more runs the sweep has more than 3"):
        sweep.add(Plan({"epochs": 1, "seed": (1, 2, 3)}))
    assert (len(all_runs()), len(find_sweep(sweep.id).plans)) == (2, 1)
    assert sweep.add(Plan({"epochs": 1, "seed": (1, 2)})) == 1
    assert [len(each) for each in (all_runs(), sweep.run_ids, sweep.plans, find_sweep(sweep.id).plans)] == [3, 3, 2, 2]


def test_what_a_sweep_lacks_of_a_plan_is_told_by_definition_and_recipe():
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    (own,) = {run.model for run in sweep.runs()}
    (other,) = {"module", "sequential"} - {own}
    lacking = sweep.recipes_lacking(Plan({"epochs": 1, "model": (own, other), "seed": (1, 2)}))
    assert [(definition.name, config.seed) for definition, config in lacking] == [(own, 2), (other, 1), (other, 2)]


def test_a_name_that_a_sweep_gives_itself_is_cut_to_eighty_characters():
    fields = ["epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "schedule"]
    sweep = Sweep.start(Plan({name: SETTINGS[name].tried[:2] for name in fields}, draws=1))
    whole = "Sweep over epochs, batch size, optimizer, learning rate, momentum, weight decay, schedule"
    assert sweep.name == whole[:80] != whole


def test_its_table_has_what_each_run_has_reached_and_nothing_of_what_has_not_begun():
    sweep = Sweep.start(Plan({"epochs": 2, "validation": (5_000, 10_000)}))
    first, second = sweep.runs()
    with RunWriter.claim(first) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.5, 0.4, 0.9, 1.0, 60_000.0, 0.45, 0.88))
        writer.append_training(EpochEvent(2, 938, 0.3, 0.2, 0.95, 1.0, 60_000.0, 0.25, 0.93))
        sweep.pruned_ids = [first.id, second.id]
        assert sweep.table()["status"].tolist() == ["running", "queued"]
        writer.stopped()
    table = sweep.table()
    numbers = ["epoch", "train_loss", "test_loss", "test_accuracy", "validation_accuracy"]
    assert table.columns.tolist() == ["run", "status", "validation", *numbers]
    assert table.loc[0].tolist() == [first.id, "pruned", 5_000, 2, 0.3, 0.2, 0.95, 0.93]
    assert table.loc[1, ["run", "status", "validation", "epoch"]].tolist() == [second.id, "queued", 10_000, 0]
    assert table.loc[1, numbers[1:]].isna().all()
    assert "validation_accuracy" not in Sweep.start(Plan({"epochs": 1, "seed": (0, 1)})).table()


def test_runs_of_a_sweep_keep_no_snapshots():
    assert {run.snapshots for run in Sweep.start(Plan({"epochs": 1, "seed": (0, 1)})).runs()} == {0}


def test_a_search_without_a_run_stays_at_the_next_start():
    sweep = Sweep.start(Plan({"learning_rate": Between(1e-4, 1e-1)}, search=Search(2)))
    settle_sweeps()
    assert [(each.id, each.is_searching) for each in all_sweeps()] == [(sweep.id, True)]


def test_a_sweep_that_is_not_there_is_told_with_the_beginning_of_what_was_asked_for():
    with pytest.raises(NoSuchSweep) as told:
        find_sweep("0123456789" * 5)
    assert str(told.value) == f"There is no sweep {'0123456789' * 4!r} here."
    with pytest.raises(NoSuchSweep):
        waiting_runs_of("20261201-080000-000")


def test_damaged_sweeps_are_told_with_the_newest_first(lab_home):
    sweeps = [Sweep.start(Plan({"seed": (0, 1)})) for _ in range(3)]
    for sweep in sweeps:
        rewrite(sweep, lab_home, plans=[])
    told = [str(error) for error in unreadable_sweeps()]
    assert [sweep.id in error for sweep, error in zip(reversed(sweeps), told, strict=True)] == [True] * 3


def test_a_sweep_is_kept_before_its_runs_are_made_so_that_none_is_ever_without_it(monkeypatch):
    seen = []

    def look_and_make(*arguments, **keywords):
        seen.append([(each.id, each.run_ids) for each in all_sweeps()])
        return create_run(*arguments, **keywords)

    monkeypatch.setattr(sweep_module, "create_run", look_and_make)
    sweep = Sweep.start(Plan({"epochs": 1, "seed": (0, 1)}))
    assert seen == [[(sweep.id, [])]] * 2
