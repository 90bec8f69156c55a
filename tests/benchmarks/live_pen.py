"""How long from a move of the pen to the changed bars, in a real browser.

    PYTHONPATH=. python tests/benchmarks/live_pen.py

It opens the lab on a free port, in a home of its own, draws with 500 moves on Draw with one, two and twelve runs, and
prints for each the median and the 95th percentile of the milliseconds from the browser's pointer event until the bars
are written.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
MOVES = 500
WATCH = """
() => {
  window.waits = [];
  let since = null;
  document.addEventListener("pointermove", () => { since ??= performance.now(); }, true);
  new MutationObserver(() => {
    if (since !== null) window.waits.push(performance.now() - since);
    since = null;
  }).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["style"] });
}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ["CNNLAB_HOME"] = home
        from cnnlab.runs.archive import export_run, import_run
        from cnnlab.runs.shelf import reference_runs

        runs = [run.id for run in reference_runs()]
        content = export_run(reference_runs()[0])
        runs += [import_run(content).id for _ in range(12 - len(runs))]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                "app.py",
                "--server.headless",
                "true",
                "--server.port",
                str(port),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not is_up(port):
                time.sleep(0.1)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for count in (1, 2, 12):
                waits = waits_on(browser.new_page(viewport={"width": 1280, "height": 900}), port, runs[:count])
                cuts = quantiles(waits, n=20)
                print(
                    f"{count} runs: median {median(waits):.1f} ms, 95 % within {cuts[-1]:.1f} ms ({len(waits)} changes)"
                )
            browser.close()
        finally:
            server.terminate()
            server.wait()


def waits_on(page, port: int, runs: list[str]) -> list[float]:
    page.goto(f"http://127.0.0.1:{port}/draw?runs={','.join(runs)}")
    page.wait_for_selector("canvas.upper-canvas[aria-label]")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.evaluate(WATCH)
    box = page.locator("canvas.upper-canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    for move in range(MOVES):
        across, down = 60 + (move * 7) % 210, 60 + (move * 3) % 220
        page.mouse.move(box["x"] + across, box["y"] + down)
    waits = page.evaluate("window.waits")
    page.mouse.up()
    page.close()
    return waits


def is_up(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).status == 200
    except OSError:
        return False


if __name__ == "__main__":
    main()
