"""Measures the lab with a class in it: thirty browsers watch a run and draw while two runs train.

    PYTHONPATH=. python tests/benchmarks/class_room.py [--minutes 10] [--watching 20] [--drawing 10]

The browsers are websocket clients that do what Streamlit's frontend does: they ask for a page, and then for its timed
parts, at the pace that the server sets. What those who draw send was recorded from strokes in Chromium before.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab_in_browser import AT_REST, Server, chromium, server, wait_until
from playwright.sync_api import sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.queue import enqueue
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig

ANSWERED = re.compile(r'data-digit="[0-9]"')
UPPER_CANVAS = "[class*='st-key-canvas_'] canvas.upper-canvas"
RECORDED_STROKES = 8
SECONDS_BETWEEN_STROKES = 5
SECONDS_ALONE = 30
SECONDS_TO_SETTLE = 30
MEMORY_EVERY = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--watching", type=int, default=20)
    parser.add_argument("--drawing", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        data.load()
        config = TrainingConfig(epochs=1000, threads=1)
        runs = [create_run(definition, config) for definition in list(DEFINITIONS.values())[:2]]
        for run in runs:
            enqueue(run)
        with server(home) as lab:
            strokes = recorded_strokes(lab)
            wait_until(lambda: all(run.history().step > 500 for run in runs))
            class_ = Class(lab, runs, strokes)
            asyncio.run(class_.measure(arguments.minutes * 60, arguments.watching, arguments.drawing))
        class_.report()


def recorded_strokes(lab: Server) -> list[BackMsg]:
    """Draw in Chromium, and return what it sends to the server after each stroke."""
    sent: list[BackMsg] = []
    chance = random.Random(0)
    with sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page()
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: note(frame, sent)))
        page.goto(f"{lab.url}/draw?runs=reference-sequential,reference-drawing")
        page.wait_for_selector(AT_REST)
        canvas = page.locator(UPPER_CANVAS)
        canvas.wait_for()
        box = canvas.bounding_box()
        assert box is not None
        for number in range(1, RECORDED_STROKES + 1):
            page.mouse.move(box["x"] + chance.uniform(60, 220), box["y"] + 60)
            page.mouse.down()
            page.mouse.move(box["x"] + chance.uniform(60, 220), box["y"] + 220, steps=10)
            page.mouse.up()
            page.wait_for_function(f"document.querySelectorAll('.answer[data-digit]').length && {number}")
            page.wait_for_timeout(1500)
    drawn = [message for message in sent if b"path" in message.SerializeToString()]
    assert len(drawn) >= RECORDED_STROKES // 2, "Chromium sent no strokes"
    return drawn


def note(frame: str | bytes, sent: list[BackMsg]) -> None:
    message = BackMsg()
    with suppress(Exception):  # pings and the like
        message.ParseFromString(frame if isinstance(frame, bytes) else frame.encode())
        if message.rerun_script.widget_states.widgets:
            sent.append(message)


@dataclass
class Class:
    """A class, what it does, and what was measured."""

    lab: Server
    runs: list[Run]
    strokes: list[BackMsg]
    alone: list[float] = field(default_factory=list)
    watched: float = 0.0
    waits: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    server_share: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    async def measure(self, seconds: float, watching: int, drawing: int) -> None:
        self.alone.append(await self._steps_per_second(SECONDS_ALONE))
        watchers = [Browser(self, f"run={self.runs[number % 2].id}", "train") for number in range(watching)]
        painters = [Browser(self, "runs=reference-sequential,reference-drawing", "draw") for _ in range(drawing)]
        tasks = [asyncio.create_task(each.watch()) for each in watchers]
        tasks += [asyncio.create_task(each.draw(self.strokes, number)) for number, each in enumerate(painters)]
        await asyncio.sleep(SECONDS_TO_SETTLE)
        self.intervals.clear()
        self.waits.clear()
        memory = asyncio.create_task(self._note_memory())
        before, began = cpu_seconds(self.lab.pid), time.monotonic()
        self.watched = await self._steps_per_second(seconds)
        self.server_share = (cpu_seconds(self.lab.pid) - before) / (time.monotonic() - began)
        self.is_over = True
        for task in (memory, *tasks):
            task.cancel()
        await asyncio.gather(memory, *tasks, return_exceptions=True)
        self.alone.append(await self._steps_per_second(SECONDS_ALONE))

    async def _steps_per_second(self, seconds: float) -> float:
        before, began = sum(run.history().step for run in self.runs), time.monotonic()
        await asyncio.sleep(seconds)
        return (sum(run.history().step for run in self.runs) - before) / (time.monotonic() - began)

    async def _note_memory(self) -> None:
        while True:
            self.megabytes.append(resident_megabytes(self.lab.pid))
            await asyncio.sleep(MEMORY_EVERY)

    def report(self) -> None:
        part = max(1, len(self.megabytes) // 5)
        growth = statistics.mean(self.megabytes[-part:]) - statistics.mean(self.megabytes[:part])
        waits = sorted(self.waits)
        rows = [
            ("errors and lost connections", "0", f"{self.errors.total()} {dict(self.errors) or ''}"),
            ("training, watched over unwatched", "0.7", f"{self.watched / statistics.mean(self.alone):.2f}"),
            ("  steps per second of both runs, before / watched / after", "", self._speeds()),
            ("stroke to answer, 95th percentile", "2 s", f"{waits[int(0.95 * len(waits))]:.2f} s"),
            ("  median, of how many strokes", "", f"{statistics.median(waits):.2f} s, {len(waits):,}"),
            ("server's memory, last fifth less first fifth", "0 MB", f"{growth:+.0f} MB"),
            ("  first, most, last", "", " / ".join(f"{each:.0f}" for each in self._memory()) + " MB"),
            ("server's share of a core", "", f"{self.server_share:.0%}"),
            ("seconds between two changes of a watcher's view", "", f"{statistics.median(self.intervals):.1f}"),
        ]
        print(f"{'what':60}{'bound':>8}  measured")
        for what, bound, measured in rows:
            print(f"{what:60}{bound:>8}  {measured}")

    def _speeds(self) -> str:
        before, after = self.alone
        return f"{before:.0f} / {self.watched:.0f} / {after:.0f}"

    def _memory(self) -> tuple[float, float, float]:
        return self.megabytes[0], max(self.megabytes), self.megabytes[-1]


class Browser:
    """One browser tab on a page of the lab, without its picture."""

    def __init__(self, class_: Class, query: str, page: str) -> None:
        self._class = class_
        self._query = query
        self._page = page
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._finished = asyncio.Event()
        self._answered = asyncio.Event()
        self._shown: float | None = None

    async def watch(self) -> None:
        async with self._connected() as socket:
            await self._listen(socket)

    async def draw(self, strokes: list[BackMsg], number: int) -> None:
        async with self._connected() as socket:
            listening = asyncio.create_task(self._listen(socket))
            await self._finished.wait()
            await asyncio.sleep(SECONDS_BETWEEN_STROKES * random.random())
            while not listening.done():
                number += 1
                self._answered.clear()
                sent = time.monotonic()
                await socket.send(strokes[number % len(strokes)].SerializeToString())
                await self._answered.wait()
                self._class.waits.append(time.monotonic() - sent)
                await asyncio.sleep(SECONDS_BETWEEN_STROKES)
            await listening

    def _connected(self) -> connect:
        url = self._class.lab.url
        return connect(
            f"{url.replace('http', 'ws')}/_stcore/stream", origin=url, subprotocols=["streamlit"], max_size=None
        )

    async def _listen(self, socket: ClientConnection) -> None:
        await socket.send(self._asking().SerializeToString())
        try:
            async for content in socket:
                message = ForwardMsg()
                message.ParseFromString(content)
                self._take(message, socket)
        except ConnectionClosed:
            if not self._class.is_over:
                self._class.errors["connection lost"] += 1
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _take(self, message: ForwardMsg, socket: ClientConnection) -> None:
        match message.WhichOneof("type"):
            case "new_session" if not message.metadata.run.fragment_ids:
                for timer in self._timers.values():
                    timer.cancel()
                self._timers.clear()
            case "page_info_changed":
                self._query = message.page_info_changed.query_string
            case "auto_rerun":
                fragment, interval = message.auto_rerun.fragment_id, message.auto_rerun.interval
                self._timers[fragment] = asyncio.create_task(self._ask_again_and_again(socket, fragment, interval))
            case "delta":
                if message.delta.new_element.WhichOneof("type") == "exception":
                    self._class.errors[message.delta.new_element.exception.type] += 1
                if message.delta.new_element.WhichOneof("type") == "progress":
                    self._note_change()
                if ANSWERED.search(message.delta.new_element.html.body):
                    self._answered.set()
            case "script_finished":
                self._finished.set()

    def _note_change(self) -> None:
        now = time.monotonic()
        if self._shown is not None:
            self._class.intervals.append(now - self._shown)
        self._shown = now

    async def _ask_again_and_again(self, socket: ClientConnection, fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await socket.send(self._asking(fragment).SerializeToString())

    def _asking(self, fragment: str = "") -> BackMsg:
        message = BackMsg()
        message.rerun_script.query_string = self._query
        message.rerun_script.page_name = self._page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        return message


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
