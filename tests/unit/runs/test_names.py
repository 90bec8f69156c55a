import io
import zipfile

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.names import InvalidName, InvalidNote, ShippedRun, checked_name, checked_note, name_not_taken
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run, delete_run, reference_runs
from cnnlab.runs.transfer.archive import export_run, files_as_they_are, import_run
from cnnlab.storage.home import home
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def run():
    return create_run(DEFINITIONS["module"], TrainingConfig())


@pytest.mark.parametrize("name", ["a", "a" * 80, "größer 7", "👨\u200d👩"])
def test_a_line_of_up_to_eighty_characters_is_a_name(name):
    assert checked_name(f"  {name} ") == name


@pytest.mark.parametrize(("name", "length"), [("", 0), ("  ", 0), ("a" * 81, 81), ("a\tb", 3), ("a\nb", 3)])
def test_nothing_too_much_and_what_cannot_be_printed_is_no_name(name, length):
    with pytest.raises(InvalidName, match=rf"1 to 80 characters that can be printed; this one has {length}, or"):
        checked_name(name)


@pytest.mark.parametrize("note", ["", "a" * 160, "<b>größer</b> als 7"])
def test_a_line_of_up_to_160_characters_is_a_note(note):
    assert checked_note(f"  {note} ") == note


@pytest.mark.parametrize(("note", "length"), [("a" * 161, 161), ("a\0b", 3), ("a\nb", 3), ("\x1b[31m", 5)])
def test_too_much_and_what_cannot_be_printed_is_no_note(note, length, run):
    run.take_note("before")
    with pytest.raises(InvalidNote, match=rf"up to 160 characters that can be printed; this one has {length}, or"):
        run.take_note(note)
    assert run.note == "before"


def test_a_note_and_a_star_are_kept_until_they_are_taken_away(run):
    assert (run.note, run.is_starred) == ("", False)
    run.take_note(" For Monday ")
    run.star(True)
    again = Run(run.folder)
    assert (again.note, again.is_starred) == ("For Monday", True)
    again.take_note("")
    again.star(False)
    assert (run.note, run.is_starred) == ("", False)
    again.star(False)  # from another tab


@pytest.mark.parametrize(
    ("content", "note"), [(b"\xff", "\ufffd"), (b"a\nb\n", "a\ufffdb\ufffd"), (b"x" * 1_000_000, "x" * 160)]
)
def test_a_note_that_somebody_wrote_by_hand_does_no_harm(content, note, run):
    run.note_path.write_bytes(content)
    assert run.note == note


def test_what_ships_with_the_lab_stays_as_it_is():
    (reference, *_) = reference_runs()
    for change in (lambda: reference.star(True), lambda: reference.take_note("a"), lambda: reference.rename("a")):
        with pytest.raises(ShippedRun, match="ships with the lab"):
            change()
    assert not (reference.star_path.exists())
    assert not (reference.note_path.exists())


def test_a_run_that_is_gone_takes_no_note(run):
    delete_run(run)
    for change in (lambda: run.star(True), lambda: run.take_note("a")):
        with pytest.raises(NoSuchRun):
            change()
    assert list((home() / "runs").iterdir()) == []


def test_notes_and_stars_stay_in_the_home_when_a_run_is_taken_elsewhere(run):
    before = export_run(run)
    run.take_note("Ask Ada")
    run.star(True)
    assert export_run(run) == before
    with zipfile.ZipFile(io.BytesIO(files_as_they_are(run.id))) as files:
        assert {"note.txt", "star"}.isdisjoint(files.namelist())
    imported = import_run(before)
    assert (imported.note, imported.is_starred) == ("", False)


def test_a_run_from_elsewhere_gets_a_name_that_none_here_has(run):
    assert name_not_taken("Mine", {"Yours"}) == "Mine"
    assert name_not_taken("Mine", {"Mine"}) == "Mine (imported)"
    assert name_not_taken("Mine", {"Mine", "Mine (imported)", "Mine (imported 2)"}) == "Mine (imported 3)"
    assert checked_name(name_not_taken("a" * 80, {"a" * 80})) == "a" * 69 + " (imported)"
    content = export_run(run)
    assert [import_run(content).name for _ in range(2)] == [f"{run.name} (imported)", f"{run.name} (imported 2)"]
    assert import_run(export_run(reference_runs()[0])).name == f"{reference_runs()[0].name} (imported)"
    delete_run(run)
    assert import_run(content).name == run_name_of(content)


def run_name_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("name.txt").decode()
