"""The Models page as a person sees it: the graphs are drawn, and the proof is made while one looks."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

ADD = re.compile("^Add$")


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
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_text("self.conv1 = nn.Conv2d(1, 8, kernel_size=3)").first).to_be_visible(timeout=60_000)
    graphs = page.get_by_test_id("stGraphVizChart")
    expect(graphs.first.locator("svg text", has_text="8 × 26 × 26").first).to_be_visible(timeout=30_000)
    expect(graphs.nth(1).locator("svg text", has_text=ADD)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("table").first).to_contain_text("216,032", timeout=30_000)

    page.get_by_role("radio", name="Residual nn.Module").click()
    expect(page.get_by_role("table").first).to_contain_text("29,906", timeout=30_000)
    expect(graphs.first.locator("svg text", has_text=ADD)).to_be_visible(timeout=30_000)

    expect_the_proof(page)
    shown_at = top_of_the_chart(page)
    page.get_by_role("button", name="Prove it again").click()
    expect(page.get_by_text("Being computed").first).to_be_visible(timeout=30_000)
    assert top_of_the_chart(page) == pytest.approx(shown_at, abs=1)
    expect_the_proof(page)
    assert top_of_the_chart(page) == pytest.approx(shown_at, abs=1)


def test_on_a_phone_nothing_is_wider_than_the_screen(look_at):
    page = look_at("/models", viewport={"width": 390, "height": 844})
    expect_the_proof(page)
    expect(page.get_by_test_id("stGraphVizChart").first.locator("svg")).to_be_visible(timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    main = page.locator(".stMainBlockContainer")
    assert main.bounding_box()["width"] <= 390
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
