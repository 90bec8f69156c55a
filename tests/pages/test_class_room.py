"""Names, whose runs are listed, and the teacher's board."""

import pytest
from app_pages import opened, press, said

from cnnlab.drawing.my_digits import keep, my_digits
from cnnlab.drawing.strokes import Stroke
from cnnlab.lessons.belongings import delete_belongings
from cnnlab.lessons.notebook import all_notebooks, notebook_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.networks.shelf import keep_network, kept_networks
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep, all_sweeps
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame.page import _BOARD_KEY, is_board_key
from cnnlab.ui.lessons.board import is_this_machine

NOW = "2026-12-01T08:00:00+00:00"
NETWORK = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"
HOSTILE = "<img src=x onerror=alert(1)>"


def give_name(app, name):
    page = opened(app)
    page.text_input(key="learner_name").set_value(name).run()
    press(page, "That is me")
    return page


def a_run(made_by, *, accuracy=0.99):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1), f"Run of {made_by}", made_by=made_by)
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.1, 0.1, accuracy, 1.0, 60_000.0))
        writer.finished()
    return run


@pytest.fixture
def look(app):
    """Return a function that shows everyone's, or one's own again, on a page."""

    def choose(page, whose):
        page.segmented_control(key="whose").set_value(whose).run()
        assert not page.exception

    return choose


def test_a_name_that_somebody_has_had_here_is_asked_about(app):
    notebook_of("Ada").begin("1-draw-and-be-read", NOW)
    page = give_name(app, "ada")
    assert any("Somebody called **Ada** has been here" in each for each in said(page))
    press(page, "No: I take another name")
    page.text_input(key="learner_name").set_value("Ada K").run()
    press(page, "That is me")
    assert [book.learner for book in all_notebooks()] == ["Ada", "Ada K"]
    press(page, "I am somebody else")
    give_name(app, "Ada")
    press(page, "It was me")
    assert any("You are **Ada**" in each for each in said(page))


def test_a_name_is_shown_letter_by_letter(app):
    page = give_name(app, HOSTILE)
    shown = next(each for each in said(page) if each.startswith("You are"))
    assert r"\<img" in shown
    assert notebook_of(HOSTILE).learner == HOSTILE


def test_what_was_answered_before_a_name_was_said_is_kept_under_it_also_under_one_that_was_there(app):
    notebook_of("Ada").begin("2-two-ways", NOW)
    page = opened(app, lesson="1-draw-and-be-read", step="2")
    page = give_name(app, "Ada")
    press(page, "It was me")
    assert sorted(notebook_of("Ada").begun) == ["1-draw-and-be-read", "2-two-ways"]
    assert notebook_of("Ada").begun["2-two-ways"] == NOW


@pytest.mark.slow
def test_a_run_a_sweep_a_network_and_a_drawing_are_whose_who_made_them(app):
    give_name(app, "Ada")
    press(opened(app, "train"), "Start training")
    press(opened(app, "sweep"), "Start the sweep")
    assert {run.made_by for run in all_runs()} == {"Ada"}
    assert [sweep.made_by for sweep in all_sweeps()] == ["Ada"]
    press(opened(app, "write"), "Train it")
    assert [kept.made_by for kept in kept_networks()] == ["Ada"]


@pytest.mark.slow
@pytest.mark.parametrize("page_name", ["compare", "draw"])
def test_ones_own_runs_are_listed_and_everyones_if_asked_for(app, look, page_name):
    adas, bobs = a_run("Ada"), a_run("Bob")
    give_name(app, "Ada")
    page = opened(app, page_name)

    def listed():
        return {option for option in page.multiselect[0].options if "Run of" in option}

    assert len(listed()) == 1
    assert "Run of Ada" in listed().pop()
    look(page, "Everyone's")
    assert len(listed()) == 2
    look(page, "Mine")
    assert len(listed()) == 1
    page = opened(app, page_name, runs=bobs.id)
    assert len(listed()) == 2, "what an address names is shown"
    assert adas.made_by == "Ada"


@pytest.mark.slow
def test_on_train_home_and_sweep_ones_own_are_listed(app):
    for name in ("Ada", "Bob"):
        a_run(name)
        Sweep.start(Plan({"seed": 0}), f"Sweep of {name}", name)
    give_name(app, "Ada")
    for page_name in ("home", "train"):
        links = [each.label for each in opened(app, page_name).get("page_link")]
        assert any("Run of Ada" in label for label in links), page_name
        assert not any("Run of Bob" in label for label in links), page_name
    (adas,) = (sweep.id for sweep in all_sweeps() if sweep.made_by == "Ada")
    assert opened(app, "sweep").query_params["sweep"] == adas


def test_a_network_of_others_is_not_among_those_to_train(app, look):
    for name in ("Ada", "Bob"):
        keep_network(f"{name}s", NETWORK, name)
    give_name(app, "Ada")
    page = opened(app, "train")
    networks = next(each for each in page.selectbox if each.label == "Network")
    assert "Adas" in networks.options
    assert "Bobs" not in networks.options


def test_each_one_keeps_drawings_of_his_own(app):
    keep(1, [Stroke(20, ((140, 60), (140, 220)))])
    give_name(app, "Ada")
    page = opened(app, "draw")
    assert any("Say what a drawing was" in each for each in said(page))
    assert len(my_digits()) == 1


def test_without_a_name_all_are_listed_and_there_is_no_switch(app):
    for name in ("Ada", None):
        a_run(name)
    page = opened(app, "compare")
    assert len([option for option in page.multiselect[0].options if "Run of" in option]) == 2
    assert not [each for each in page.segmented_control if each.key == "whose"]


def test_all_that_belongs_to_a_name_is_deleted_at_once(app):
    a_run("Bob")
    give_name(app, "Ada")
    a_run("Ada")
    press(opened(app), "Delete it for good")
    assert [run.made_by for run in all_runs()] == ["Bob"]
    assert all_notebooks() == []


def test_the_teacher_sees_the_class(app):
    for name, place in (("Ada", 2), (HOSTILE, 1)):
        notebook_of(name).begin("8-your-own-network", NOW)
        notebook_of(name).turn_to("8-your-own-network", place)
    page = opened(app, board=_BOARD_KEY)
    page.selectbox(key="board_lesson").set_value("8-your-own-network").run()
    assert page.dataframe[0].value[["learner", "step"]].values.tolist() == [[HOSTILE, 2], ["Ada", 3]]


def test_the_board_opens_on_the_lesson_that_most_are_in(app):
    later = NOW.replace("T08", "T09")
    for name, then in (("Ada", "3-one-step"), ("Bob", "3-one-step"), ("Eve", "2-two-ways")):
        notebook_of(name).begin("1-draw-and-be-read", NOW)
        notebook_of(name).begin(then, later)
    notebook_of("Eve").begin("no lesson any more", later)
    page = opened(app, board=_BOARD_KEY)
    assert page.selectbox(key="board_lesson").value == "3-one-step"
    assert page.dataframe[0].value["learner"].tolist() == ["Ada", "Bob"]


@pytest.mark.slow
def test_the_teacher_stops_all_that_can_be_stopped_and_is_told_what_cannot(app):
    runs = [create_run(DEFINITIONS["module"], TrainingConfig(), made_by="Ada") for _ in range(3)]
    for run in runs:
        enqueue(run)
    page = opened(app, board=_BOARD_KEY)
    with RunWriter.claim(runs[2]):  # as a worker does that has just got it
        press(page, "Stop all runs")
    assert [run.status for run in runs] == [Status.STOPPED, Status.STOPPED, Status.QUEUED]
    assert "stop it first" in page.error[0].value
    press(page, "Stop all runs")
    assert not page.error
    assert runs[2].status is Status.STOPPED


def test_the_board_stays_for_the_session_and_its_key_leaves_the_address(app):
    page = opened(app, board=_BOARD_KEY)
    assert "board" not in page.query_params
    opened(app, "train")
    page = opened(app)
    assert page.selectbox(key="board_lesson").label == "Lesson"
    press(page, "Close the board")
    assert page.text_input(key="learner_name").label == "Your name"


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("http://localhost:8501", True),
        ("http://127.0.0.1:8501", True),
        ("http://[::1]:8501", True),
        ("", True),
        ("http://192.168.1.20:8501", False),
        ("http://lab", False),
    ],
)
def test_an_address_of_this_machine_alone_is_no_way_in(address, is_local):
    assert is_this_machine(address) is is_local


@pytest.mark.slow
def test_the_next_one_at_the_screen_begins_with_nothing_of_the_last(app, look):
    a_run("Bob")
    give_name(app, "Ada")
    look(opened(app, "compare"), "Everyone's")
    press(opened(app), "I am somebody else")
    give_name(app, "Eve")
    page = opened(app, "compare")
    assert page.segmented_control(key="whose").value == "Mine"
    assert not [option for option in page.multiselect[0].options if "Run of" in option]


def test_a_name_that_is_deleted_in_another_tab_is_nobodys_here(app):
    give_name(app, "Ada")
    opened(app, lesson="8-your-own-network", step="2")
    delete_belongings("Ada")
    for page_name in ("train", "lessons"):
        opened(app, page_name)
    assert app.text_input(key="learner_name").label == "Your name"
    assert all_notebooks() == []


@pytest.mark.parametrize("key", ["x", "", "é", "A" * 16, "None"])
def test_a_wrong_key_opens_no_board(app, key):
    page = opened(app, board=key)
    assert not page.selectbox
    if key:
        assert "There is no such board" in page.warning[0].value
        assert "board" not in page.query_params


def test_a_key_that_is_guessed_a_thousand_times_opens_nothing():
    key = _BOARD_KEY
    guesses = {key[:length] for length in range(len(key))} | {key + chr(sign) for sign in range(1000)}
    assert not any(map(is_board_key, guesses))
    assert is_board_key(key)
    assert len(key) >= 16
