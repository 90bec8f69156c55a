"""Measures what the Draw page costs: waits for an answer, bytes to open it, and memory after many strokes.

    PYTHONPATH=. python tests/benchmarks/draw_page.py [--strokes 50] [--long 500]

The bytes are those that the server sends to a browser with an empty cache, until the page is at rest. For the memory, a
tab draws on and on and clears the canvas after every five strokes, as somebody does who stays: what its JavaScript
keeps, its elements and listeners, and the server's memory, each after a collection in the tab. With --long 0, neither.

The waits go from the end of a stroke to the new bars: in turn on a page that has nothing but the canvas in a fragment
and on the Draw page with the reference runs; then there while a run trains and answers with its newest weights. With
--strokes 0, none.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab_in_browser import AT_REST, Server, chromium, megabytes, server, wait_until
from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from tests import hand

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
    parser.add_argument("--long", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = chromium(playwright)
        if arguments.long:
            with server(home) as lab:
                print_bytes(browser, f"{lab.url}/draw")
                print_memory(browser, lab, arguments.long)
        if arguments.strokes:
            print_waits(browser, home, arguments.strokes)


def print_waits(browser: Browser, home: str, strokes: int) -> None:
    empty_page = Path(home) / "empty.py"
    empty_page.write_text(EMPTY_PAGE)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
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


def print_bytes(browser: Browser, url: str) -> None:
    """Open a page with an empty cache, and print how many bytes came over the network, by what they are."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})  # in a context, and with a cache, of its own
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    kinds: dict[str, str] = {}
    count: Counter[str] = Counter()
    network.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
    network.on(
        "Network.loadingFinished",
        lambda event: count.update({kinds.get(event["requestId"], "Other"): int(event["encodedDataLength"])}),
    )
    network.on(
        "Network.webSocketFrameReceived", lambda event: count.update({"WebSocket": payload_bytes(event["response"])})
    )
    page.goto(url)
    page.wait_for_selector(UPPER_CANVAS, timeout=60_000)
    page.wait_for_selector(AT_REST)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2000)
    parts = {"JavaScript": count.pop("Script", 0), "fonts": count.pop("Font", 0), "data": count.pop("WebSocket", 0)}
    parts["styles, images and others"] = count.total()
    told = ", ".join(f"{name} {size:,}" for name, size in parts.items())
    print(f"bytes to open Draw: {sum(parts.values()):,} ({told})", flush=True)
    page.close()


def payload_bytes(frame: dict[str, Any]) -> int:
    return len(b64decode(frame["payloadData"]) if frame["opcode"] == 2 else frame["payloadData"].encode())


def print_memory(browser: Browser, lab: Server, strokes: int) -> None:
    """Draw many strokes, and print what the tab and the server keep after 20 of them and now and then."""
    chance = random.Random(0)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(f"{lab.url}/draw")
    page.wait_for_selector(UPPER_CANVAS)
    page.wait_for_selector(AT_REST)
    tab = page.context.new_cdp_session(page)
    tab.send("Performance.enable")
    expect.set_options(timeout=60_000)  # the first answer loads the networks
    looks = {20, *range(100, strokes, 100), strokes}
    for count in range(1, strokes + 1):
        hand.draw(page, [[(chance.randint(30, 250), y) for y in (40, 140, 240)]])  # never a dot, which changes nothing
        if count % STROKES_ON_ONE_CANVAS == 0:
            clear(page)
        if count in looks:
            page.wait_for_timeout(1000)
            print(f"after {count} strokes: {kept(tab)}; server {megabytes(lab.pid):.0f} MB", flush=True)
    page.close()


def clear(page: Page) -> None:
    """Clear the canvas, and wait for the new one: a stroke on the old one would be lost with it."""
    page.wait_for_selector(AT_REST)
    hand.canvas(page).evaluate("canvas => { canvas.dataset.old = 'yes'; }")
    page.get_by_role("button", name="Clear", exact=True).click()
    page.locator(f"{UPPER_CANVAS}[aria-label]:not([data-old])").wait_for()
    page.wait_for_selector(AT_REST)


def kept(tab: CDPSession) -> str:
    """Return what a tab still holds after a collection."""
    tab.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in tab.send("Performance.getMetrics")["metrics"]}
    heap, elements, listeners = (metrics[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners"))
    return f"{heap / 2**20:.1f} MB of JavaScript, {elements:,.0f} nodes, {listeners:,.0f} listeners"


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
