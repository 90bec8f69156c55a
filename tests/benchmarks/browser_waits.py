"""Measures what a person waits for in the browser, and what the live view costs, beside the lab's own bounds.

    PYTHONPATH=. python tests/benchmarks/browser_waits.py [--repeats 3]

Starts the lab in a home of its own and drives Chromium: from `streamlit run` to the Train page at rest, page switches,
from Start to the first loss on the screen, how far the live view lags behind the run's log, and the server's share of a
core and memory meanwhile; the same for a run whose log already has 46,000 batch losses.
"""

import argparse
import os
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from lab_in_browser import AT_REST, chromium, megabytes, server, wait_until
from playwright.sync_api import Browser, Page, sync_playwright

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent
from cnnlab.training.recipe import TrainingConfig

PAGES = ("Home", "Write", "Train", "Compare", "Draw", "Inspect")
PROGRESS = re.compile(r"step ([\d,]+) of")
WATCHED_SECONDS = 15
LONG_RUN = TrainingConfig(epochs=130, threads=1)
LONG_RUN_STEPS = 46_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"{'what':76}{'bound':>10}{'median':>10}{'min':>10}{'max':>10}")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ["CNNLAB_HOME"] = home
        browser = chromium(playwright)
        report("first start to the Train page at rest, empty home", "6 s", [seconds_to_the_train_page(browser, home)])
        starts = [seconds_to_the_train_page(browser, home) for _ in range(repeats)]
        report("start to the Train page at rest", "6 s", starts)
        # The first one decodes MNIST and compiles the kernels.
        report(
            "first start: Start to the first loss, clicked at once",
            "2 s",
            [seconds_when_clicked_at_once(browser, home)],
        )
        losses = [seconds_when_clicked_at_once(browser, home) for _ in range(repeats)]
        report("Start to the first loss shown, clicked at once", "2 s", losses)
        with server(home) as lab:
            page = open_train_page(browser, lab.url)
            page.wait_for_timeout(5_000)  # as a person who reads; a worker gets ready meanwhile
            for title, seconds in seconds_of_switches(page).items():
                report(f"first visit of {title}", "1 s", [seconds])
            rounds = [seconds_of_switches(page) for _ in range(repeats)]
            for title in PAGES:
                report(f"later visits of {title}", "1 s", [seconds[title] for seconds in rounds])
            losses = [seconds_to_first_loss(page) for _ in range(repeats)]
            report("Start to the first loss shown, clicked after 5 s", "2 s", losses)
            with trained_from(page):
                watch(page, lab.pid, "a short run", newest_run())
                report("memory of its worker", "600 MB", [megabytes(worker_of(newest_run()))])
            with long_run() as run:
                page.goto(f"{lab.url}/train?run={run.id}")
                watch(page, lab.pid, "a run with 46,000 batch losses", run)
            report("memory of the server", "500 MB", [megabytes(lab.pid)])


def report(what: str, bound: str, values: list[float]) -> None:
    shown = "".join(f"{value:10.2f}" for value in (statistics.median(values), min(values), max(values)))
    print(f"{what:76}{bound:>10}{shown}", flush=True)


def open_train_page(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(f"{url}/train")
    wait_for_page(page, "Train")
    return page


def wait_for_page(page: Page, title: str) -> None:
    page.get_by_role("heading", name=title, exact=True, level=1).wait_for()
    page.wait_for_selector(AT_REST)


def seconds_to_the_train_page(browser: Browser, home: str) -> float:
    with server(home) as lab:
        page = open_train_page(browser, lab.url)
        seconds = time.monotonic() - lab.began
        page.close()
    return seconds


def seconds_of_switches(page: Page) -> dict[str, float]:
    seconds = {}
    for title in PAGES:
        started = time.monotonic()
        page.locator(".st-key-navigation").get_by_text(title, exact=True).click()
        wait_for_page(page, title)
        seconds[title] = time.monotonic() - started
        page.wait_for_timeout(500)
    return seconds


def seconds_when_clicked_at_once(browser: Browser, home: str) -> float:
    with server(home) as lab:
        page = open_train_page(browser, lab.url)
        with trained_from(page, after_milliseconds=0) as seconds:
            pass
        page.close()
    return seconds


def seconds_to_first_loss(page: Page) -> float:
    with trained_from(page) as seconds:
        return seconds


@contextmanager
def trained_from(page: Page, after_milliseconds: int = 5_000) -> Iterator[float]:
    """Start a run on the Train page, yield how long its first loss took, and stop it in the end."""
    page.locator(".st-key-navigation").get_by_text("Train", exact=True).click()
    wait_for_page(page, "Train")
    page.wait_for_timeout(after_milliseconds)  # as a person who reads the form; the next worker gets ready
    runs = len(all_runs())
    epochs = 50 + runs  # no other run has as many: the progress that the page shows is this one's
    page.get_by_role("spinbutton", name="Epochs").fill(str(epochs))
    page.get_by_role("spinbutton", name="Epochs").press("Tab")
    started = time.monotonic()
    page.get_by_role("button", name="Start training").click()
    wait_until(lambda: len(all_runs()) > runs)
    page.get_by_text(re.compile(rf"step [1-9][\d,]* of {newest_run().total_steps:,}")).wait_for()
    yield time.monotonic() - started
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_until(lambda: not newest_run().status.is_active)


def newest_run() -> Run:
    return all_runs()[0]


def worker_of(run: Run) -> int:
    started = re.findall(r'"process": (\d+)', (run.folder / "events.jsonl").read_text())
    return int(started[-1])


@contextmanager
def long_run() -> Iterator[Run]:
    """Write a run as a worker would, one step every 2 ms, from one on that has trained 46,000 steps."""
    run = create_run(DEFINITIONS["sequential"], LONG_RUN)
    ended = threading.Event()
    with RunWriter.claim(run) as writer:
        writer.started(step=0)
        steps = iter(range(1, run.total_steps + 1))
        for step in range(1, LONG_RUN_STEPS + 1):
            writer.append_training(BatchEvent(next(steps), 1 + step // 469, 0.1, step * 0.002))

        def write_on() -> None:
            for step in steps:
                if ended.wait(0.002):
                    return
                writer.append_training(BatchEvent(step, 1 + step // 469, 0.1, step * 0.002))

        thread = threading.Thread(target=write_on)
        thread.start()
        yield run
        ended.set()
        thread.join()
        writer.stopped()


def watch(page: Page, server_pid: int, what: str, run: Run) -> None:
    """Report how far the page lags behind the log, and what that costs the server."""
    page.get_by_text(PROGRESS).first.wait_for()
    page.wait_for_timeout(2_000)
    before, began = cpu_seconds(server_pid), time.monotonic()
    lags, gaps = lags_and_gaps(page, run)
    share = (cpu_seconds(server_pid) - before) / (time.monotonic() - began)
    report(f"lag of the live view, {what}", "1 s", lags)
    report(f"seconds between two changes of the view, {what}", "", gaps)
    report(f"server, percent of a core, {what}", "15 %", [100 * share])


def lags_and_gaps(page: Page, run: Run) -> tuple[list[float], list[float]]:
    log = run.folder / "events.jsonl"
    logged: list[tuple[float, int]] = []
    lags: list[float] = []
    changes: list[float] = []
    shown_before = None
    end = time.monotonic() + WATCHED_SECONDS
    while (now := time.monotonic()) < end:
        logged.append((now, newest_step(log)))
        match = PROGRESS.search(page.get_by_text(PROGRESS).first.inner_text())
        shown = int(match[1].replace(",", "")) if match else None
        if shown is not None and shown != shown_before:
            if shown_before is not None:
                changes.append(now)
                lags.append(now - next((at for at, step in logged if step >= shown), now))
            shown_before = shown
        time.sleep(0.01)
    # A step that the log held before the watch began says nothing about the lag.
    return lags[1:], [later - earlier for earlier, later in pairwise(changes)]


def newest_step(log: Path) -> int:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2_000))
        steps = re.findall(rb'"step": (\d+)', file.read())
    return int(steps[-1]) if steps else 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
