from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from cnnlab.ui.frame import download
from cnnlab.ui.frame.download import download_button


@pytest.fixture
def files(monkeypatch):
    """Return what keeps files for browsers in a server of Streamlit."""
    manager = MediaFileManager(MemoryMediaFileStorage("/media"))
    monkeypatch.setattr(download, "get_instance", lambda: SimpleNamespace(media_file_mgr=manager))
    monkeypatch.setattr(download, "get_script_run_ctx", lambda: SimpleNamespace(session_id="Ada's"))
    return manager


@pytest.fixture
def press(files, monkeypatch):
    """Return a function that presses the button, as Streamlit does, and returns the file's place."""
    pressed = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, **options: pressed.update(data=data, **options))

    def press_it():
        asked = files.add_deferred(pressed["data"], pressed["mime"], "0.1", pressed["file_name"])
        return PurePosixPath(files.execute_deferred(asked)).stem

    return press_it


@pytest.mark.parametrize("content", [b"PK and more", "step,loss\n1,2.3\n"])
def test_a_file_is_there_until_the_browser_has_it_however_many_pages_end_before(content, files, press):
    download_button("Losses", lambda: content, file_name="losses.csv", mime="text/csv")
    place = press()
    for _ in range(5):
        files.remove_orphaned_files()
    assert files.read_file(place).content == (content if isinstance(content, bytes) else content.encode())


def test_a_file_is_let_go_after_its_page_ran_anew(files, press):
    download_button("Losses", lambda: b"all", file_name="losses.csv", mime="text/csv")
    place = press()
    files.clear_session_refs("Ada's")
    for _ in range(2):
        files.remove_orphaned_files()
    assert files.read_file(place) is None


def test_the_newest_file_of_a_button_alone_is_kept(files, press):
    contents = iter([b"one", b"two"])
    download_button("Losses", lambda: next(contents), file_name="losses.csv", mime="text/csv")
    first, second = press(), press()
    for _ in range(2):
        files.remove_orphaned_files()
    assert files.read_file(first) is None
    assert files.read_file(second).content == b"two"
