"""Takes the pictures of the README and of the tour, of a real run and of a real drawing.

    PYTHONPATH=.:tests python tests/browser/picture.py

It opens the lab on a free port, in a home of its own. For the one it trains with the tutorial's recipe, and takes the
picture when the sixth epoch has arrived; for the other it draws a 3 that becomes an 8, and takes four, the pen down.
"""

import io
import shutil
import tempfile
from pathlib import Path

from conftest import end_in_order, started
from hand import expect_rest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from test_train import expect_epochs, expect_status, start

TRAIN = Path(__file__).with_name("train-page.png")
PEN = Path(__file__).with_name("pen.png")
# In pixels of the canvas that is stored; a picture is taken at the end of each part.
THREE_BECOMES_EIGHT = (
    [(75, 62), (140, 38), (200, 78), (188, 112), (140, 134)],
    [(196, 160), (206, 205), (140, 244), (72, 214)],
    [(66, 190), (84, 160), (120, 138)],
    [(92, 116), (72, 88), (75, 62)],
)
CLIP = {"x": 100, "y": 185, "width": 1080, "height": 744}


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        lab = started(Path(home), Path(home) / "server.txt")
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            take_training(browser, lab.url)
            take_pen(browser, lab.url)
            browser.close()
        finally:
            end_in_order(lab)


def take_training(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{url}/train")
    start(page, epochs=10)
    expect_status(page, "Running")
    expect_epochs(page, 6)
    page.mouse.move(640, 790)  # away from the button and its help
    page.wait_for_timeout(500)
    page.screenshot(path=TRAIN)
    page.close()


def take_pen(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 960})
    page.goto(f"{url}/draw?runs=reference-drawing,reference-module")
    page.wait_for_selector("canvas.upper-canvas[aria-label]")
    expect_rest(page)
    box = page.locator("canvas.upper-canvas").bounding_box()
    scale = box["width"] / 280
    shots = []
    for part in THREE_BECOMES_EIGHT:
        for x, y in part:
            page.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=6)
            page.mouse.down()
        page.wait_for_timeout(200)
        shots.append(Image.open(io.BytesIO(page.screenshot(clip=CLIP))))
    page.mouse.up()
    page.close()
    size = CLIP["width"] // 2, CLIP["height"] // 2
    joined = Image.new("RGB", (2 * size[0] + 8, 2 * size[1] + 8), "white")
    for number, shot in enumerate(shots):
        place = (number % 2) * (size[0] + 8), (number // 2) * (size[1] + 8)
        joined.paste(shot.convert("RGB").resize(size, Image.Resampling.LANCZOS), place)
    joined.quantize(128).save(PEN, optimize=True)


if __name__ == "__main__":
    main()
