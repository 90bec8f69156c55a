"""Takes the README's picture of the Train page, of a real run: PYTHONPATH=. python tests/browser/picture.py

It opens the lab on a free port, in a home of its own, trains with the tutorial's recipe, and takes the picture when the
sixth epoch has arrived.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT, answers
from playwright.sync_api import sync_playwright
from test_train import expect_epochs, expect_status, start

PICTURE = Path(__file__).with_name("train-page.png")
PORT = "8593"


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", PORT],
            cwd=ROOT,
            env={**os.environ, "CNNLAB_HOME": home},
            stdout=subprocess.DEVNULL,
        )
        try:
            while not answers(f"http://127.0.0.1:{PORT}/_stcore/health"):
                time.sleep(0.1)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{PORT}/train")
            start(page, epochs=10)
            expect_status(page, "Running")
            expect_epochs(page, 6)
            page.screenshot(path=PICTURE)
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
