"""The Inspect page as a person sees it: from a number to its images, and from an image into the network."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser


def open_inspect(look_at, **options) -> Page:
    page = look_at("/inspect", **options)
    expect(page.get_by_text("Together")).to_be_visible(timeout=60_000)
    return page


def click_cell(page: Page, digit: int, answer: int) -> None:
    cell = page.locator(".js-plotly-plot .scatterlayer .point").nth(10 * digit + answer).bounding_box()
    page.mouse.click(cell["x"] + cell["width"] / 2, cell["y"] + cell["height"] / 2)


def sides(image: Locator) -> list[int]:
    return image.evaluate("image => [image.naturalWidth, image.naturalHeight]")


def test_from_the_landing_page_to_a_cell_its_images_and_into_one_of_them(look_at):
    page = look_at("/")
    page.get_by_role("link", name="Inspect").click()
    expect(page).to_have_url(re.compile(r"/inspect\?run=reference-sequential$"), timeout=60_000)
    expect(page.get_by_text("Together")).to_be_visible(timeout=60_000)

    page.get_by_role("tab", name="Confusion matrix").click()
    click_cell(page, 4, 9)
    expect(page.locator("strong", has_text="4 answered as 9")).to_be_visible()
    images = page.locator(".st-key-digits_behind_inspected_cell button")
    expect(images).to_have_count(8)
    assert sides(images.first.locator("img")) == [28, 28]

    images.nth(1).click()
    part = page.get_by_role("tabpanel").locator("visible=true")  # the page has turned to it
    expect(part.get_by_text(re.compile(r"Test image [\d,]+: a 4"))).to_be_visible()
    expect(part.locator(".answer")).to_have_attribute("data-digit", "9")
    pictures = part.locator(".pictures")
    expect(pictures).to_have_count(4)  # the image, the attribution, the maps of two convolutions
    assert [sides(each.locator("img").first) for each in pictures.all()] == [[28, 28], [28, 28], [26, 26], [11, 11]]
    assert [each.locator("img").count() for each in pictures.all()] == [1, 1, 8, 16]
    expect(part.get_by_text("spoke for 9 rather than 4")).to_be_visible()

    page.get_by_role("button", name="Send to the canvas").click()
    expect(page.get_by_role("heading", name="Draw", exact=True)).to_be_visible()


def test_the_image_its_answer_and_the_pixels_that_spoke_stand_on_the_first_screen(look_at):
    page = open_inspect(look_at, viewport={"width": 1280, "height": 800})
    for part in (".answer", ".pictures >> nth=0", ".pictures >> nth=1", ".st-key-accuracy"):
        box = page.locator(part).bounding_box()
        assert box["y"] > 0, part
        assert box["y"] + box["height"] < 800, part


def test_on_a_phone_nothing_is_wider_than_the_screen(look_at):
    page = open_inspect(look_at, viewport={"width": 390, "height": 844})
    page.get_by_role("tab", name="Confusion matrix").click()
    expect(page.locator(".js-plotly-plot")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    main = page.locator(".stMainBlockContainer")
    assert main.bounding_box()["width"] <= 390
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
