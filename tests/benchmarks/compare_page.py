"""Measures how long the Compare page takes to be at rest with many runs.

    PYTHONPATH=. python tests/benchmarks/compare_page.py [--runs 500] [--repeats 5]

Fills a home of its own with finished runs, starts the lab, opens Compare in Chromium and times it from the request to
the page at rest: for 2, 10 and 20 runs that are chosen in the address.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab_in_browser import AT_REST, chromium, server
from playwright.sync_api import Page, sync_playwright

from cnnlab.runs.folder import REFERENCE_RUNS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        run_ids = fill(Path(home), arguments.runs)
        page = chromium(playwright).new_page()
        with server(home) as lab:
            print(f"{arguments.runs} runs in the home, {arguments.repeats} repeats: median (least to greatest)")
            seconds_to_rest(page, lab.url, run_ids[:2])  # decodes MNIST
            for count in (2, 10, 20):
                times = [seconds_to_rest(page, lab.url, run_ids[:count]) for _ in range(arguments.repeats)]
                print(f"{count} chosen: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


def fill(home: Path, count: int) -> list[str]:
    """Copy the reference runs as often as it takes, under the identifiers of runs that were made a minute apart."""
    references = sorted(REFERENCE_RUNS.iterdir())
    moments = [datetime.now(UTC) - timedelta(minutes=index) for index in range(count)]
    run_ids = [moment.strftime("%Y%m%d-%H%M%S-000") for moment in moments]
    for index, run_id in enumerate(run_ids):
        shutil.copytree(references[index % len(references)], home / "runs" / run_id)
    return run_ids


def seconds_to_rest(page: Page, url: str, run_ids: list[str]) -> float:
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(f"{url}/compare?runs={','.join(run_ids)}")
    page.wait_for_selector(".js-plotly-plot", timeout=60_000)
    page.wait_for_selector(AT_REST, timeout=60_000)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
