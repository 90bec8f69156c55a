import json

import pytest

from cnnlab.runs.shelf import all_runs
from cnnlab.sweeps.folder import BlockedSweep, DamagedSweep, ids_told_to_be_of, new_path
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps, delete_sweep, find_sweep

TWO_SEEDS = Plan({"epochs": 1, "seed": (0, 1)})


def test_no_two_new_sweeps_are_given_the_same_place():
    places = [new_path() for _ in range(40)]
    assert len(set(places)) == 40
    assert places == sorted(places)


def test_the_place_of_a_deleted_sweep_is_not_given_again_nor_waited_for_when_the_clock_was_set_back(lab_home):
    older = Sweep.start(TWO_SEEDS)
    (lab_home / "sweeps" / f"{older.id}.json").rename(lab_home / "sweeps" / "20991231-235959-997.json")
    deleted = Sweep.start(TWO_SEEDS)
    delete_sweep(deleted)
    assert (deleted.id, Sweep.start(TWO_SEEDS).id) == ("20991231-235959-998", "20991231-235959-999")


def test_the_first_sweep_makes_the_home_it_lies_in(tmp_path, monkeypatch):
    home = tmp_path / "some" / "where"
    monkeypatch.setenv("CNNLAB_HOME", str(home))
    sweep = Sweep.start(TWO_SEEDS)
    assert (home / "sweeps" / f"{sweep.id}.json").is_file()
    assert [each.id for each in all_sweeps()] == [sweep.id]


def test_a_sweep_that_two_people_delete_is_gone_and_no_error():
    sweep = Sweep.start(TWO_SEEDS)
    delete_sweep(sweep)
    delete_sweep(sweep)
    assert (all_sweeps(), len(all_runs())) == ([], 2)


def test_a_sweep_that_the_system_does_not_let_the_lab_read_is_not_called_damaged(lab_home):
    path = lab_home / "sweeps" / "20261201-080000-000.json"
    path.parent.mkdir()
    path.symlink_to(path)  # round in a circle
    with pytest.raises(BlockedSweep) as told:
        find_sweep(path.stem)
    reason = "Too many levels of symbolic links"
    assert str(told.value) == f"The sweep {path.stem} cannot be read now: {path}: {reason}."


def test_a_folder_in_the_place_of_a_sweep_is_called_damaged_with_its_path_and_what_to_do(lab_home):
    path = lab_home / "sweeps" / "20261201-080000-000.json"
    path.mkdir(parents=True)
    with pytest.raises(DamagedSweep) as told:
        find_sweep(path.stem)
    assert str(told.value) == (
        f"The sweep {path.stem} is damaged: {path} cannot be read. Put the file back from a copy, or delete it: its "
        "runs stay."
    )


def test_a_sweeps_file_has_a_number_and_one_without_is_from_before(lab_home):
    sweep = Sweep.start(TWO_SEEDS)
    path = lab_home / "sweeps" / f"{sweep.id}.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    assert content.pop("format") == 2
    for told in ({}, {"format": 1}, {"format": 2}):
        path.write_text(json.dumps(content | told))
        assert find_sweep(sweep.id).run_ids == sweep.run_ids


def test_sweeps_are_told_by_who_made_them_also_where_they_cannot_be_read():
    mine, damaged, other = (Sweep.start(TWO_SEEDS, made_by=name) for name in ("Ada", "Ada", "Eve"))
    damaged._path.write_text(damaged._path.read_text().replace('"seed"', '"sead"'))
    assert sorted(ids_told_to_be_of("Ada")) == [mine.id, damaged.id]
    assert ids_told_to_be_of("Eve") == [other.id]
