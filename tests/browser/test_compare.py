"""The Compare page as a person sees it: two runs in one chart, and the images behind a number."""

import re

import pytest
from hand import fill_in
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

# The two curves' own colours, in the order in which they are drawn.
STROKES = ["#4f74ee", "#e8833a"]


def curves(page: Page) -> Locator:
    return page.get_by_test_id("stVegaLiteChart").first.locator(".mark-line.role-mark path")


def corners(curve: Locator) -> int:
    """Return how many points a curve goes through."""
    return len(re.findall("[ML]", curve.get_attribute("d") or ""))


def train_both(page: Page, epochs: int) -> None:
    expect(page.get_by_text("give the same answer to every test image")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Recipe").click()
    fill_in(page, "Epochs", str(epochs))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Train both").click()
    expect(page).to_have_url(re.compile(r"runs=\d{8}-\d{6}-\d{3}%2C\d{8}-\d{6}-\d{3}$"))


def test_train_both_draws_two_curves_in_one_chart_and_a_cell_shows_its_images(open_page, wait_for):
    page = open_page("/compare")
    train_both(page, epochs=50)  # they train until they are stopped below
    expect(page.get_by_text("train loss (cross entropy)")).to_be_visible()
    page.get_by_text("Batch loss", exact=True).click()
    expect(page.get_by_text("batch loss (cross entropy)")).to_be_visible()
    wait_for(lambda: all(corners(curve) > 10 for curve in curves(page).all()), seconds=120)
    assert [curve.get_attribute("stroke") for curve in curves(page).all()] == STROKES
    drawing = page.get_by_test_id("stVegaLiteChart").first.locator("svg.marks").element_handle()
    before = corners(curves(page).nth(0))
    wait_for(lambda: corners(curves(page).nth(0)) > before)
    assert drawing.evaluate("node => node.isConnected"), "the chart was drawn again while points were added"

    page.get_by_role("button", name=re.compile("Stop$")).click()
    expect(page.get_by_role("button", name=re.compile("Stop$"))).to_be_disabled()
    expect(page.get_by_text("More of").first).to_be_visible(timeout=60_000)

    legend = page.get_by_test_id("stVegaLiteChart").first.locator(".role-legend-label text")
    legend.filter(has_text="Module").click()
    expect(curves(page).nth(1)).to_have_attribute("opacity", "0")
    expect(curves(page).nth(0)).to_have_attribute("opacity", "1")
    legend.filter(has_text="Module").click()
    expect(curves(page).nth(1)).to_have_attribute("opacity", "1")

    figure = page.locator(".js-plotly-plot").first
    figure.scroll_into_view_if_needed()
    cell = figure.locator(".scatterlayer .point").first.bounding_box()
    page.mouse.click(cell["x"] + cell["width"] / 2, cell["y"] + cell["height"] / 2)
    expect(page.get_by_text("0 answered as 0")).to_be_visible()
    images = page.locator(".digits img")
    expect(images.first).to_be_visible()
    assert images.first.evaluate("image => image.naturalWidth") == 28


def test_on_a_phone_nothing_is_wider_than_the_screen(look_at):
    page = look_at("/compare", viewport={"width": 390, "height": 844})
    expect(page.get_by_text("Where they disagree")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".stMainBlockContainer").bounding_box()["width"] <= 390


def test_on_a_laptop_the_conclusion_and_the_curves_stand_on_the_first_screen(look_at):
    page = look_at("/compare", viewport={"width": 1280, "height": 800})
    conclusion = page.get_by_text("they are one network")
    expect(conclusion).to_be_visible(timeout=60_000)
    plot = page.get_by_test_id("stVegaLiteChart").first.locator("svg.marks .background").first
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert conclusion.bounding_box()["y"] < box["y"]
    assert box["y"] + box["height"] < 800
    table = page.get_by_test_id("stDataFrame").first
    assert table.bounding_box()["y"] > box["y"] + box["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
