import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.storage import home as home_module
from cnnlab.storage import locks
from cnnlab.storage.files import identifier_after, remove_unfinished, replacing
from cnnlab.storage.home import HomeError, home, require_home, require_readable_home, writing_to_home
from cnnlab.training.recipe import TrainingConfig


def test_the_home_is_the_variable_or_a_folder_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNLAB_HOME")
    assert home() == tmp_path / ".cnnlab"
    monkeypatch.setenv("CNNLAB_HOME", "elsewhere")
    assert home() == tmp_path / "elsewhere"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("CNNLAB_HOME", "~/lab")
    assert home() == tmp_path / "me" / "lab"
    monkeypatch.setenv("CNNLAB_HOME", "~nobody-of-that-name/lab")
    assert home() == tmp_path / "~nobody-of-that-name" / "lab"


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written"), (errno.ENOTDIR, "cannot be used")],
)
def test_a_failed_write_says_what_to_do(code, words, lab_home):
    with pytest.raises(HomeError, match=f"{lab_home} {words}.*point CNNLAB_HOME"), writing_to_home():
        raise OSError(code, os.strerror(code))


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "run" / "weights"
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as unfinished:
        unfinished.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("taken", "next_one"),
    [
        (["20991231-235959-999"], "21000101-000000-000"),
        (["20991231-235959-001", "20261125-000000-000", "no time"], "20991231-235959-002"),
        (["20991231-235959-999", "99991231-235959-999", "99999999-999999-999"], "21000101-000000-000"),
    ],
)
def test_an_identifier_is_greater_than_those_that_are_a_time_with_one_after_it(taken, next_one):
    assert identifier_after(taken) == next_one


def test_an_identifier_is_the_time_now():
    before, after = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (-1, 60))
    made = datetime.strptime(f"{identifier_after([])}000", "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)
    assert before < made < after


@pytest.fixture(
    params=[("size=1m", "is full", False), ("size=128k", "is full", True), ("ro", "cannot be written", False)],
    ids=["full when MNIST is decoded", "full when weights are saved", "read-only"],
)
def bad_home(request, tmp_path, decoded_mnist):
    """A real file system that is full or read-only, where this machine lets us mount one."""
    options, words, has_mnist = request.param
    folder = tmp_path / "mounted"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a file system here")
    if has_mnist:
        (folder / "mnist.safetensors").symlink_to(decoded_mnist)
    yield folder, words
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_the_command_line_says_in_one_sentence_that_the_home_is_bad(bad_home):
    folder, words = bad_home
    command = [sys.executable, "-m", "cnnlab", "train", "--epochs", "1"]
    ended = subprocess.run(command, env={**os.environ, "CNNLAB_HOME": str(folder)}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert f"Error: The lab's home {folder} {words}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_a_killed_process_had_not_finished_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f".run.json.{ended.pid}.1").write_text("half")
    (folder / f".20260101-000000-000.{ended.pid}.140001").mkdir()
    kept = {f".weights.{os.getpid()}.1", "run.json", ".hidden", f"notes.{ended.pid}.1"}
    for name in kept:
        (folder / name).touch()
    remove_unfinished(folder)
    assert {path.name for path in folder.iterdir()} == kept


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path):
    remove_unfinished(tmp_path / "gone")


def test_a_file_system_without_locks_is_said_before_anything_is_made(lab_home, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    home_module._require_locks.cache_clear()
    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(HomeError, match=r"without file locks \(No locks available\).*CNNLAB_HOME"):
        create_run(DEFINITIONS["module"], TrainingConfig())
    assert not (lab_home / "runs").exists()
    home_module._require_locks.cache_clear()


def test_a_home_that_cannot_be_listed_is_said(lab_home, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(HomeError, match="Permission denied"):
        require_readable_home()


def test_a_home_that_is_not_there_yet_is_no_problem_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", str(tmp_path / "new"))
    require_readable_home()
    assert not (tmp_path / "new").exists()
    require_home()
    assert (tmp_path / "new").is_dir()


@pytest.mark.slow
def test_without_fcntl_one_sentence_says_where_the_lab_runs():
    code = (
        "import runpy, sys; sys.modules['fcntl'] = None; sys.argv = ['cnnlab', 'runs']; "
        "runpy.run_module('cnnlab', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.startswith("CNN Lab runs on Linux and macOS.")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1
