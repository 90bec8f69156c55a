"""Measures what the browser waits for, and what the live view costs, each beside the bound that the lab has set itself.

    PYTHONPATH=. python tests/benchmarks/waits.py [--repeats 5] [--only start,switch,live] [--json]

Starts the lab in a home of its own, over and over, and drives Chromium. *start*: from `streamlit run` to the Train page
at rest, and from Start training to the first loss on the screen. *switch*: from a click on a link to the page at rest.
*live*: how far the live view is behind a run's log, and the server's share of a core and memory meanwhile; for a run
that trains, and for two that this process writes at a worker's pace, one from its first step on and one that has 46,000
steps behind it.

A bound is met when 95 of 100 values keep it, and met in the median when half of them do. What happens in the browser is
timed by the browser, against the same clock as the log.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count, pairwise
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from cnnlab.data import TRAIN_IMAGES
from cnnlab.models import DEFINITIONS
from cnnlab.runs import Run, RunWriter, all_runs
from cnnlab.training import BatchEvent, EpochEvent, TrainingConfig

# In the order of the visits: each begins on another page.
HEADINGS = {"Home": "CNN Lab"} | {title: title for title in ("Models", "Train", "Compare", "Draw", "Inspect")}
# A person reads before the next click; meanwhile the lab gets a worker ready.
READING_SECONDS = 5
WATCHED_SECONDS = 20
STEPS_PER_EPOCH = -(-TRAIN_IMAGES // TrainingConfig().batch_size)
# Each run that is started has a number of epochs of its own: so its progress line cannot be taken for another run's.
UNUSED_EPOCHS = count(150)
LONG_RUN_EPOCHS = 98
SECONDS_PER_WRITTEN_STEP = 0.004

# Every change of what tells where a page stands, with its time, since the document was made.
DIARY = """
window.diary = [];
const shown = () => [
  document.querySelector('[data-testid=stApp]')?.dataset.testScriptState ?? '',
  Array.from(document.querySelectorAll('h1'), heading => heading.textContent).join('\\n'),
  document.querySelector('[data-testid=stProgress]')?.textContent ?? '',
];
let last = '';
const note = clicked => {
  const now = shown();
  if (clicked || now.join('\\n') !== last) window.diary.push([Date.now() / 1000, clicked, ...now]);
  last = now.join('\\n');
};
document.addEventListener('click', () => note(true), true);
new MutationObserver(() => note(false)).observe(
  document, { subtree: true, childList: true, attributes: true, characterData: true }
);
"""


@dataclass(frozen=True)
class Figure:
    """What was measured, with the most that it should be, in the same unit."""

    what: str
    unit: str
    bound: float | None
    values: list[float]

    @property
    def most_of_them(self) -> float:
        if len(self.values) < 2:
            return self.values[0]
        return statistics.quantiles(self.values, n=20, method="inclusive")[-1]

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        if self.most_of_them <= self.bound:
            return "met"
        return "met in the median" if statistics.median(self.values) <= self.bound else "not met"

    def summary(self) -> dict[str, float]:
        return {
            "median": statistics.median(self.values),
            "p95": self.most_of_them,
            "min": min(self.values),
            "max": max(self.values),
        }

    def as_row(self) -> str:
        bound = "" if self.bound is None else f"{self.bound:g}"
        numbers = "".join(f"{number:9.2f}" for number in self.summary().values())
        return f"{self.what:66}{self.unit:>5}{bound:>6}{numbers}{len(self.values):6}  {self.verdict}"

    def as_json(self) -> str:
        return json.dumps({**asdict(self), **self.summary(), "verdict": self.verdict})


@dataclass(frozen=True)
class Moment:
    """What a page showed from a time on, in seconds since 1970."""

    at: float
    clicked: bool
    state: str
    headings: str
    progress: str

    @property
    def is_at_rest(self) -> bool:
        return self.state == "notRunning"

    @property
    def step(self) -> int | None:
        match = re.search(r"step ([\d,]+) of", self.progress)
        return int(match[1].replace(",", "")) if match else None

    def shows_page(self, title: str) -> bool:
        return self.is_at_rest and HEADINGS[title] in self.headings.split("\n")

    def shows_loss_of(self, epochs: int) -> bool:
        return bool(self.step) and f" of {epochs * STEPS_PER_EPOCH:,}" in self.progress


@dataclass(frozen=True)
class Lab:
    """A started server, and the Train page that it served first."""

    url: str
    process: int
    page: Page
    seconds_to_page: float


def main() -> None:
    parts = {"start": starts, "switch": switches, "live": live_views}
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(parts))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{'what':66}{'unit':>5}{'bound':>6}{'median':>9}{'95 %':>9}{'min':>9}{'max':>9}{'count':>6}")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ["CNNLAB_HOME"] = home
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        for part in arguments.only.split(","):
            for figure in parts[part](browser, arguments.repeats):
                print(figure.as_json() if arguments.json else figure.as_row(), flush=True)


def starts(browser: Browser, repeats: int) -> Iterator[Figure]:
    """Measure the first wait of all, and the one for the first loss."""
    yield Figure("start to Train at rest, empty home", "s", 6, [start_with_empty_home(browser) for _ in range(repeats)])
    to_page, at_once, after_reading, second = [], [], [], []
    for _ in range(repeats):
        with lab(browser) as started:
            to_page.append(started.seconds_to_page)
            at_once.append(waits_for_first_loss(started.page))
            started.page.wait_for_timeout(1000 * READING_SECONDS)
            second.append(waits_for_first_loss(started.page))
        with lab(browser) as started:
            to_page.append(started.seconds_to_page)
            started.page.wait_for_timeout(1000 * READING_SECONDS)
            after_reading.append(waits_for_first_loss(started.page))
    yield Figure("start to Train at rest, used home", "s", 6, to_page)
    yield from first_losses("first run, clicked at once", at_once)
    yield from first_losses(f"first run, clicked after {READING_SECONDS} s", after_reading)
    yield from first_losses(f"second run, clicked after {READING_SECONDS} s", second)


def start_with_empty_home(browser: Browser) -> float:
    with tempfile.TemporaryDirectory() as home, lab(browser, home) as started:
        return started.seconds_to_page


def switches(browser: Browser, repeats: int) -> Iterator[Figure]:
    """Measure each page's first visit, for which a server is started each time, and a later one."""
    first, later = [], []
    for _ in range(repeats):
        with lab(browser) as started:
            started.page.wait_for_timeout(1000 * READING_SECONDS)
            first.append(seconds_of_visits(started.page))
            later.append(seconds_of_visits(started.page))
    yield from visits_of_pages("first visit", first)
    yield from visits_of_pages("later visits", later)


def visits_of_pages(what: str, rounds: list[dict[str, float]]) -> Iterator[Figure]:
    for title in HEADINGS:
        yield Figure(f"switch to {title}, {what}", "s", 1, [seconds[title] for seconds in rounds])


def live_views(browser: Browser, repeats: int) -> Iterator[Figure]:
    """Measure the Train page beside a run that trains, and beside a short and a long one that are only written."""
    with lab(browser) as started:
        page, process = started.page, started.process
        page.wait_for_timeout(1000 * READING_SECONDS)
        yield Figure("server's CPU, no run", "%", 15, [cpu_percent(process)])
        with run_started_on(page) as (run, _):
            yield from watched(started, run, "a run trains")
            yield from memory_of("server, a run trains", process, bound=500)
            yield from memory_of("worker", worker_of(run), bound=600)
            yield Figure("memory of the server and its workers (PSS)", "MB", None, [megabytes_with_workers(process)])
            seconds_of_visits(page)
            yield from visits_of_pages("later visits, a run trains", [seconds_of_visits(page) for _ in range(repeats)])
        for epochs_done, what in ((0, "a run is written"), (LONG_RUN_EPOCHS, "a long run is written")):
            with written_run(epochs_done) as run:
                page.goto(f"{started.url}/train?run={run.id}")
                yield from watched(started, run, what)
        yield from memory_of("server, after all that", process, bound=500)


@contextmanager
def lab(browser: Browser, home: str | None = None) -> Iterator[Lab]:
    """Start a server, in this process's home or another one, and open the Train page; end it with its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", str(port)],
        env={**os.environ, "CNNLAB_HOME": home or os.environ["CNNLAB_HOME"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_up(f"{url}/_stcore/health"))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.add_init_script(DIARY)
        page.goto(f"{url}/train")
        at_rest = first_moment(page, lambda moment: moment.shows_page("Train"))
        yield Lab(url, process.pid, page, at_rest.at - began)
        page.close()
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def diary_of(page: Page) -> list[Moment]:
    return [Moment(*entry) for entry in page.evaluate("window.diary")]


def first_moment(page: Page, is_it: Callable[[Moment], bool], after: float = 0.0) -> Moment:
    """Wait until a page's diary holds such a moment after a time, and return it."""
    deadline = time.monotonic() + 120
    while True:
        for moment in diary_of(page):
            if moment.at >= after and is_it(moment):
                return moment
        if time.monotonic() > deadline:
            raise TimeoutError
        page.wait_for_timeout(100)


def last_click(page: Page) -> float:
    return max(moment.at for moment in diary_of(page) if moment.clicked)


def seconds_of_visits(page: Page) -> dict[str, float]:
    return {title: seconds_to_page(page, title) for title in HEADINGS}


def seconds_to_page(page: Page, title: str) -> float:
    page.wait_for_timeout(500)
    page.locator(".st-key-navigation").get_by_text(title, exact=True).click()
    clicked = last_click(page)
    return first_moment(page, lambda moment: moment.shows_page(title), after=clicked).at - clicked


@contextmanager
def run_started_on(page: Page) -> Iterator[tuple[Run, dict[str, float]]]:
    """Start a run from the Train page and stop it in the end.

    Yields
    ------
    tuple
        The run, and the seconds from the click to its stages and to its first loss on the screen.
    """
    epochs = next(UNUSED_EPOCHS)
    field = page.get_by_role("spinbutton", name="Epochs")
    field.fill(str(epochs))
    field.press("Tab")
    page.get_by_role("button", name="Start training").click()
    clicked = last_click(page)
    shown = first_moment(page, lambda moment: moment.shows_loss_of(epochs), after=clicked)
    run = all_runs()[0]
    try:
        yield (
            run,
            {
                "queued": time_of("queued", run) - clicked,
                "given to a worker": time_of("starting", run) - clicked,
                "about to train": time_of("started", run) - clicked,
                "first loss shown": shown.at - clicked,
            },
        )
    finally:
        run.request_stop()
        wait_until(lambda: not run.status.is_active)


def waits_for_first_loss(page: Page) -> dict[str, float]:
    with run_started_on(page) as (_, waits):
        return waits


def first_losses(what: str, waits: list[dict[str, float]]) -> Iterator[Figure]:
    for stage in waits[0]:
        bound = 2 if stage == "first loss shown" else None
        yield Figure(f"Start training to {stage}, {what}", "s", bound, [each[stage] for each in waits])


def told_by(run: Run, event: str) -> dict:
    lines = (run.folder / "events.jsonl").read_text().splitlines()
    return next(record for record in map(json.loads, lines) if record["event"] == event)


def time_of(event: str, run: Run) -> float:
    return datetime.fromisoformat(told_by(run, event)["at"]).timestamp()


def worker_of(run: Run) -> int:
    return told_by(run, "started")["process"]


@contextmanager
def written_run(epochs_done: int) -> Iterator[Run]:
    """Write a run as its worker would, at a worker's pace, from one on that has trained so many epochs."""
    run = Run.create(DEFINITIONS["sequential"], TrainingConfig(epochs=next(UNUSED_EPOCHS), threads=1))
    ended = threading.Event()
    with RunWriter.claim(run) as writer:
        writer.append("started", step=0, process=os.getpid(), kernels="fused", kernels_reason=None)
        for step in range(1, epochs_done * STEPS_PER_EPOCH + 1):
            write_step(writer, step)

        def write_on() -> None:
            for step in range(epochs_done * STEPS_PER_EPOCH + 1, run.total_steps + 1):
                if ended.wait(SECONDS_PER_WRITTEN_STEP):
                    return
                write_step(writer, step)

        thread = threading.Thread(target=write_on)
        thread.start()
        try:
            yield run
        finally:
            ended.set()
            thread.join()
            writer.append("stopped")


def write_step(writer: RunWriter, step: int) -> None:
    epoch = -(-step // STEPS_PER_EPOCH)
    loss = 0.02 + 2.3 / step**0.5
    writer.append_training(BatchEvent(step, epoch, loss, step * SECONDS_PER_WRITTEN_STEP))
    if step % STEPS_PER_EPOCH == 0:
        seconds = STEPS_PER_EPOCH * SECONDS_PER_WRITTEN_STEP
        writer.append_training(EpochEvent(epoch, step, loss, loss, 0.98, seconds, TRAIN_IMAGES / seconds))


def watched(started: Lab, run: Run, what: str) -> Iterator[Figure]:
    """Watch a live run for a while: how far the page is behind its log, and what that costs the server."""
    page = started.page
    first_moment(page, lambda moment: bool(moment.step))
    page.wait_for_timeout(3_000)
    with followed(run.folder / "events.jsonl") as log:
        page.wait_for_timeout(200)
        began = time.time()
        cpu = cpu_percent(started.process)
        moments = [moment for moment in diary_of(page) if moment.at >= began]
    updates = [later for earlier, later in pairwise(moments) if later.step and later.step != earlier.step]
    yield Figure(f"lag of the step just shown, {what}", "s", 1, [at_least(u.at - logged(log, u.step)) for u in updates])
    yield Figure(f"from any step's loss in the log to the screen, {what}", "s", 1, waits_for_screen(log, updates))
    yield Figure(
        f"between two updates, {what}", "s", None, [later.at - earlier.at for earlier, later in pairwise(updates)]
    )
    yield Figure(f"page runs for an update, {what}", "ms", None, milliseconds_of_updates(moments))
    yield Figure(f"server's CPU, {what}", "%", 15, [cpu])


@contextmanager
def followed(log: Path) -> Iterator[list[tuple[int, float]]]:
    """Yield a list that grows by a step, and the time, whenever a log is seen to hold a newer one."""
    steps: list[tuple[int, float]] = []
    ended = threading.Event()

    def follow() -> None:
        with log.open("rb") as file:
            file.seek(-min(2_000, log.stat().st_size), os.SEEK_END)
            while not ended.wait(0.02):
                now = time.time()
                if found := re.findall(rb'"step": ?(\d+)', file.read()):
                    steps.append((int(found[-1]), now))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield steps
    finally:
        ended.set()
        thread.join()


def logged(log: list[tuple[int, float]], step: int) -> float:
    """Return when a followed log first held a step."""
    place = bisect_left(log, (step, 0.0))
    return log[min(place, len(log) - 1)][1]


def at_least(seconds: float) -> float:
    """Return a wait that cannot be negative: the log is looked at 50 times a second, and a page may be quicker."""
    return max(0.0, seconds)


def waits_for_screen(log: list[tuple[int, float]], updates: list[Moment]) -> list[float]:
    """Return how long each step that the log was seen to hold took to be on the screen, or be passed there."""
    waits = []
    for step, at in log:
        if updates[0].step < step <= updates[-1].step:
            shown = next(update.at for update in updates if update.step >= step)
            waits.append(at_least(shown - at))
    return waits


def milliseconds_of_updates(moments: list[Moment]) -> list[float]:
    """Return how long the page was seen running each time that it came to show another step."""
    durations, began, has_new_step = [], None, False
    for earlier, now in pairwise(moments):
        if earlier.is_at_rest and not now.is_at_rest:
            began, has_new_step = now.at, False
        has_new_step |= now.step != earlier.step
        if now.is_at_rest and not earlier.is_at_rest and began is not None:
            if has_new_step:
                durations.append(1000 * (now.at - began))
            began = None
    return durations


def cpu_percent(process: int) -> float:
    """Return a process's share of one core over a while."""
    began, before = time.monotonic(), cpu_seconds(process)
    time.sleep(WATCHED_SECONDS)
    return 100 * (cpu_seconds(process) - before) / (time.monotonic() - began)


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(what: str, process: int, bound: float) -> Iterator[Figure]:
    yield Figure(f"memory of the {what} (resident)", "MB", bound, [megabytes(process, "status", "VmRSS")])
    yield Figure(f"memory of the {what} (PSS)", "MB", bound, [megabytes(process, "smaps_rollup", "Pss")])
    yield Figure(f"memory of the {what} (resident, peak)", "MB", bound, [megabytes(process, "status", "VmHWM")])


def megabytes(process: int, file: str, field: str) -> float:
    match = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process}/{file}").read_text(), re.MULTILINE)
    return int(match[1]) / 1024


def megabytes_with_workers(server: int) -> float:
    listed = subprocess.run(["ps", "--ppid", str(server), "-o", "pid="], capture_output=True, text=True)
    return sum(megabytes(process, "smaps_rollup", "Pss") for process in (server, *map(int, listed.stdout.split())))


if __name__ == "__main__":
    main()
