"""The Write page as a person sees it: a network is typed, mended, trained and drawn for, and the proof is made."""

import re

import pytest
from hand import fill_in
from listings import TUTORIALS_LIST
from playwright.sync_api import Page, expect

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import all_runs
from cnnlab.ui.write.examples import EXAMPLES

pytestmark = pytest.mark.browser

ADD = re.compile("^Add$")


def paste(page: Page, source: str) -> None:
    """Put a text into the editor as a person pastes it: no key is pressed after it."""
    editor = page.get_by_role("textbox", name="Your network")
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)


def test_a_pasted_listing_is_changed_mended_trained_compared_and_drawn_for(open_page):
    page = open_page("/write")
    written = page.locator(".st-key-written code")
    expect(written).to_contain_text("self.conv1 = nn.Conv2d(1, 8, kernel_size=3)")
    paste(page, TUTORIALS_LIST.lstrip().replace("1,8,3", "1,16,3").replace("8,16,3", "16,32,3"))
    expect(page.get_by_text("nn.Linear takes 400 numbers, and is given 800.")).to_be_visible()
    expect(page.locator(".numbers b")).to_have_text("7")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"  # one can go on typing

    page.get_by_role("button", name="Write 32 * 5 * 5").click()
    expect(written).to_contain_text("self.fc1 = nn.Linear(32 * 5 * 5, 64)")
    expect(page.get_by_text("The same network: with the same weights")).to_be_visible()
    expect(page.locator(".numbers b")).to_have_count(0)
    page.get_by_role("textbox", name="Name").fill("Wide")
    page.get_by_role("button", name="Train it").click()

    expect(page.get_by_role("combobox", name="Network")).to_have_value("Wide")
    fill_in(page, "Epochs", "1")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text(re.compile("after 1 epoch"))).to_be_visible(timeout=180_000)
    (run,) = all_runs()
    assert (run.model, "nn.Conv2d(16,32,3)" in run.source) == ("Wide", True)

    page.get_by_role("link", name="Compare it").click()
    expect(page.get_by_text(re.compile("Wide")).first).to_be_visible()
    expect(page.get_by_text("the definition")).to_be_attached()
    page.goto(page.url.split("/compare")[0] + f"/draw?runs={run.id}")
    canvas = page.locator("canvas.upper-canvas")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 260, steps=8)
    page.mouse.up()
    expect(page.locator(f".answer[data-run='{run.id}']")).to_have_attribute("data-digit", re.compile(r"\d"))


def test_what_is_typed_is_kept_and_no_list_can_say_every_class(look_at):
    page = look_at("/write")
    expect(page.locator(".st-key-written code")).to_be_visible()
    paste(page, EXAMPLES["Residual"])
    expect(page.get_by_text("Line 13 uses what line 12 gives twice")).to_be_visible()
    page.get_by_role("link", name="Sweep").click()
    expect(page.get_by_role("button", name="Start the sweep")).to_be_visible()
    page.get_by_role("link", name="Write", exact=True).click()
    expect(page.get_by_role("textbox", name="Your network")).to_have_value(DEFINITIONS["residual"].source)


def expect_the_proof(page: Page) -> None:
    for told in (
        "the largest difference of their logits over 10,000 test images is 0.",
        "nn.Sequential and nn.Module have the same loss at each of 100 steps",
        "nn.Module and nn.Module declared backwards part at step 1 of 100",
        "nn.Module and nn.Module declared backwards have the same loss",
    ):
        expect(page.get_by_text(told)).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile(r"Found in \d+ s"))).to_be_visible(timeout=60_000)


def top_of_the_chart(page: Page) -> float:
    return page.get_by_test_id("stVegaLiteChart").evaluate(
        "node => node.getBoundingClientRect().top - document.querySelector('h1').getBoundingClientRect().top"
    )


def test_from_the_landing_page_to_the_graphs_and_the_proof(open_page):
    page = open_page("/")
    page.get_by_role("link", name="Write", exact=True).click()
    page.get_by_role("tab", name="The tutorial's two").click()
    expect(page.get_by_text("self.conv1 = nn.Conv2d(1, 8, kernel_size=3)").last).to_be_visible(timeout=60_000)
    graph = page.get_by_test_id("stGraphVizChart").locator("visible=true")
    expect(graph.locator("svg text", has_text="8 × 26 × 26").first).to_be_visible(timeout=30_000)
    page.get_by_role("radio", name="Residual nn.Module").click()
    expect(page.get_by_role("table").last).to_contain_text("29,906", timeout=30_000)
    expect(graph.locator("svg text", has_text=ADD)).to_be_visible(timeout=30_000)

    page.get_by_role("tab", name="The proof").click()
    expect_the_proof(page)
    shown_at = top_of_the_chart(page)
    page.get_by_role("button", name="Prove it again").click()
    expect(page.get_by_text("Being computed").first).to_be_visible(timeout=30_000)
    assert top_of_the_chart(page) == pytest.approx(shown_at, abs=1)
    expect_the_proof(page)
    assert top_of_the_chart(page) == pytest.approx(shown_at, abs=1)


def test_on_a_phone_nothing_is_wider_than_the_screen(look_at):
    page = look_at("/write", viewport={"width": 390, "height": 844})
    page.get_by_role("tab", name="Graph").click()
    expect(page.get_by_test_id("stGraphVizChart").first.locator("svg")).to_be_visible(timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    main = page.locator(".stMainBlockContainer")
    assert main.bounding_box()["width"] <= 390
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
