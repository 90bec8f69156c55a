import pytest
from app_pages import opened, press, said
from trained import trained

from cnnlab.lessons.notebook import notebook_of
from cnnlab.lessons.shelf import own_lessons_folder
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame.session import Key

MINE = """---
title: Mine <b>&
about: A teacher's own.
minutes: 5
---

## Predict: Two
What is it?
- [ ] One
- [x] Two
> You said {predicted}.

## Explain
Why?
> Because.
"""


@pytest.fixture
def own_lesson():
    own_lessons_folder().mkdir()
    (own_lessons_folder() / "9-mine.md").write_text(MINE, encoding="utf-8")


def give_name(page, name):
    page.text_input(key="learner_name").set_value(name).run()
    press(page, "That is me")


def test_a_step_can_be_linked_to_and_the_lesson_stands_beside_every_page(app):
    page = opened(app, lesson="3-one-step", step="2")
    assert any("Knowing nothing" in each for each in said(page))
    for name in ("write", "draw", "inspect"):
        page = app.switch_page(f"pages/{name}.py").run()
        assert not page.exception
        assert any("Knowing nothing" in each for each in said(page))
    press(page, "Close")
    assert not any("Knowing nothing" in each for each in said(page))


@pytest.mark.parametrize("step", ["0", "99", "-1", "x", "\u0663"])
def test_any_step_in_the_address_opens_the_lesson(app, step):
    page = opened(app, lesson="3-one-step", step=step)
    assert any(each == "**One step**" for each in said(page))


def test_a_lesson_that_is_not_there_is_said_to_be_so(app):
    assert "There is no lesson" in opened(app, lesson="<b>nothing").warning[0].value


def test_a_teachers_lesson_is_done_and_its_answers_are_there_again_under_the_name(app, own_lesson):
    page = opened(app, lesson="9-mine", step="1")
    page.radio(key="lesson_9-mine_0").set_value("One").run()
    press(page, "Predict")
    assert "You said **One**." in said(page)
    press(page, "Next")
    page.text_area(key="lesson_9-mine_1").set_value("<script>alert(1)</script>").run()
    press(page, "Keep it")
    assert "Because." in said(page)
    press(page, "Next")
    assert any("you said One; it is **Two**" in each for each in said(page))
    give_name(page, "Ada <i>")
    assert notebook_of("Ada <i>").answers == {"9-mine": {"0": "One", "1": "<script>alert(1)</script>"}}
    press(page, "I am somebody else")
    assert not any("is yours" in each for each in said(page))
    give_name(page, "ada <i>")
    press(page, "It was me")
    assert any("2 of 2 tasks done" in each.value for each in page.caption)


def test_what_is_kept_under_a_name_can_be_deleted(app, own_lesson):
    page = opened(app, lesson="9-mine", step="1")
    give_name(page, "Ada")
    assert notebook_of("Ada").begun
    press(page, "Delete it for good")
    assert not notebook_of("Ada").begun
    assert page.text_input(key="learner_name").value == ""


def test_a_mistake_in_a_teachers_lesson_is_named_with_its_line(app):
    own_lessons_folder().mkdir()
    (own_lessons_folder() / "9-mine.md").write_text(MINE.replace("## Explain", "## Guess"), encoding="utf-8")
    page = opened(app)
    assert "9-mine.md, line 13: a step begins with one of" in page.error[0].value.replace("\\", "")


def test_a_lesson_that_a_teacher_takes_away_while_it_is_on_is_closed(app, own_lesson):
    page = opened(app, lesson="9-mine", step="1")
    (own_lessons_folder() / "9-mine.md").unlink()
    page = app.switch_page("pages/draw.py").run()
    assert not page.exception


def test_an_answer_that_cannot_be_kept_is_said_to_be_so_and_stays_on_the_page(app, own_lesson, lab_home):
    page = opened(app, lesson="9-mine", step="1")
    give_name(page, "Ada")
    (lab_home / "learners.lock").unlink()
    (lab_home / "learners.lock").mkdir()  # in the way
    page.radio(key="lesson_9-mine_0").set_value("One").run()
    press(page, "Predict")
    assert any("home" in each.value for each in page.error)
    assert "You said **One**." in said(page)


def test_a_lesson_sees_what_inspect_shows_of_ones_own_run(app, mnist):
    page = opened(app, lesson="7-does-it-know-digits", step="4")
    run = trained(create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=1, threads=1)), mnist)
    page = app.switch_page("pages/inspect.py")
    page.session_state[Key.INSPECTED_SET] = "pen"
    page.session_state[Key.INSPECTED_PART] = "What it gets most wrong"
    page.query_params["run"] = "reference-sequential"
    page.run()
    assert not any("Done" in each for each in said(page))
    page.selectbox(key=Key.INSPECTED).set_value(run.id).run()
    assert any("Done" in each for each in said(page))
    assert not page.exception
