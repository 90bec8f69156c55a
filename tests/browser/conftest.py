import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs
from cnnlab.runs.writer import RunBusy, RunWriter

ROOT = Path(__file__).parents[2]
# What is waited for comes in a second or two; on a machine with much else to do, it may take far longer.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        yield launched
        launched.close()


@dataclass(frozen=True)
class Lab:
    """A server of the lab."""

    process: subprocess.Popen
    url: str
    output: Path

    def children(self) -> list[int]:
        """Return the ids of the processes that it has started."""
        listed = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid="], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]


def started(home: Path, output: Path) -> Lab:
    """Start a server on a free port, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless", "true", "--server.port", str(port)]
    with output.open("ab") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=ROOT,
            env={**os.environ, "CNNLAB_HOME": str(home)},
            stdout=file,
            stderr=file,
        )
    lab = Lab(server, f"http://127.0.0.1:{port}", output)
    deadline = time.monotonic() + 60
    while not answers(f"{lab.url}/_stcore/health"):
        assert time.monotonic() < deadline, output.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.05)
    return lab


@pytest.fixture
def start_lab(lab_home: Path, tmp_path: Path) -> Iterator[Callable[[], Lab]]:
    """Return a function that starts the lab on a free port; those still there at the end are told to end."""
    labs: list[Lab] = []

    def start() -> Lab:
        labs.append(started(lab_home, tmp_path / "server.txt"))
        return labs[-1]

    yield start
    for lab in labs:
        if lab.process.poll() is None:
            end_in_order(lab)


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, decoded_mnist: Path, compiled_kernels: Path) -> Iterator[Lab]:
    """Start one lab for all tests that do not end it; its home is a link to that of each test in turn."""
    folder = tmp_path_factory.mktemp("served")
    nobodys = folder / "nobodys"
    nobodys.mkdir()
    (nobodys / "mnist.safetensors").symlink_to(decoded_mnist)
    (nobodys / "kernels").symlink_to(compiled_kernels)
    (folder / "home").symlink_to(nobodys)
    lab = started(folder / "home", folder / "server.txt")
    yield lab
    end_in_order(lab)


@pytest.fixture
def lab(shared_lab: Lab, lab_home: Path, wait_for: Callable[..., None]) -> Iterator[Lab]:
    """Return the lab that such tests share, with this test's home; what trains there at the end is stopped."""
    link = shared_lab.output.with_name("home")
    move(link, lab_home)
    yield shared_lab
    wait_for(lambda: not stop_what_trains())
    move(link, link.with_name("nobodys"))
    assert shared_lab.process.poll() is None, shared_lab.output.read_text(encoding="utf-8", errors="replace")


def move(link: Path, home: Path) -> None:
    """Let a server's home be another folder, with what the worker that waits for a run there writes to."""
    for words in link.glob(".worker.*"):
        words.rename(home / words.name)
    link.with_name("next").symlink_to(home)
    link.with_name("next").replace(link)


def stop_what_trains() -> list[Run]:
    """Stop all runs, and return those that train or wait still."""
    for run in all_runs():
        if run.status is Status.RUNNING and not run.stop_requested:
            run.request_stop()
        elif run.status is Status.QUEUED:
            with suppress(RunBusy), RunWriter.claim(run) as writer:  # one that has it begins to train it
                if run.status is Status.QUEUED:
                    writer.stopped()
    return [run for run in all_runs() if run.status in (Status.RUNNING, Status.QUEUED)]


def end_in_order(lab: Lab, sent: signal.Signals = signal.SIGTERM) -> None:
    """Tell a server to end, and see that it does, with all that it has started."""
    children = lab.children()
    lab.process.send_signal(sent)
    assert lab.process.wait(timeout=30) == 0
    assert not any(is_alive(pid) for pid in children), "a worker outlived its server"


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def lab_url(lab: Lab) -> str:
    """Return the address of the lab."""
    return lab.url


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


@pytest.fixture
def open_tab(browser: Browser) -> Iterator:
    """Return a function that opens an address in a new tab."""
    pages: list[Page] = []

    def open_one(url: str, **options) -> Page:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.set_default_timeout(60_000)
        pages.append(page)
        page.goto(url)
        return page

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def open_page(lab_url: str, open_tab: Callable[..., Page]) -> Callable[..., Page]:
    """Return a function that opens a page of the lab in a new tab."""
    return lambda path="/", **options: open_tab(path if path.startswith("http") else lab_url + path, **options)


@pytest.fixture
def look_at(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Return a function that opens a page of the lab, for tests that only look at it."""
    return open_page
