import re

import pytest
from playwright.sync_api import expect

from cnnlab.runs.shelf import all_runs
from cnnlab.sweeps.sweep import all_sweeps

pytestmark = pytest.mark.browser


def fill(page, label, text):
    field = page.get_by_role("textbox", name=label).or_(page.get_by_role("spinbutton", name=label))
    field.fill(text)
    field.press("Tab")


def test_a_sweep_of_two_by_two_is_started_fills_its_heat_map_and_leads_to_compare(open_page):
    page = open_page("/sweep")
    expect(page.get_by_text("9 runs")).to_be_visible()
    fill(page, "Learning rate", "0.001, 0.002")
    fill(page, "Seed", "0, 1")
    fill(page, "Epochs of each run", "1")
    expect(page.get_by_text("4 runs")).to_be_visible()
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_text("4 of 4 runs ended")).to_be_visible(timeout=180_000)
    expect(page.get_by_text(re.compile(r"Best so far: 9\d\.\d\d %"))).to_be_visible()
    expect(page).to_have_url(re.compile(all_sweeps()[0].id))
    expect(page.get_by_role("button", name="Stop all")).to_be_disabled()  # the page starts again after the last run
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    expect(chart).to_be_visible()
    chart.click(position={"x": chart.bounding_box()["width"] * 0.35, "y": 30})
    to_compare = page.get_by_text("Compare the 1 run of this cell")
    expect(to_compare).to_be_visible()
    page.get_by_role("combobox", name="Rows").click()
    page.get_by_role("option", name="Seed").click()
    expect(to_compare).to_have_count(0)  # what was clicked was a cell of another chart
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    chart.click(position={"x": chart.bounding_box()["width"] * 0.35, "y": 30})
    to_compare.click()
    expect(page).to_have_url(re.compile(r"compare\?runs=2"))
    assert {(run.config.learning_rate, run.config.seed) for run in all_runs()} == {
        (0.001, 0),
        (0.001, 1),
        (0.002, 0),
        (0.002, 1),
    }


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = open_page("/sweep", viewport={"width": 390, "height": 844})
    expect(page.get_by_role("button", name="Start the sweep")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
