import errno
import json
import os
from pathlib import Path

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs import shelf
from cnnlab.runs.folder import FORMAT, BlockedRun, NewerRun
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run, delete_unreadable_run, unreadable_runs
from cnnlab.storage.checksums import sealed
from cnnlab.storage.home import HomeError
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def run():
    return create_run(DEFINITIONS["module"], TrainingConfig(threads=1))


def rewrite(run, **changes):
    """Write a run's run.json as another version of the lab would have."""
    manifest = json.loads(run.manifest_path.read_text())
    del manifest["sha256"]
    run.manifest_path.write_text(json.dumps(sealed(manifest | changes)))


def test_a_run_of_a_newer_version_is_not_called_damaged_and_nobody_is_told_to_delete_it(run):
    rewrite(run, format=FORMAT + 1, config={"unheard_of": 1})
    assert all_runs() == []
    (newer,) = unreadable_runs()
    assert isinstance(newer, NewerRun)
    assert "made by a newer version of the lab" in str(newer)
    assert "Nothing is wrong with it" in str(newer)


def test_a_run_that_cannot_be_made_leaves_nothing(lab_home, monkeypatch):
    def refuse(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shelf, "move_in", refuse)
    with pytest.raises(HomeError, match="is full"):
        create_run(DEFINITIONS["module"], TrainingConfig(threads=1))
    assert list((lab_home / "runs").iterdir()) == []


def test_a_run_of_a_newer_version_is_deleted_where_a_person_wants_it(run):
    rewrite(run, format=FORMAT + 1)
    delete_unreadable_run(run.id)
    assert unreadable_runs() == []
    assert not run.folder.exists()


@pytest.mark.parametrize("number", [0, -1, "2", None, 2.5, True])
def test_a_format_that_is_no_number_of_one_is_damage(number, run):
    rewrite(run, format=number)
    assert [each.kind for each in unreadable_runs()] == ["damaged"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "Permission denied. Give this user the right to read it."),
        (errno.EIO, "Input/output error. Look at the disk"),
        (errno.EMFILE, "Too many open files. Start the lab again"),
        (errno.ENOLCK, "No locks available. Keep the lab's home on a disk of this machine"),
    ],
)
@pytest.mark.parametrize("file", ["run.json", "events.jsonl", "weights.safetensors", "checkpoint.pt"])
def test_a_file_that_the_system_refuses_to_read_is_no_damage(file, number, words, run, monkeypatch):
    for name in ("weights.safetensors", "checkpoint.pt"):
        if name == file:
            (run.folder / name).write_bytes(b"")
    opened = Path.open

    def refuse(path, *arguments, **keywords):
        if path.name == file:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", lambda path, **keywords: path.open(**keywords).read())
    monkeypatch.setattr(Path, "read_bytes", lambda path: path.open("rb").read())
    os.utime(run.manifest_path)
    found = all_runs()
    blocked = found[0].damage() if found else unreadable_runs()[0]
    if file == "events.jsonl" and found:
        with pytest.raises(BlockedRun):
            enqueue(run)
    assert isinstance(blocked, BlockedRun)
    assert words in str(blocked)
    assert "delete" not in str(blocked)


def test_a_home_whose_runs_cannot_be_listed_is_not_an_empty_one(run, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(HomeError, match=r"cannot be read: .*runs: Permission denied\. Let this user read the folder"):
        all_runs()
