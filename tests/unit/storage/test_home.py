import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cnnlab.storage.files import identifier_after, remove_unfinished, replacing
from cnnlab.storage.home import HomeError, home, writing_to_home


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
