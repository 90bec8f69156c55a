"""How long from a move of the pen to the changed bars, and to the diagram through which the drawing passes.

    PYTHONPATH=. python tests/benchmarks/live_pen.py [--moves 500]

It opens Draw in a real browser, in a home of its own, draws with one, two and twelve runs, the diagram of the first one
shown, and prints for each the median and the 95th percentile of the milliseconds from the browser's pointer event until
all bars are written and the diagram is drawn: first while nothing else is done, then while a run trains.
"""

import argparse
import os
import tempfile
from statistics import median, quantiles

from lab_in_browser import AT_REST, chromium, server, wait_until
from playwright.sync_api import Browser, sync_playwright

# The diagram listens to the same event, and has listened longer: it is drawn when this is called.
WATCH = """
(last) => {
  window.waits = [];
  let since = null;
  document.addEventListener("pointermove", () => { since ??= performance.now(); }, true);
  document.addEventListener("cnnlab:values", ({ detail }) => {
    if (since === null || detail.run !== last) return;
    window.waits.push(performance.now() - since);
    since = null;
  });
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=500)
    moves = parser.parse_args().moves
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ["CNNLAB_HOME"] = home
        from cnnlab.models.definitions import DEFINITIONS
        from cnnlab.runs.queue import enqueue
        from cnnlab.runs.shelf import create_run, reference_runs
        from cnnlab.runs.transfer.archive import export_run, import_run
        from cnnlab.training.recipe import TrainingConfig

        runs = [run.id for run in reference_runs()]
        content = export_run(reference_runs()[0])
        runs += [import_run(content).id for _ in range(12 - len(runs))]
        browser = chromium(playwright)
        with server(home) as lab:
            for count in (1, 2, 12):
                print_waits(f"{count} runs", waits_on(browser, lab.url, runs[:count], moves))
        training = create_run(DEFINITIONS["module"], TrainingConfig(epochs=400, threads=1))
        enqueue(training)
        with server(home) as lab:
            browser.new_page().goto(f"{lab.url}/train")
            wait_until(lambda: training.history().step)
            print_waits("2 runs, while another trains", waits_on(browser, lab.url, runs[:2], moves))


def print_waits(what: str, waits: list[float]) -> None:
    told = f"median {median(waits):.1f} ms, 95 % within {quantiles(waits, n=20)[-1]:.1f} ms ({len(waits)} frames)"
    print(f"{what}: {told}", flush=True)


def waits_on(browser: Browser, url: str, runs: list[str], moves: int) -> list[float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}/draw?runs={','.join(runs)}")
    page.wait_for_selector("canvas.upper-canvas[aria-label]")
    page.wait_for_selector(AT_REST)
    page.locator(".st-key-network_diagram canvas").wait_for()
    page.evaluate(WATCH, runs[-1])
    box = page.locator("canvas.upper-canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.evaluate("window.waits.length = 0")
    for move in range(moves):
        across, down = 60 + (move * 7) % 210, 60 + (move * 3) % 220
        page.mouse.move(box["x"] + across, box["y"] + down)
    waits: list[float] = page.evaluate("window.waits")
    page.mouse.up()
    page.close()
    return waits


if __name__ == "__main__":
    main()
