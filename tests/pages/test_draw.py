"""The Draw page without a browser: nothing can be drawn here, but everything around it works."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.mnist import DataError
from cnnlab.drawing.my_digits import keep, my_digits, my_digits_path
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.answers import doubts

ONE = (Stroke(20, ((140.0, 50.0), (140.0, 230.0))),)


@pytest.fixture
def draw_page(app):
    """Return the lab, opened on the Draw page."""
    return app.switch_page("pages/draw.py").run()


def button(page, label):
    return next(each for each in page.button if each.label == label)


def chosen(page):
    return page.multiselect(key="answering").value


def html(page):
    return " ".join(each.proto.body for each in page.get("html"))


def run_with_weights(ending="finished"):
    run = create_run(DEFINITIONS["residual"], TrainingConfig(epochs=2, threads=1))
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, 469, 0.2, 0.2, 0.95, 3.0, 20_000.0))
        writer.save_weights(DEFINITIONS["residual"].build(0).state_dict())
        writer.append(ending)
    return run


def test_on_a_fresh_clone_the_reference_runs_wait_for_a_drawing(draw_page):
    assert not draw_page.exception
    assert all(run_id.startswith("reference-") for run_id in chosen(draw_page))
    assert html(draw_page).count("Nothing drawn yet") == 2 * len(chosen(draw_page))  # shown, and read out


def test_the_best_for_drawing_and_the_newest_good_run_answer(app):
    run_with_weights("stopped")
    finished = run_with_weights()
    run_with_weights("stopped")
    page = app.switch_page("pages/draw.py").run()
    assert chosen(page) == ["reference-drawing", finished.id]


def test_the_address_chooses_the_runs_and_the_choice_outlives_a_page_switch(draw_page):
    run = run_with_weights("stopped")
    draw_page.query_params["runs"] = f"{run.id},reference-module,gone"
    draw_page.run()
    assert chosen(draw_page) == [run.id, "reference-module"]
    assert "gone" in draw_page.warning[0].value
    draw_page.query_params.clear()
    draw_page.switch_page("pages/write.py").run()
    draw_page.switch_page("pages/draw.py").run()
    assert chosen(draw_page) == [run.id, "reference-module"]


@pytest.mark.slow
def test_a_test_image_on_the_canvas_is_answered_at_once(draw_page):
    draw_page.number_input(key="test_image").set_value(0).run()
    button(draw_page, "Show").click().run()
    assert not draw_page.exception
    assert any(caption.value == "Test image 0\\: a 7" for caption in draw_page.caption)
    assert 'data-digit="7"' in html(draw_page)
    button(draw_page, "Random").click().run()
    assert not draw_page.exception
    assert "After a plain shrink" in html(draw_page)
    button(draw_page, "Clear").click().run()
    assert "Nothing drawn yet" in html(draw_page)


K = [((90.0, 50.0), (90.0, 230.0)), ((190.0, 60.0), (85.0, 150.0)), ((85.0, 150.0), (200.0, 230.0))]
ONE_AND_SEVEN = [((60.0, 70.0), (60.0, 220.0)), ((150.0, 80.0), (240.0, 80.0), (190.0, 220.0))]


def with_drawing(page, *lines):
    ink = ink_of([Stroke(20, line) for line in lines])
    page.session_state["canvas_picture"] = SimpleNamespace(ink=ink, title="Drawn", steps=None)
    page.run()
    assert not page.exception
    return page


def doubt(page):
    (said,) = re.findall(r'<p class="doubt">(.*?)</p>', html(page))
    return said


def test_a_letter_is_answered_and_said_to_be_unlike_a_digit(draw_page):
    with_drawing(draw_page, *K)
    assert html(draw_page).count('<div class="unlike">unlike a digit</div>') == len(chosen(draw_page)) == 2
    assert html(draw_page).count(", unlike a digit") == 2  # read out
    assert doubt(draw_page).startswith("Most likely no digit.")
    assert len(re.findall(r'data-digit="\d"', html(draw_page))) == 2
    with_drawing(draw_page, ONE[0].points)
    assert '<div class="unlike">unlike' not in html(draw_page)
    assert doubt(draw_page) == ""


@pytest.mark.parametrize("path", ["pages/draw.py", "app.py"])
def test_two_digits_on_one_canvas_are_said_to_be_two(app, path):
    page = with_drawing(app.switch_page(path).run(), *ONE_AND_SEVEN)
    assert doubt(page).startswith("This looks like 2 digits.")
    assert re.search(r'data-digit="\d"', html(page))


def test_a_run_that_cannot_be_drawn_with_keeps_no_other_from_its_doubt(draw_page):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))
    with RunWriter.claim(run) as writer:
        writer.stopped()
    draw_page.multiselect(key="answering").set_value([run.id, "reference-drawing"]).run()
    with_drawing(draw_page, *K)
    assert "has no weights yet" in html(draw_page)
    assert html(draw_page).count('<div class="unlike">unlike a digit</div>') == 1


def test_where_the_digits_to_compare_with_cannot_be_read_the_page_says_so_and_answers(draw_page, monkeypatch):
    def unreadable(*_):
        raise DataError("The pen digits <are> gone.")

    monkeypatch.setattr(doubts, "are_digits", unreadable)
    with_drawing(draw_page, *K)
    assert doubt(draw_page) == "Whether it is a digit at all cannot be told. The pen digits &lt;are&gt; gone."
    assert len(re.findall(r'data-digit="\d"', html(draw_page))) == 2


def test_a_run_without_weights_says_so(draw_page):
    run = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1))
    with RunWriter.claim(run) as writer:
        writer.stopped()
    draw_page.multiselect(key="answering").set_value([run.id]).run()
    button(draw_page, "Show").click().run()
    assert not draw_page.exception
    assert "has no weights yet" in html(draw_page)


def test_a_photo_goes_onto_the_canvas_and_anything_else_is_refused(draw_page):
    content = io.BytesIO()
    picture = Image.new("L", (100, 100), 255)
    picture.paste(0, (45, 20, 55, 80))
    picture.save(content, "PNG")
    draw_page.file_uploader(key="uploaded_picture").set_value(("one.png", content.getvalue(), "image/png")).run()
    assert not draw_page.exception
    assert 'data-digit="1"' in html(draw_page)
    draw_page.file_uploader(key="uploaded_picture").set_value(("two.png", b"%PDF-1.7", "image/png")).run()
    assert draw_page.error[0].value.startswith("This is a PDF document, which the lab does not read")


@pytest.mark.slow
def test_a_photo_shows_its_light_and_its_digit_and_one_of_several_digits_is_not_answered(draw_page):
    paper = np.full((300, 400), 220, np.uint8) - np.arange(400, dtype=np.uint8)[None] // 4  # lit from the left
    paper[60:240, 100:115] = 40
    draw_page.file_uploader(key="uploaded_picture").set_value(("one.png", png_of(paper), "image/png")).run()
    assert 'data-digit="1"' in html(draw_page)
    assert [title in html(draw_page) for title in (">Photo<", ">Light<", ">Kept<")] == [True] * 3
    paper[60:240, 270:285] = 40
    draw_page.file_uploader(key="uploaded_picture").set_value(("two.png", png_of(paper), "image/png")).run()
    assert draw_page.error[0].value.startswith("This picture shows 2 digits")
    assert "Nothing drawn yet" in html(draw_page)
    assert ">Light<" not in html(draw_page)
    assert not draw_page.exception


def png_of(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def test_my_digits_are_a_test_set_here_and_on_compare(draw_page):
    keep(1, ONE)
    draw_page.run()
    (table,) = draw_page.table
    assert table.value["My digits"].tolist() == ["1 of 1"] * len(chosen(draw_page))
    compare = draw_page.switch_page("pages/compare.py").run()
    assert not compare.exception
    assert set(compare.dataframe[0].value["my_digits"]) == {100.0}


def test_without_my_digits_compare_has_no_column_for_them(app):
    compare = app.switch_page("pages/compare.py").run()
    assert "my_digits" not in compare.dataframe[0].value


def test_my_digits_are_deleted_after_a_question(draw_page):
    keep(1, ONE)
    draw_page.run()
    button(draw_page, "Delete").click().run()
    assert len(my_digits()) == 1
    button(draw_page, "Delete for good").click().run()
    assert len(my_digits()) == 0
    assert not draw_page.exception


def test_an_upload_is_added_and_a_bad_one_refused(draw_page):
    keep(1, ONE)
    content = my_digits_path().read_bytes()
    my_digits_path().unlink()
    draw_page.file_uploader(key="my_digits_upload_0").set_value(("mine.jsonl", content, "application/jsonl")).run()
    button(draw_page, "Add them").click().run()
    assert draw_page.success[0].value == "1 new digit added."
    assert len(my_digits()) == 1
    draw_page.file_uploader(key="my_digits_upload_1").set_value(("bad.jsonl", b"{}", "application/jsonl")).run()
    button(draw_page, "Add them").click().run()
    assert draw_page.error[0].value.startswith("Line 1 is not a digit")
    assert len(my_digits()) == 1
    assert not draw_page.exception


def test_a_damaged_file_is_said(draw_page):
    my_digits_path().write_bytes(b"damaged\n")
    draw_page.run()
    assert "1 line of" in draw_page.warning[0].value
    assert not draw_page.exception


def test_a_round_asks_for_the_first_digit_and_can_be_stopped(draw_page):
    button(draw_page, "Draw each digit three times").click().run()
    assert not draw_page.exception
    assert button(draw_page, "Keep it, next").disabled
    button(draw_page, "Stop").click().run()
    assert not draw_page.exception
    assert not button(draw_page, "Draw each digit three times").disabled
