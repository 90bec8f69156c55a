"""A class: learners at screens of their own, and the teacher's board."""

import re
from pathlib import Path

import pytest
from hand import fill_in, run_of
from playwright.sync_api import Page, expect

from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="document.title=1">'


def say_name(page: Page, name: str) -> None:
    field = page.get_by_role("textbox", name="Your name")
    field.fill(name)
    field.press("Enter")
    page.get_by_role("button", name="That is me").click()


def board_key(output: Path) -> str:
    """Return the key that the server has printed."""
    return re.search(r"/lessons\?board=(\S+)", output.read_text(encoding="utf-8"))[1]


def test_a_learner_is_known_again_and_sees_ones_own_runs_and_the_teacher_sees_the_class(open_page, lab, tmp_path):
    ada, bob = open_page("/lessons"), open_page("/lessons")
    say_name(ada, "Ada")
    expect(ada.get_by_text("You are Ada")).to_be_visible()
    ada.reload()
    expect(ada.get_by_text("You are Ada")).to_be_visible()
    say_name(bob, HOSTILE)
    expect(bob.get_by_text(f"You are {HOSTILE}")).to_be_visible()

    ada.goto(re.sub(r"/lessons.*", "/train", ada.url))
    fill_in(ada, "Epochs", "100")
    ada.get_by_role("button", name="Start training").click()
    expect(ada.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    (run,) = all_runs()
    assert run.made_by == "Ada"
    bob.goto(re.sub(r"/lessons.*", "/", bob.url))
    expect(bob.get_by_text("Reference: For drawing").nth(1)).to_be_visible()
    expect(bob.get_by_text("Training now")).to_have_count(0)
    bob.get_by_text("Everyone's").click()
    expect(bob.get_by_text("Training now")).to_be_visible()

    for page in (ada, bob):
        page.goto(re.sub(r"(//[^/]*/).*", r"\1lessons?lesson=8-your-own-network&step=2", page.url))
        page.get_by_test_id("stSidebar").get_by_test_id("stRadio").get_by_text("The first linear layer").click()
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_text("You predict: The first linear layer")).to_be_visible()

    teacher = open_page(f"/lessons?board={board_key(lab.output)}")
    teacher.get_by_role("combobox", name="Lesson").press("ArrowDown")
    teacher.get_by_role("option", name="Your own network").click()
    teacher.get_by_role("tab", name="What they predict").click()
    expect(teacher.get_by_text("The first linear layer · 2")).to_be_visible()
    expect(teacher.get_by_text("2 predictions so far.")).to_be_visible()
    teacher.get_by_role("tab", name="How to come in").click()
    expect(teacher.get_by_text("Only this machine can open the lab now")).to_be_visible()
    teacher.get_by_role("button", name="Stop all").click()
    with run_of(teacher):
        teacher.get_by_role("button", name="Stop all runs").click()
    with teacher.expect_download() as download:
        teacher.keyboard.press("Escape")
        teacher.get_by_role("button", name="Answers (CSV)").click()
    download.value.save_as(tmp_path / "answers.csv")
    answers = (tmp_path / "answers.csv").read_text(encoding="utf-8")
    assert answers.count("The first linear layer,True") == 2
    ada.goto(re.sub(r"(//[^/]*/).*", rf"\1train?run={run.id}", ada.url))
    expect(ada.get_by_text("Stopped").first).to_be_visible()
    assert run.status is Status.STOPPED
    assert bob.title() != "1"


def test_the_rights_to_a_name_end_with_it(open_page):
    page = open_page("/lessons")
    say_name(page, "Ada")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_role("textbox", name="Your name")).to_be_visible()
    page.reload()
    expect(page.get_by_role("textbox", name="Your name")).to_be_visible()
    assert "cnnlab_learner" not in page.evaluate("document.cookie")
