"""Measures a lesson with a class: each predicts, starts the tutorial's run, and draws while it waits for its end.

    PYTHONPATH=. python tests/benchmarks/class_lesson.py [--learners 30] [--minutes 10] [--epochs 10]

The browsers are those of `class_room.py`. Each has a name in its cookie, takes the prediction of the lesson *Ten
epochs*, and presses *Start training*, all within the first half minute.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time

from class_room import SECONDS_BETWEEN_STROKES, Browser, Class, cpu_seconds, recorded_strokes
from lab_in_browser import server
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from cnnlab.data import mnist as data
from cnnlab.lessons.notebook import Notebook, all_notebooks, take_name
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs

LESSON = "4-ten-epochs"
SECONDS_TO_BEGIN = 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--learners", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        data.load()
        for number in range(arguments.learners):
            take_name(name_of(number), Notebook(), is_new=True)
        with server(home) as lab:
            class_ = LessonClass(lab, [], recorded_strokes(lab))
            asyncio.run(class_.take_the_lesson(arguments.minutes * 60, arguments.learners, arguments.epochs))
        class_.report_lesson()


def name_of(number: int) -> str:
    return f"Learner {number + 1}"


class LessonClass(Class):
    """A class in a lesson, and what was measured."""

    async def take_the_lesson(self, seconds: float, learners: int, epochs: int) -> None:
        self.predictions: list[float] = []
        self.queued: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        browsers = [Learner(self, number, epochs) for number in range(learners)]
        tasks = [asyncio.create_task(browser.take_lesson()) for browser in browsers]
        tasks += [asyncio.create_task(self._note_memory()), asyncio.create_task(self._look_at_runs())]
        before, began = cpu_seconds(self.lab.pid), time.monotonic()
        await asyncio.sleep(seconds)
        self.server_share = (cpu_seconds(self.lab.pid) - before) / (time.monotonic() - began)
        self.is_over = True
        for task in tasks:
            if task.done() and (error := task.exception()):
                self.errors[repr(error)] += 1
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.answered = sum(bool(book.answers) for book in all_notebooks())

    async def _look_at_runs(self) -> None:
        while True:
            for run in all_runs():
                now = time.monotonic()
                self.queued.setdefault(run.id, now)
                if run.status is not Status.QUEUED:
                    self.begun.setdefault(run.id, now)
                if run.status is Status.FINISHED:
                    self.ended.setdefault(run.id, now)
            await asyncio.sleep(0.5)

    def report_lesson(self) -> None:
        waits = sorted(self.waits)
        to_begin = [self.begun[run] - when for run, when in self.queued.items() if run in self.begun]
        to_end = [self.ended[run] - when for run, when in self.queued.items() if run in self.ended]
        first, most, last = self._memory()
        rows = [
            ("errors and lost connections", f"{self.errors.total()} {dict(self.errors) or ''}"),
            (
                "predictions kept, and time until the page shows it",
                f"{self.answered}, {self._spread(self.predictions)}",
            ),
            ("runs started / begun / finished", f"{len(self.queued)} / {len(to_begin)} / {len(to_end)}"),
            ("from *Start training* to the first step", self._spread(to_begin)),
            ("from *Start training* to the end", self._spread(to_end)),
            ("stroke to answer", f"{self._spread(waits)}; 95th percentile {waits[int(0.95 * len(waits))]:.2f} s"),
            ("  of how many strokes", f"{len(waits):,}"),
            ("server's memory, first / most / last", f"{first:.0f} / {most:.0f} / {last:.0f} MB"),
            ("server's share of a core", f"{self.server_share:.0%}"),
        ]
        for what, measured in rows:
            print(f"{what:60}{measured}")

    @staticmethod
    def _spread(seconds: list[float]) -> str:
        if not seconds:
            return "–"
        return f"{min(seconds):.2f} to {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s"


class Learner(Browser):
    """A browser that takes the lesson: it finds fields and buttons by their labels, as a person does."""

    def __init__(self, class_: LessonClass, number: int, epochs: int) -> None:
        super().__init__(class_, f"lesson={LESSON}&step=2", "lessons")
        self._lesson, self._number, self._epochs = class_, number, epochs
        self._ids: dict[str, str] = {}

    def _connected(self) -> connect:
        url = self._class.lab.url
        return connect(
            f"{url.replace('http', 'ws')}/_stcore/stream",
            origin=url,
            subprotocols=["streamlit"],
            max_size=None,
            additional_headers={"Cookie": f"cnnlab_learner={name_of(self._number).replace(' ', '%20')}"},
        )

    def _take(self, message: ForwardMsg, socket: ClientConnection) -> None:
        if message.WhichOneof("type") == "delta":
            element = message.delta.new_element
            match element.WhichOneof("type"):
                case "button":
                    self._ids[element.button.label] = element.button.id
                case "number_input":
                    self._ids[element.number_input.label] = element.number_input.id
                case "progress":
                    return  # `Browser` counts them, where it watches a run
        super()._take(message, socket)

    async def take_lesson(self) -> None:
        async with self._connected() as socket:
            listening = asyncio.create_task(self._listen(socket))
            await self._finished.wait()
            await asyncio.sleep(SECONDS_TO_BEGIN * random.random())
            began = time.monotonic()
            await self._press(socket, "Predict", {"Your prediction": random.uniform(0.05, 2.5)})
            self._lesson.predictions.append(time.monotonic() - began)
            await self._go(socket, "train", "")
            await self._press(socket, "Start training", {"Epochs": self._epochs})
            await asyncio.sleep(SECONDS_BETWEEN_STROKES * random.random())
            await self._go(socket, "draw", "runs=reference-sequential,reference-drawing")
            strokes, number = self._class.strokes, self._number
            while not listening.done():
                number += 1
                self._answered.clear()
                sent = time.monotonic()
                await socket.send(strokes[number % len(strokes)].SerializeToString())
                await self._answered.wait()
                self._class.waits.append(time.monotonic() - sent)
                await asyncio.sleep(SECONDS_BETWEEN_STROKES)

    async def _go(self, socket: ClientConnection, page: str, query: str) -> None:
        self._page, self._query = page, query
        await self._ask(socket, self._asking())

    async def _press(self, socket: ClientConnection, button: str, fields: dict[str, float]) -> None:
        message = self._asking()
        for label, value in fields.items():
            message.rerun_script.widget_states.widgets.add(id=self._ids[label], double_value=value)
        message.rerun_script.widget_states.widgets.add(id=self._ids[button], trigger_value=True)
        await self._ask(socket, message)

    async def _ask(self, socket: ClientConnection, message: BackMsg) -> None:
        self._finished.clear()
        await socket.send(message.SerializeToString())
        await self._finished.wait()


if __name__ == "__main__":
    main()
