"""The Train page as a person sees it: a real browser, a real server, real MNIST."""

import os
import re
import signal

import pytest
from hand import expect_rest, fill_in, run_of
from playwright.sync_api import Page, expect

from cnnlab.runs.shelf import all_runs

pytestmark = pytest.mark.browser


def start(page: Page, epochs: int) -> None:
    """Start a run, and wait until the page has turned to it from the one it showed."""
    expect(page).to_have_url(re.compile(r"\?run="), timeout=60_000)
    expect_rest(page)
    shown_before = page.url
    with run_of(page):
        fill_in(page, "Epochs", str(epochs))
    page.get_by_role("button", name=re.compile("Start (training|another)")).click()
    expect(page).not_to_have_url(shown_before)
    expect_rest(page)  # until then, what stands there may be of the run before


def expect_status(page: Page, status: str) -> None:
    expect(page.locator(".stMarkdownBadge").first).to_contain_text(status, timeout=180_000)


def expect_epochs(page: Page, count: int) -> None:
    """Expect the table to hold losses for so many epochs at least: the cell of the last is a loss."""
    cell = page.locator("table tbody tr").nth(count - 1).locator("td").nth(1)
    expect(cell).to_have_text(re.compile(r"\d\.\d{4}"), timeout=120_000)


def test_the_learning_rate_is_changed_while_a_run_trains_and_the_page_says_from_where(open_page):
    page = open_page("/train")
    start(page, epochs=50)
    expect_status(page, "Running")
    expect_epochs(page, 1)
    page.get_by_role("button", name="Rate", exact=True).click()
    fill_in(page, "Learning rate from the next step on", "0.002")
    page.get_by_role("button", name="Set it").click()
    expect(
        page.get_by_text(re.compile(r"learning rate 0\.001 .* learning rate 0\.002 from step [\d,]+$"))
    ).to_be_visible()
    expect(page.locator(".role-mark text").get_by_text("rate 0.002")).to_be_visible()
    ((step, rate),) = all_runs()[0].learning_rates.items()
    assert (step > 469, rate) == (True, 0.002)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_status(page, "Stopped")


def test_from_the_landing_page_to_two_epochs_a_reload_a_second_tab_stop_resume_and_the_end(open_page):
    page = open_page("/")
    page.get_by_role("link", name="Train it").click()
    start(page, epochs=12)  # enough that it trains still when two pages have shown two of them
    expect_status(page, "Running")
    expect_epochs(page, 1)
    chart = page.get_by_test_id("stVegaLiteChart").first
    drawing = chart.locator("svg.marks, canvas").element_handle()

    page.reload()
    expect(page).to_have_url(re.compile(r"/train\?run=\d{8}-\d{6}-\d{3}$"))
    expect_status(page, "Running")
    second = open_page(page.url)
    expect_status(second, "Running")
    drawing = chart.locator("svg.marks, canvas").element_handle()
    expect_epochs(page, 2)
    expect_epochs(second, 2)
    assert drawing.evaluate("node => node.isConnected"), "the chart was drawn again while points were added"

    page.get_by_role("button", name="Stop", exact=True).click()
    expect_status(page, "Stopped")
    expect_status(second, "Stopped")
    second.close()
    step = page.get_by_text(re.compile(r"step [\d,]+ of 5,628")).inner_text()

    page.get_by_role("button", name="Resume").click()
    expect_status(page, "Running")
    expect_epochs(page, 12)
    expect_status(page, "Finished")
    assert page.get_by_text(re.compile("step 5,628 of 5,628")).inner_text() != step
    (run,) = all_runs()
    assert len(run.history().starts) == 2
    assert run.history().batches["step"].tolist() == list(range(1, 5_629))


def test_a_second_start_is_queued_and_shown_as_such(open_page):
    page = open_page("/train")
    start(page, epochs=100)
    expect_status(page, "Running")
    start(page, epochs=1)
    expect_status(page, "Queued")
    expect(page.get_by_text("Next in the queue")).to_be_visible()

    page.get_by_role("button", name="All runs").click()
    links = page.locator("[data-testid=stPopoverBody] a")
    links.nth(1).click()
    expect_status(page, "Running")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_status(page, "Stopped")
    page.get_by_role("button", name="All runs").click()
    links.nth(0).click()
    expect_status(page, "Running")


def test_a_worker_killed_with_sigkill_shows_as_interrupted_and_resumes(open_page, process_of, wait_for):
    page = open_page("/train")
    start(page, epochs=30)
    expect_epochs(page, 1)
    (run,) = all_runs()
    wait_for(lambda: run.history().starts)  # the table may have shown the epochs of the run before
    os.kill(process_of(run), signal.SIGKILL)
    expect_status(page, "Interrupted")
    expect(page.get_by_text("was killed (SIGKILL)")).to_be_visible()
    trained = run.history().step
    page.get_by_role("button", name="Resume").click()
    expect_status(page, "Running")
    wait_for(lambda: run.history().step > trained)


def test_downloads_give_weights_history_and_a_script(open_page, tmp_path):
    page = open_page("/train")
    start(page, epochs=1)
    expect_status(page, "Finished")
    page.get_by_role("button", name="Download", exact=True).click()
    for label, start_of_file in (
        ("Weights (safetensors)", b""),
        ("Epochs (CSV)", b"epoch,step,train_loss"),
        ("Batches (CSV)", b"step,loss,seconds"),
        ("Training script (Python)", b'"""Trains one network on MNIST'),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        download.value.save_as(tmp_path / "download")
        content = (tmp_path / "download").read_bytes()
        assert content.startswith(start_of_file)
        assert len(content) > 100


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = open_page("/train", viewport={"width": 390, "height": 844})
    start(page, epochs=1)
    expect_status(page, "Finished")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".stMainBlockContainer").bounding_box()
    assert box["width"] <= 390


def test_a_run_is_taken_to_another_lab_as_an_archive_and_a_bad_one_is_refused(open_page, tmp_path):
    page = open_page("/train?run=reference-module")
    page.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Run (zip)").click()
    download.value.save_as(tmp_path / "run.zip")
    (tmp_path / "bad.zip").write_text("this is none")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Import a run").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.zip")
    expect(page.get_by_text("This file is no archive of a run")).to_be_visible()
    assert all_runs() == []
    page.locator("input[type=file]").set_input_files(tmp_path / "run.zip")
    expect(page).to_have_url(re.compile(r"\?run=2"))
    expect_status(page, "Finished")
    expect_epochs(page, 10)
    assert len(all_runs()) == 1
    page.reload()
    expect_epochs(page, 10)
    assert len(all_runs()) == 1
