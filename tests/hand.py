"""A hand on the lab's pages in a browser: it waits until they are at rest, and draws on the canvas."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from cnnlab.drawing.strokes import CANVAS_SIDE


def expect_rest(page: Page) -> None:
    """Wait until the page runs no script: while it is made anew, what is pressed or filled in may be lost."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def canvas(page: Page) -> Locator:
    return page.locator("[class*='st-key-canvas_'] canvas.upper-canvas")


def drawn_picture(page: Page) -> Locator:
    return page.locator(".steps img[alt='Drawn']")


def fill_in(page: Page, label: str, text: str) -> None:
    """Fill a field in when the page is at rest, and leave it."""
    named = {"name": label, "exact": True}
    field = page.get_by_role("textbox", **named).or_(page.get_by_role("spinbutton", **named))
    expect(field).to_be_visible()
    expect_rest(page)
    field.fill(text)
    field.press("Tab")
    expect_rest(page)


@contextmanager
def run_of(page: Page) -> Iterator[None]:
    """Wait, at the end of the body, until the page has run because of it, and is at rest."""
    page.evaluate("""() => {
      const app = document.querySelector("[data-testid=stApp]");
      window.hasRun = false;
      new MutationObserver((_, observer) => {
        if (app.dataset.testScriptState !== "running") return;
        window.hasRun = true;
        observer.disconnect();
      }).observe(app, { attributes: true });
    }""")
    yield
    page.wait_for_function("() => window.hasRun")
    expect_rest(page)


def draw(page: Page, strokes) -> None:
    """Draw with the mouse, and wait after each stroke until the page has it."""
    expect(canvas(page)).to_have_count(1)  # for a moment, the one before may still be there
    expect_rest(page)
    canvas(page).hover()  # when the page has turned to it
    box = canvas(page).bounding_box()
    scale = box["width"] / CANVAS_SIDE
    for (x, y), *others in strokes:
        drawn_picture(page).evaluate("picture => { picture.dataset.before = 'yes'; }")
        page.mouse.move(box["x"] + scale * x, box["y"] + scale * y)
        page.mouse.down()
        for x, y in others:
            page.mouse.move(box["x"] + scale * x, box["y"] + scale * y, steps=8)
        page.mouse.up()
        expect(drawn_picture(page)).not_to_have_attribute("data-before", "yes")  # the server has sent another
