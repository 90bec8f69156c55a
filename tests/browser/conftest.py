import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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


@pytest.fixture
def lab_url(lab_home: Path, tmp_path: Path) -> Iterator[str]:
    """Start the lab on a free port, and end it with all its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless", "true", "--server.port", str(port)]
    with (tmp_path / "server.txt").open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=ROOT,
            env={**os.environ, "CNNLAB_HOME": str(lab_home)},
            stdout=output,
            stderr=output,
        )
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not answers(f"{url}/_stcore/health"):
            assert time.monotonic() < deadline, (tmp_path / "server.txt").read_text()
            time.sleep(0.05)
        yield url
        listed = subprocess.run(["ps", "--ppid", str(server.pid), "-o", "pid="], capture_output=True, text=True)
        server.terminate()
        assert server.wait(timeout=30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in listed.stdout.split()), "a worker outlived its server"


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


@pytest.fixture
def open_page(browser: Browser, lab_url: str) -> Iterator:
    """Return a function that opens an address of the lab in a new tab."""
    pages: list[Page] = []

    def open_one(path: str = "/", **options) -> Page:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.set_default_timeout(60_000)
        pages.append(page)
        page.goto(path if path.startswith("http") else lab_url + path)
        return page

    yield open_one
    for page in pages:
        page.close()
