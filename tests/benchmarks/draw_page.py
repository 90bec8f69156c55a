"""Measures the wait from the end of a stroke to the new bars on the Draw page.

    PYTHONPATH=. python tests/benchmarks/draw_page.py [--strokes 50]

Draws with the mouse in Chromium, in turn on a page that has nothing but the canvas in a fragment and on the Draw page
with the reference runs; then there while a run trains and answers with its newest weights.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_in_browser import chromium, server, wait_until
from playwright.sync_api import Page, sync_playwright

EMPTY_PAGE = """
import streamlit as st
from streamlit_drawable_canvas import st_canvas

@st.fragment
def canvas_alone():
    drawn = st_canvas(width=280, height=280, background_color="#ffffff", key="canvas_0")
    st.html(f"<p class='steps'>{len((drawn.json_data or {}).get('objects', []))}</p>")

canvas_alone()
"""
UPPER_CANVAS = "[class*='st-key-canvas_'] canvas.upper-canvas"
# The steps of the preparation stand below the bars, and come last.
STOPWATCH = """
() => {
  const shown = () => document.querySelector('.steps')?.innerHTML;
  let before = shown();
  let ended = null;
  window.waits = [];
  document.addEventListener('mouseup', () => { ended = performance.now(); }, true);
  new MutationObserver(() => {
    if (ended !== null && shown() !== before) {
      window.waits.push(performance.now() - ended);
      ended = null;
    }
    before = shown();
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}
"""
STROKES_ON_ONE_CANVAS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strokes", type=int, default=50)
    strokes = parser.parse_args().strokes
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        empty_page = Path(home) / "empty.py"
        empty_page.write_text(EMPTY_PAGE)
        page = chromium(playwright).new_page(viewport={"width": 1280, "height": 900})
        print(f"{strokes} strokes, from mouse-up to the new bars: median (95th percentile)")
        with server(home, str(empty_page)) as empty, server(home) as lab:
            alone, answered = [], []
            while len(answered) < strokes:  # in turn, for the machine may have other work at times
                alone += waits(page, empty.url, STROKES_ON_ONE_CANVAS)
                answered += waits(page, f"{lab.url}/draw", STROKES_ON_ONE_CANVAS)
            report("canvas alone", alone)
            report("Draw page", answered)
            with training(home) as run_id:
                address = f"{lab.url}/draw?runs={run_id},reference-sequential"
                report("Draw page, a run trains", waits(page, address, strokes))


@contextmanager
def training(home: str) -> Iterator[str]:
    """Train a run, and yield its identifier when it has its first weights."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnlab", "train", "--model", "module", "--epochs", "100", "--json"],
        env={**os.environ, "CNNLAB_HOME": home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: list(Path(home).glob("runs/*/weights.safetensors")))
        yield next(Path(home).glob("runs/*/weights.safetensors")).parent.name
    finally:
        process.terminate()
        process.wait()


def waits(page: Page, url: str, strokes: int) -> list[float]:
    """Draw strokes, a few on each canvas, and return how long each one's answer took, in milliseconds."""
    chance = random.Random(0)
    measured: list[float] = []
    while len(measured) < strokes:
        page.goto(url)
        page.wait_for_selector(UPPER_CANVAS, timeout=60_000)
        page.wait_for_selector(".steps")
        page.wait_for_timeout(2000)
        page.evaluate(STOPWATCH)
        draw(page, chance)  # the first answer loads the networks
        page.wait_for_function("window.waits.length == 1")
        for count in range(2, STROKES_ON_ONE_CANVAS + 2):
            page.wait_for_timeout(chance.randint(300, 900))
            draw(page, chance)
            page.wait_for_function(f"window.waits.length == {count}")
        measured += page.evaluate("window.waits")[1:]
    return measured[:strokes]


def draw(page: Page, chance: random.Random) -> None:
    """Draw a stroke with three corners, and let go of the button."""
    box = page.locator(UPPER_CANVAS).bounding_box()
    points = [(box["x"] + chance.randint(30, 250), box["y"] + chance.randint(30, 250)) for _ in range(3)]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=12)
    page.mouse.up()


def report(title: str, milliseconds: list[float]) -> None:
    percentile = statistics.quantiles(milliseconds, n=20)[-1]
    print(f"{title}: {statistics.median(milliseconds):.0f} ms ({percentile:.0f} ms)", flush=True)


if __name__ == "__main__":
    main()
