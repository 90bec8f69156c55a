import re

import pytest
from hand import expect_rest, fill_in
from playwright.sync_api import expect

from cnnlab.runs.shelf import all_runs
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps
from cnnlab.training.events import EpochEvent

pytestmark = pytest.mark.browser


def test_a_sweep_of_two_by_two_answers_over_seeds_and_leads_to_compare(open_page):
    page = open_page("/sweep")
    expect(page.get_by_text("9 runs")).to_be_visible()
    fill_in(page, "Learning rate", "0.001, 0.002")
    fill_in(page, "Seed", "0, 1")
    fill_in(page, "Epochs of each", "1")
    expect(page.get_by_text("4 runs")).to_be_visible()
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_text("4 of 4 runs ended")).to_be_visible(timeout=180_000)
    expect(
        page.get_by_text(re.compile(r"^Learning rate 0.00\d has the best mean accuracy: 9\d\.\d\d %"))
    ).to_be_visible()
    expect(page).to_have_url(re.compile(all_sweeps()[0].id))
    expect(page.get_by_role("button", name="Stop all")).to_be_disabled()  # the page starts again after the last run
    expect_rest(page)
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    expect(chart).to_be_visible()
    chart.locator(".mark-symbol path").first.click(force=True)
    to_compare = page.get_by_text("Compare the 2 runs with this value")
    expect(to_compare).to_be_visible()
    expect_rest(page)
    to_compare.click()
    expect(page).to_have_url(re.compile(r"compare\?runs=2"))
    assert {(run.config.learning_rate, run.config.seed) for run in all_runs()} == {
        (0.001, 0),
        (0.001, 1),
        (0.002, 0),
        (0.002, 1),
    }


def test_on_a_phone_nothing_is_wider_than_the_screen(look_at):
    page = look_at("/sweep", viewport={"width": 390, "height": 844})
    expect(page.get_by_role("button", name="Start the sweep")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_laptop_the_form_and_the_answer_stand_beside_each_other_on_the_first_screen(open_page):
    sweep = Sweep.start(Plan({"epochs": 1, "threads": 1, "learning_rate": (0.001, 0.01), "seed": (0, 1)}))
    for run in sweep.runs():
        with RunWriter.claim(run) as writer:
            writer.started(step=0, device="cpu")
            writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.97 + run.config.seed / 100, 3.0, 20_000.0))
            writer.finished()
    page = open_page("/sweep", viewport={"width": 1280, "height": 800})
    answer, start = page.get_by_text("has the best mean accuracy"), page.get_by_role("button", name="Start the sweep")
    expect(answer).to_be_visible()
    mean = page.get_by_test_id("stVegaLiteChart").first.locator(".mark-symbol path").first
    expect(mean).to_be_visible()
    for part in (answer, start, mean):
        box = part.bounding_box()
        assert box["y"] + box["height"] < 800
    assert answer.bounding_box()["x"] > start.bounding_box()["x"] + start.bounding_box()["width"]


def test_what_was_typed_is_there_after_a_visit_to_another_page(look_at):
    page = look_at("/sweep")
    fill_in(page, "Learning rate", "0.005, 0.05")
    fill_in(page, "Epochs of each", "7")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("button", name="Train both")).to_be_visible()
    page.get_by_role("link", name="Sweep").click()
    expect(page.get_by_role("textbox", name="Learning rate")).to_have_value("0.005, 0.05")
    expect(page.get_by_role("spinbutton", name="Epochs of each")).to_have_value("7")
