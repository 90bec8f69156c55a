"""A run's film as a person sees it: through its training by hand and by itself, and an answer over all of it."""

import io
import re

import pytest
from hand import expect_rest
from PIL import Image
from playwright.sync_api import Page, expect

from cnnlab.film.moments import moments_of
from cnnlab.inference.test_set import images_of, predictions_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.wording import percent
from cnnlab.workers.work import work

pytestmark = pytest.mark.browser


@pytest.fixture
def run() -> Run:
    """Return a run that was trained for an epoch."""
    made = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, threads=1), "Filmed", snapshots=12)
    with RunWriter.claim(made) as writer:
        list(work(made, writer))
    return made


def expect_accuracy_after(page: Page, run: Run, step: int) -> None:
    right = predictions_of(run, moment=step).answers == images_of("mnist")[1].numpy()
    metric = page.locator(".st-key-accuracy [data-testid=stMetricValue]").first
    expect(metric).to_have_text(percent(float(right.mean())))


def frames_in(download) -> int:
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as film:
        assert film.format == "GIF"
        return film.n_frames


def test_a_film_is_gone_through_by_hand_and_plays_to_its_end(run, open_page):
    page = open_page(f"/inspect?run={run.id}")
    slider = page.get_by_role("slider", name=re.compile("Its network after step"))
    expect(slider).to_have_attribute("aria-valuetext", "469")
    expect_accuracy_after(page, run, 469)

    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0")
    expect_accuracy_after(page, run, 0)
    expect(page.locator(".answer header")).to_have_text("Filmed, after step 0")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "1")
    expect_accuracy_after(page, run, 1)

    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # at its end
    expect(slider).to_have_attribute("aria-valuetext", "469")
    expect_accuracy_after(page, run, 469)

    page.get_by_role("tab", name="Its filters").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="As a film (GIF)").click()
    assert frames_in(download) == len(moments_of(run))


def test_a_film_that_is_paused_stays_where_it_is_and_its_errors_are_of_that_moment(run, open_page):
    page = open_page(f"/inspect?run={run.id}")
    slider = page.get_by_role("slider", name=re.compile("Its network after step"))
    page.get_by_role("tab", name="What it gets most wrong").click()
    page.get_by_role("button", name="Play").click()
    expect(slider).not_to_have_attribute("aria-valuetext", "469")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect_rest(page)
    step = int(slider.get_attribute("aria-valuetext"))
    expect_accuracy_after(page, run, step)
    errors = int((predictions_of(run, moment=step).answers != images_of("mnist")[1].numpy()).sum())
    expect(page.get_by_role("button", name=f"More of {errors:,}")).to_be_visible()


def test_a_drawing_is_answered_over_the_training_and_taken_away_as_a_film(run, open_page):
    page = open_page(f"/draw?runs={run.id}")
    page.get_by_role("button", name="Start from a picture").click()
    page.get_by_role("button", name="Show", exact=True).click()  # test image 0: a 7
    expect(page.locator(".answer").first).to_have_attribute("data-digit", "7")
    page.get_by_text("Its answer over training").click()
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart.get_by_text("7", exact=True)).to_be_visible()
    expect(chart.get_by_text("step 0")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="As a film (GIF)").click()
    assert frames_in(download) == len(moments_of(run))


def test_a_run_that_ships_says_why_it_has_no_film(look_at):
    page = look_at("/inspect?run=reference-module")
    expect(page.get_by_text("No film: The runs that ship with the lab have no snapshots")).to_be_visible()
