"""One training step under glass, walked through in a real browser."""

import re

import pytest
import torch
import torch.nn.functional as F
from hand import expect_rest, fill_in
from playwright.sync_api import Page, expect

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.layers import follow
from cnnlab.stepping.stepper import Stepper
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.browser
LISTEN = """document.addEventListener("cnnlab:values", ({ detail }) => {
  window.seen = { image: [...detail.image], values: detail.values.map((each) => [...each]) };
})"""


@pytest.fixture
def stepper() -> Stepper:
    """Return the tutorial's run, taken step by step in this process."""
    torch.set_flush_denormal(True)
    return Stepper(
        DEFINITIONS["sequential"].build(0), data.load(train_images_as_bytes=True), TrainingConfig(device="cpu")
    )


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_step(page: Page, number: int, stepper: Stepper) -> None:
    line = f"Step {number:,} of 4,690: the batch's loss is {stepper.reach(number):.4f}"
    expect(page.get_by_text(line)).to_be_visible()


def open_station(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    expect_rest(page)


def test_the_steps_of_the_page_are_the_runs_forwards_and_back(look_at, stepper):
    page = look_at("/step")
    expect_step(page, 1, stepper)
    expect(page.get_by_role("button", name="Back", exact=True)).to_be_disabled()
    press(page, "Next step")
    expect_step(page, 2, stepper)
    press(page, "10 steps")
    expect_step(page, 12, stepper)
    press(page, "Back")
    expect_step(page, 11, stepper)
    press(page, "To the end of the epoch")
    expect(page.get_by_role("button", name="Stop here")).to_be_visible()
    expect_step(page, 469, stepper)
    press(page, "Next step")
    expect_step(page, 470, stepper)
    press(page, "First")
    expect_step(page, 1, stepper)


def test_the_way_to_the_end_of_the_epoch_can_be_stopped(look_at):
    page = look_at("/step")
    press(page, "Settings")
    fill_in(page, "Batch size", "4")
    expect(page.get_by_text(re.compile("^Step 1 of 150,000:"))).to_be_visible()
    page.keyboard.press("Escape")
    press(page, "To the end of the epoch")
    expect(page.get_by_text(re.compile(r"Step [\d,]+ on the way to 15,000 · .* left"))).to_be_visible()
    press(page, "Stop here")
    told = page.get_by_text(re.compile(r"^Step [\d,]+ of 150,000:"))
    expect(told).not_to_have_text(re.compile("^Step 1 of"))
    expect_rest(page)
    reached = int(re.findall(r"[\d,]+", told.inner_text())[0].replace(",", ""))
    assert 1 < reached < 15_000


def test_playing_goes_from_step_to_step_until_it_is_paused(look_at):
    page = look_at("/step")
    expect(page.get_by_text(re.compile("^Step 1 of"))).to_be_visible()
    press(page, "Play")
    expect(page.get_by_text(re.compile("^Step 3 of"))).to_be_visible()
    press(page, "Pause")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect_rest(page)


def test_the_five_stations_of_a_step_show_its_own_numbers(look_at, stepper):
    page = look_at("/step")
    press(page, "Next step")
    expect_step(page, 2, stepper)
    step = stepper.step(2)

    images = page.locator(".st-key-batch_sheet button")
    expect(images).to_have_count(128)
    assert images.all_inner_texts() == [str(label) for label in step.labels.tolist()]
    images.nth(5).click()
    expect(images.nth(5)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text(f"It is number {step.places[5]:,} of MNIST's training images")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(images.nth(6)).to_have_attribute("aria-pressed", "true")

    page.evaluate(LISTEN)
    open_station(page, "2 Forward")
    expect(page.locator(".st-key-network_diagram canvas")).to_have_attribute("aria-label", re.compile("layers of maps"))
    page.wait_for_function("window.seen?.values.length")
    seen = page.evaluate("window.seen")
    torch.testing.assert_close(torch.tensor(seen["image"]).reshape(1, 28, 28), step.images[6])
    for values, (_, found) in zip(seen["values"], follow(step.before, step.images[6]), strict=True):
        torch.testing.assert_close(torch.tensor(values), found.ravel(), atol=1e-4, rtol=1e-4)

    open_station(page, "3 Loss")
    logits = step.before(step.images).detach()
    rows = page.locator("table.softmax tr")
    expect(rows).to_have_count(11)
    shown = [float(row.locator("td").nth(1).inner_text().replace("−", "-")) for row in rows.all()[1:]]
    assert shown == pytest.approx(logits[6].tolist(), abs=1e-4)
    of_images = F.cross_entropy(logits, step.labels, reduction="none")
    costliest = [f"{step.labels[each]}: {of_images[each]:.3g}" for each in of_images.argsort(descending=True)[:3]]
    assert page.locator(".st-key-costliest_sheet button").all_inner_texts()[:3] == costliest

    open_station(page, "4 Backward")
    gradient = step.gradients["0.weight"]
    page.locator(".st-key-gradients_sheet button").nth(2).click(position={"x": 5, "y": 5})
    expect(page.get_by_text("0.weight[2, 0, 0, 0]")).to_be_visible()
    expect(page.get_by_text(f"gradient g = {written(gradient[2, 0, 0, 0].item())}")).to_be_visible()
    page.locator(".st-key-weights_sheet button").nth(2).press("ArrowDown")
    expect(page.get_by_text("0.weight[2, 0, 1, 0]")).to_be_visible()

    open_station(page, "5 Update")
    expect(page.get_by_text(f"PyTorch has {written(step.after[0].weight[2, 0, 1, 0].item())} there")).to_be_visible()
    fill_in(page, "What if: the same step with another learning rate", "1")
    exploded = page.get_by_test_id("stMetric").filter(has_text="After, rate 1").last
    expect(exploded).to_contain_text(re.compile(r"\d{4}|e\+"))
    expect(page.get_by_test_id("stVegaLiteChart").last).to_be_visible()


def written(value: float) -> str:
    digits, _, power = f"{value:.5g}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")) if power else ""
    return (f"{digits}\u00a0·\u00a010{raised}" if power else digits).replace("-", "−")


def test_what_somebody_does_on_a_phone_stands_below_each_other(look_at):
    page = look_at("/step", viewport={"width": 390, "height": 844})
    for station in ("2 Forward", "3 Loss", "4 Backward", "5 Update"):
        open_station(page, station)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
