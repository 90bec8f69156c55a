"""Who may come in: the server's addresses, the names it is called by, and what other sites may ask of it."""

import base64
import http.client
import socket
import stat

import pytest
from hand import expect_rest
from playwright.sync_api import expect

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.browser


def handshake(url: str, **headers: str) -> int:
    """Ask for a websocket as a browser does, and return the status of the answer: 101 opens it."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    asked = {
        "Host": host,
        "Origin": f"http://{headers.get('Host', host)}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        **headers,
    }
    connection.request("GET", "/_stcore/stream", headers=asked)
    return connection.getresponse().status


def test_it_answers_to_its_own_names_alone(lab_url):
    port = lab_url.rsplit(":", 1)[1]
    assert handshake(lab_url) == 101
    assert handshake(lab_url, Host=f"localhost:{port}") == 101
    assert handshake(lab_url, Host=f"elsewhere.example:{port}") in (400, 403)


def test_a_page_of_another_site_opens_no_connection(lab_url):
    assert handshake(lab_url, Origin="http://elsewhere.example") == 403


def test_an_upload_without_the_sessions_token_is_refused(lab_url):
    connection = http.client.HTTPConnection(lab_url.removeprefix("http://"))
    connection.request("PUT", "/_stcore/upload_file/session/file", body=b"a picture")
    assert connection.getresponse().status in (400, 403)


def test_it_listens_on_one_address_alone(lab_url):
    port = int(lab_url.rsplit(":", 1)[1])
    with pytest.raises(
        ConnectionRefusedError
    ):  # all of 127.0.0.0/8 is this machine; a server that listens on all answers
        socket.create_connection(("127.0.0.2", port))


def test_it_writes_to_its_home_and_nowhere_else(start_lab, open_tab, tmp_path, lab_home, monkeypatch, wait_for):
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        folder = tmp_path / variable
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    (lab_home / "kernels").unlink()  # those that it compiles itself
    lab = start_lab()
    enqueue(create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=1)))
    for path in ("write", "step", "train", "compare", "draw", "inspect"):
        page = open_tab(f"{lab.url}/{path}")
        page.get_by_role("heading", name=path.capitalize(), exact=True, level=1).wait_for()
        expect_rest(page)
    (run,) = all_runs()
    wait_for(lambda: run.status is Status.FINISHED)
    written = [
        path
        for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
        for path in (tmp_path / variable).rglob("*")
    ]
    assert written == []
    assert not any(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) for path in run.folder.rglob("*"))


def test_a_page_in_another_sites_frame_takes_itself_away(lab_url, browser):
    page = browser.new_page()
    page.set_content(f'<iframe src="{lab_url}/train" width="900" height="700"></iframe>')
    expect(page.frame_locator("iframe").locator("body")).to_have_text(
        "CNN Lab is shown inside another page. Open it in a window of its own."
    )
    page.close()
