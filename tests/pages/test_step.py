"""The page Step: where one stands in the run, and its five stations."""

import re
from dataclasses import replace

import pytest
from app_pages import number_in
from streamlit.testing.v1 import AppTest

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import keep_network
from cnnlab.training.events import BatchEvent
from cnnlab.training.loop import train
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.step.stepping import _steppers

STATIONS = ("1 Batch", "2 Forward", "3 Loss", "4 Backward", "5 Update")
WITH_NORM = """
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(676, 10),
)
"""


@pytest.fixture
def step_page(app) -> AppTest:
    return app.switch_page("pages/step.py").run()


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def told(page: AppTest) -> str:
    return next(each.value for each in page.markdown if each.value.startswith("**Step "))


def losses_told(page: AppTest) -> list[float]:
    return [float(each) for each in re.findall(r"\*\*(\d+\.\d{4})\*\*", told(page))]


def first_losses(count: int, **recipe) -> list[float]:
    config = TrainingConfig(**recipe, device="cpu")
    events = train(DEFINITIONS["sequential"].build(config.seed), data.load(), config)
    return [event.loss for event, _ in zip(events, range(count), strict=False) if isinstance(event, BatchEvent)]


@pytest.mark.slow
def test_the_page_begins_with_the_first_step_and_goes_on_and_back(step_page):
    first, second, _, fourth = first_losses(4)
    assert losses_told(step_page)[0] == round(first, 4)
    begun = told(step_page)
    assert begun.startswith("**Step 1** of 4,690")
    assert losses_told(press(step_page, "Next step"))[0] == round(second, 4)
    press(press(step_page, "Next step"), "Next step")
    assert losses_told(step_page)[0] == round(fourth, 4)
    for _ in range(3):
        press(step_page, "Back")
    assert told(step_page) == begun
    press(step_page, "10 steps")
    assert told(step_page).startswith("**Step 11**")
    assert told(press(step_page, "First")) == begun


@pytest.mark.parametrize("station", STATIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_station_shows_every_optimizer(step_page, station, optimizer):
    step_page.session_state["recipe_optimizer"] = optimizer
    step_page.session_state["step_part"] = station
    press(step_page.run(), "Next step")
    assert not step_page.exception
    assert [error.value for error in step_page.error] == []
    if station == "5 Update":
        rule = next(each.value for each in step_page.markdown if "The new weight" in each.value)
        (found,) = re.findall(r"\*\*(.*?)\*\*", rule.splitlines()[-1])
        (of_pytorch,) = re.findall(r"PyTorch has (\S+) there", "".join(each.value for each in step_page.caption))
        assert found == of_pytorch


@pytest.mark.parametrize("station", STATIONS)
def test_a_network_of_ones_own_is_stepped_too(app, station):
    keep_network("mine", WITH_NORM)
    app.session_state["recipe_definition"] = "mine"
    app.session_state["step_part"] = station
    page = app.switch_page("pages/step.py").run()
    press(page, "Next step")
    assert not page.exception
    assert [error.value for error in page.error] == []


def test_a_run_that_was_let_go_is_taken_again_to_the_same_step(step_page):
    expected = told(press(press(step_page, "10 steps"), "Next step"))
    press(step_page, "Back")
    _steppers.clear()
    assert told(press(step_page, "Next step")) == expected
    assert len(_steppers) == 1


def test_another_recipe_begins_anew(step_page):
    press(step_page, "10 steps")
    step_page.session_state["recipe_seed"] = 3
    step_page.run()
    assert told(step_page).startswith("**Step 1**")
    assert losses_told(step_page)[0] == round(first_losses(1, seed=3)[0], 4)


def test_a_batch_that_is_too_large_to_look_at_is_refused_in_a_sentence(step_page):
    step_page.session_state["recipe_batch_size"] = 1000
    step_page.run()
    (error,) = step_page.error
    assert "batch\\_size is 1000; allowed is at most 512" in error.value
    assert not step_page.exception


def test_a_step_that_diverges_is_told_and_one_can_go_back(step_page):
    step_page.session_state["recipe_optimizer"] = "nesterov"
    step_page.session_state["recipe_learning_rate"] = 1000.0
    step_page.run()
    press(step_page, "10 steps")
    (error,) = step_page.error
    assert "training has diverged" in error.value
    press(step_page, "First")
    assert not step_page.error
    assert told(step_page).startswith("**Step 1**")


@pytest.mark.slow
def test_another_learning_rate_is_tried_from_the_same_weights(step_page):
    step_page.session_state["step_part"] = "5 Update"
    press(step_page.run(), "10 steps")
    metrics = {metric.label: metric.value for metric in step_page.metric}
    before, after = losses_told(step_page)
    assert (float(metrics["Before"]), float(metrics["After, rate 0.001"])) == (before, after)
    field = next(each for each in step_page.number_input if each.label.startswith("What if"))
    field.set_value(100.0).run()
    metrics = {metric.label: metric.value for metric in step_page.metric}
    assert float(metrics["After, rate 100"]) > 1000
    field = next(each for each in step_page.number_input if each.label.startswith("What if"))
    field.set_value(-1.0).run()
    assert "allowed is a number above 0" in step_page.error[0].value


def test_the_gradient_found_by_trying_is_the_one_that_backward_left(step_page):
    step_page.session_state["step_part"] = "4 Backward"
    step_page.run()
    table = next(each.value for each in step_page.markdown if "their difference" in each.value)
    above, below = (float(each) for each in re.findall(r"\| (\d\.\d{15}) \|", table))
    slope, gradient = (number_in(each) for each in re.findall(r"\*\*(.*?)\*\*", table))
    assert (above - below) / 2e-7 == pytest.approx(slope, rel=1e-3)
    assert slope == pytest.approx(gradient, rel=1e-2)
    terms = next(each.value for each in step_page.markdown if "| **together**" in each.value)
    assert number_in(re.findall(r"together\*\* \| \| \*\*(.*?)\*\*", terms)[0]) == pytest.approx(gradient, rel=1e-3)


def test_a_device_of_another_kind_is_left_aside(step_page):
    assert replace(TrainingConfig(), device="cpu") == step_page.session_state["stepped_run"][1]


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


@pytest.mark.slow
def test_who_has_set_out_for_the_end_of_the_epoch_can_stop_on_the_way(step_page):
    step_page.session_state["recipe_batch_size"] = 1  # so that the way is long
    press(step_page.run(), "To the end of the epoch")
    assert "Stop here" in labels(step_page)
    press(step_page, "Stop here")
    assert "To the end of the epoch" in labels(step_page)
    reached = int(re.search(r"\*\*Step ([\d,]+)\*\*", told(step_page))[1].replace(",", ""))
    assert 1 < reached < 60_000
    assert told(step_page.run()).startswith(f"**Step {reached:,}**")


def test_one_that_plays_can_be_paused(step_page):
    press(step_page, "Play")
    assert "Pause" in labels(step_page)
    press(step_page, "Pause")
    assert "Play" in labels(step_page)
    assert not step_page.session_state["step_plays"]
