"""The buttons that lead through a run, and how far each asks the run to go."""

from dataclasses import replace

import pytest
from stepped import CONFIG
from streamlit.testing.v1 import AppTest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.ui.frame.session import Key
from cnnlab.ui.step import stepping

DEFINITION = DEFINITIONS["sequential"]
RUN = (DEFINITION, CONFIG)


@pytest.fixture
def steppers(monkeypatch):
    """Return the runs that are stepped, none to begin with, which are given all the time that they need."""
    monkeypatch.setattr(stepping, "_SECONDS_AT_ONCE", 1_000)
    stepping._steppers.clear()
    yield stepping._steppers
    stepping._steppers.clear()


def losses(config=CONFIG):
    return stepping._steppers[DEFINITION.source, config].losses


@pytest.mark.slow
def test_the_way_ends_where_somebody_set_out_for(steppers):
    assert stepping._on_towards(*RUN, 1, 4) == 4
    assert len(losses()) == 4
    assert stepping._on_towards(*RUN, 4, 4) == 4
    assert len(losses()) == 4


def test_a_run_that_was_let_go_catches_up_on_the_way_to_the_same_numbers(steppers):
    stepping._on_towards(*RUN, 1, 4)
    before = losses()
    steppers.clear()
    assert stepping._on_towards(*RUN, 3, 5) == 5
    assert losses()[:4] == before
    assert len(losses()) == 5


@pytest.mark.slow
def test_a_step_that_cannot_be_taken_ends_the_way(steppers):
    config = replace(CONFIG, optimizer="nesterov", learning_rate=1000.0, batch_size=128)
    number = stepping._on_towards(DEFINITION, config, 1, 400)
    assert number == len(losses(config)) + 1 < 400


def test_without_time_nothing_is_taken(steppers, monkeypatch):
    monkeypatch.setattr(stepping, "_SECONDS_AT_ONCE", -1)
    assert stepping._on_towards(*RUN, 1, 4) == 1
    assert not stepping._has_reached(*RUN, 1)
    assert losses() == []


def test_the_steps_up_to_one_are_taken_and_no_more(steppers):
    assert stepping._has_reached(*RUN, 3)
    assert len(losses()) == 3
    step, before = stepping._step(*RUN, 2)
    assert (step.number, step.batch, step.loss) == (2, 2, losses()[1])
    assert before == losses()[:2]


@pytest.mark.slow
def test_a_run_is_kept_and_those_that_were_not_looked_at_for_long_are_let_go(steppers, monkeypatch):
    second, third = replace(CONFIG, seed=1), replace(CONFIG, seed=2)
    kept = [stepping._stepper(DEFINITION, config) for config in (CONFIG, second)]
    assert stepping._stepper(*RUN) is kept[0]
    monkeypatch.setattr(stepping, "_MOST_BYTES", sum(each.nbytes for each in kept))
    stepping._stepper(DEFINITION, third)
    assert [config for _, config in steppers] == [CONFIG, third]
    monkeypatch.setattr(stepping, "_MOST_BYTES", 0)
    stepping._stepper(*RUN)
    assert [config for _, config in steppers] == [CONFIG]


def buttons_of_a_run_of_twelve_steps():
    from cnnlab.models.definitions import DEFINITIONS
    from cnnlab.training.recipe import TrainingConfig
    from cnnlab.ui.step.stepping import Position

    Position(DEFINITIONS["sequential"], TrainingConfig(epochs=3, batch_size=15_000, device="cpu")).buttons()


@pytest.fixture
def buttons():
    """Return a function that shows the buttons at a step."""
    page = AppTest.from_function(buttons_of_a_run_of_twelve_steps).run()

    def shown(number, **state):
        for key, value in {Key.STEP: number, **state}.items():
            page.session_state[key] = value
        return page.run()

    return shown


def enabled(page):
    return {button.label for button in page.button if not button.disabled}


def press(page, label):
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


ON = {"Next step", "10 steps", "To the end of the epoch", "Play"}


def test_one_can_go_back_from_all_but_the_first_step_and_on_from_all_but_the_last(buttons):
    assert enabled(buttons(1)) == ON
    assert enabled(buttons(2)) == enabled(buttons(11)) == {*ON, "Back", "First"}
    assert enabled(buttons(12)) == {"Back", "First"}


@pytest.mark.parametrize(
    ("label", "start", "end"),
    [
        ("Back", 2, 1),
        ("Next step", 1, 2),
        ("Next step", 11, 12),
        ("10 steps", 1, 11),
        ("10 steps", 2, 12),
        ("10 steps", 5, 12),
        ("First", 9, 1),
    ],
)
def test_a_button_leads_to_its_step(label, start, end, buttons):
    assert press(buttons(start), label).session_state[Key.STEP] == end


@pytest.mark.parametrize(("start", "goal"), [(1, 4), (3, 4), (4, 8), (11, 12)])
def test_an_epoch_ends_with_its_last_step_and_from_there_on_with_the_next_ones(start, goal, buttons):
    page = press(buttons(start), "To the end of the epoch")
    assert (page.session_state[Key.STEP], page.session_state[Key.STEP_GOAL]) == (start, goal)
    assert page.session_state[Key.STEP_START] == start
    assert enabled(page) == {"Stop here", "First"} - ({"First"} if start == 1 else set())
    page = press(page, "Stop here")
    assert page.session_state[Key.STEP_GOAL] is None
    assert enabled(page) >= ON


def test_what_plays_can_be_paused(buttons):
    page = press(buttons(1), "Play")
    assert page.session_state[Key.STEP_PLAYS]
    assert enabled(page) >= {"Pause", "Next step"}
    assert not press(page, "Pause").session_state[Key.STEP_PLAYS]


def test_who_sets_out_no_longer_plays(buttons):
    page = press(press(buttons(1), "Play"), "To the end of the epoch")
    assert not page.session_state[Key.STEP_PLAYS]


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        ({Key.STEP_GOAL: None, Key.STEP_PLAYS: False}, None),
        ({Key.STEP_GOAL: None, Key.STEP_PLAYS: True}, 1.0),
        ({Key.STEP_GOAL: 4, Key.STEP_PLAYS: False}, 0.1),
        ({}, None),
    ],
)
def test_what_plays_shows_a_step_each_second_and_what_is_on_the_way_ten_times_as_often(state, seconds, monkeypatch):
    monkeypatch.setattr(stepping.st, "session_state", state)
    assert stepping.pace() == seconds
