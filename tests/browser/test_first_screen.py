"""What stands on the first screen, measured in a real browser."""

import re
from contextlib import suppress

import pytest
from hand import expect_rest, run_of
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.browser
PARTS = (".st-key-start_or_stop", ".st-key-run_header", "[data-testid=stProgress]", ".st-key-run_results")

# What reaches over the edge of the window, or of a part that hides what is too wide, and cannot be scrolled to.
CUT = """
[document, ...[...document.querySelectorAll(".stMain *")].map((part) => part.shadowRoot).filter(Boolean)].flatMap(
  (root) => [...root.querySelectorAll(".stMain :is(table, svg, img, button, input, p, h2), canvas")]
).filter((part) => {
  const right = part.getBoundingClientRect().right - 1;
  if (!part.checkVisibility({ visibilityProperty: true })) return false;
  if (part.matches("[type=checkbox]") || part.closest(".skip, .unseen, [aria-hidden]")) return false;
  for (let around = part.parentElement; around; around = around.parentElement ?? around.getRootNode().host) {
    const { overflowX } = getComputedStyle(around);
    if (overflowX !== "visible" && right > around.getBoundingClientRect().right)
      return !(["auto", "scroll"].includes(overflowX) && around.clientWidth > 0 && !around.matches(".stMain"));
  }
  return right > innerWidth;
}).map((part) => part.outerHTML.slice(0, 150))
"""


def start(page: Page) -> None:
    expect_rest(page)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()


@pytest.mark.parametrize("runs", [0, 100], ids=["empty", "a hundred runs"])
def test_after_start_the_run_its_numbers_and_its_chart_are_seen_without_scrolling(runs, open_page):
    for number in range(runs):
        run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=2, seed=number))
        with RunWriter.claim(run) as writer:
            writer.stopped()
    page = open_page("/train", viewport={"width": 1280, "height": 800})
    start(page)
    loss = page.locator(".st-key-run_results [data-testid=stMetricValue]").first
    expect(loss).to_have_text(re.compile(r"\d\.\d{4}"), timeout=180_000)
    for width, height in ((1280, 800), (1366, 768)):
        page.set_viewport_size({"width": width, "height": height})
        for selector in (*PARTS, "[data-testid=stVegaLiteChart]"):
            expect(page.locator(selector).first).to_be_in_viewport(ratio=0.999)
        assert page.evaluate("scrollY") == 0


def test_on_a_phone_start_brings_the_run_into_view_and_folds_the_fields(open_page):
    page = open_page("/train", viewport={"width": 390, "height": 844})
    start(page)
    expect(page.get_by_role("spinbutton", name="Epochs")).to_be_hidden()
    page.wait_for_function(
        "() => { const box = document.querySelector('[data-testid=stProgress]')?.getBoundingClientRect();"
        " return box && box.top >= 0 && box.bottom <= innerHeight; }"
    )


def test_dark_is_chosen_in_the_frame_and_holds_on_the_next_page_where_nothing_is_lost(look_at):
    page = look_at("/train")
    expect_rest(page)
    with run_of(page):
        page.get_by_role("spinbutton", name="Epochs").fill("3")
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Main menu").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    background = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    page.wait_for_function(f"{background} === 'rgb(17, 21, 31)'")
    page.get_by_role("link", name="Draw", exact=True).click()
    page.wait_for_url("**/draw*")
    expect_rest(page)
    assert page.evaluate(background) == "rgb(17, 21, 31)"
    page.get_by_role("link", name="Train", exact=True).click()
    expect(page.get_by_role("spinbutton", name="Epochs")).to_have_value("3")


def test_for_a_projector_the_type_is_larger_and_captions_are_gone(look_at):
    page = look_at("/train?run=reference-module")
    captions = page.locator(".stMainBlockContainer [data-testid=stCaptionContainer]")
    expect(captions.first).to_be_visible()
    page.get_by_role("button", name="For a projector").click()
    page.wait_for_function("getComputedStyle(document.documentElement).fontSize === '20px'")
    expect(captions.locator("visible=true")).to_have_count(0)
    page.get_by_role("button", name="Leave the projection mode").click()
    page.wait_for_function("getComputedStyle(document.documentElement).fontSize === '16px'")


def test_from_the_start_of_the_page_to_start_training_are_at_most_twelve_tabs(look_at):
    page = look_at("/train")
    expect(page.get_by_role("button", name="Start training")).to_be_visible()
    expect_rest(page)
    presses = 0
    focused = ""
    while not focused.endswith("Start training") or "\n\n\n" in focused:
        presses += 1
        assert presses <= 12
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.innerText || ''").strip()
        if focused == "Skip to the page":
            page.keyboard.press("Enter")
            page.wait_for_function("document.activeElement.id === 'content'")


@pytest.mark.parametrize(
    "path", ["/train?run=reference-module", "/draw", "/compare", "/inspect", "/write", "/step", "/sweep", "/"]
)
def test_no_part_of_a_page_is_cut_at_any_of_twelve_widths(path, look_at):
    page = look_at(path)
    expect_rest(page)
    for width in (320, 360, 390, 480, 600, 641, 700, 768, 900, 1100, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        with suppress(NotInTime):  # charts take a moment to follow the window
            page.wait_for_function(f"({CUT}).length === 0", timeout=10_000)
        assert page.evaluate(CUT) == [], width
