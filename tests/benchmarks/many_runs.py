"""Measures how long pages take to be at rest with thousands of runs in the home.

    PYTHONPATH=. python tests/benchmarks/many_runs.py [--runs 2000] [--repeats 5]

Times each page in Chromium from the request to the page at rest, with a server that has shown each of them before.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from compare_page import fill
from lab_in_browser import AT_REST, chromium, server
from playwright.sync_api import Page, sync_playwright

BOUND_SECONDS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        newest, other, *_ = fill(Path(home), arguments.runs)
        pages = {
            "Home": "",
            "Train": f"train?run={newest}",
            "Compare": f"compare?runs={newest},{other}",
            "Draw": "draw",
            "Inspect": f"inspect?run={newest}",
        }
        page = chromium(playwright).new_page()
        print(f"{arguments.runs:,} runs, seconds to rest, at most {BOUND_SECONDS}: median (least to greatest)")
        with server(home) as lab:
            for title, path in pages.items():
                seconds_to_rest(page, title, f"{lab.url}/{path}")
                times = [seconds_to_rest(page, title, f"{lab.url}/{path}") for _ in range(arguments.repeats)]
                print(f"{title}: {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})", flush=True)


def seconds_to_rest(page: Page, title: str, url: str) -> float:
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(url)
    page.get_by_role("heading", name=title, exact=True, level=1).wait_for(timeout=60_000)
    page.wait_for_selector(AT_REST, timeout=60_000)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
