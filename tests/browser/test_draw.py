"""The Draw page as a person uses it: with a mouse, with a finger, and with a file."""

import re
from itertools import pairwise

import pytest
from hand import canvas, draw, drawn_picture, run_of
from playwright.sync_api import Page, expect

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.my_digits import my_digits
from cnnlab.drawing.strokes import CANVAS_SIDE, Stroke

pytestmark = pytest.mark.browser

SEVEN = [[(70, 70), (200, 70), (190, 90), (150, 160), (120, 240)]]
FOUR = [[(90, 60), (80, 150), (200, 150)], [(170, 70), (165, 240)]]
ONE = [[(145, 40), (140, 235)]]
REFERENCE = "/draw?runs=reference-module"
PLACES = """() => ["draw_canvas", "draw_tools", "draw_answers", "network_diagram"].map(
  (key) => document.querySelector(`.st-key-${key}`).getBoundingClientRect().toJSON())"""


def has_ink(page: Page) -> bool:
    """Return whether the canvas itself shows a stroke: it takes back what was drawn some time after it appears."""
    return page.locator("[class*='st-key-canvas_'] canvas.dc-canvas.lower-canvas").evaluate(
        """canvas => {
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            for (let i = 0; i < data.length; i += 4) if (data[i] < 64 && data[i + 3] > 200) return true;
            return false;
        }"""
    )


def expect_answer(page: Page, digit: int | str) -> None:
    expect(page.locator(".answer").first).to_have_attribute("data-digit", str(digit))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_drawing_that_is_moved_is_read_anew_by_each_network_until_it_is_centred_or_cleared(look_at, width):
    page = look_at("/draw?runs=reference-sequential,reference-drawing", viewport={"width": width, "height": 844})
    draw(page, FOUR)
    tutorial, drawing = page.locator(".answer").all()
    for card in (tutorial, drawing):
        expect(card).to_have_attribute("data-digit", "4")
    for pixels in range(1, 5):
        page.get_by_role("button", name="Right", exact=True).press("Enter")
        expect(page.locator(".steps figcaption", has_text=f"{pixels}\u00a0px right")).to_be_visible()
    expect(tutorial).to_have_attribute("data-digit", "2")
    expect(drawing).to_have_attribute("data-digit", "4")
    page.evaluate("document.dispatchEvent(new CustomEvent('cnnlab:ask'))")  # the browser answers too
    page.wait_for_function(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
    )
    expect(tutorial).to_have_attribute("data-digit", "2")
    page.get_by_role("button", name="Centre", exact=True).click()
    expect(tutorial).to_have_attribute("data-digit", "4")
    page.get_by_role("button", name="Up", exact=True).click()
    expect(page.locator(".steps img[alt=Moved]")).to_have_count(1)
    page.get_by_test_id("stButton").get_by_text("Clear").click()
    expect(page.get_by_text("Nothing drawn yet")).to_have_count(2)
    draw(page, FOUR)
    expect(tutorial).to_have_attribute("data-digit", "4")
    expect(page.locator(".steps img[alt=Moved]")).to_have_count(0)


def test_a_drawn_digit_is_answered_undone_cleared_and_outlives_a_page_switch(look_at, wait_for):
    page = look_at(REFERENCE)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    draw(page, SEVEN)
    expect_answer(page, 7)
    expect(page.locator(".answer .named")).to_have_text(re.compile(r"^7\d+\.\d %$"))
    expect(page.locator(".answer .shrunk")).to_have_text(re.compile(r"After a plain shrink: \d, \d+\.\d %"))
    picture = drawn_picture(page).get_attribute("src")

    page.get_by_role("link", name="Sweep", exact=True).click()
    page.wait_for_url("**/sweep*")
    expect(canvas(page)).to_have_count(0)
    page.get_by_role("link", name="Draw", exact=True).click()
    expect_answer(page, 7)
    assert drawn_picture(page).get_attribute("src") == picture
    wait_for(lambda: has_ink(page))
    draw(page, [[(80, 160), (190, 150)]])
    page.get_by_test_id("stButton").get_by_text("Undo").click()
    expect(drawn_picture(page)).to_have_attribute("src", picture)

    page.get_by_test_id("stButton").get_by_text("Clear").click()
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    draw(page, FOUR)
    expect_answer(page, 4)


def test_what_was_meant_is_kept_as_the_strokes_that_were_answered(open_page):
    page = open_page(REFERENCE)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    draw(page, SEVEN)
    expect_answer(page, 7)
    page.get_by_test_id("stButtonGroup").get_by_text("7", exact=True).click()
    expect(page.get_by_text("1 of 1", exact=True)).to_be_visible()
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    (kept,) = my_digits().digits
    (stroke,) = kept.strokes
    assert kept.digit == 7
    assert isinstance(stroke, Stroke)
    assert stroke.width == 20
    assert stroke.points[0] == pytest.approx((70, 70), abs=1)
    assert stroke.points[-1] == pytest.approx((120, 240), abs=1)
    page.get_by_role("button", name="Take back the 7").click()
    expect(page.get_by_text("1 of 1", exact=True)).to_have_count(0)
    assert len(my_digits()) == 0


def test_a_round_keeps_one_digit_after_the_other(open_page):
    page = open_page(REFERENCE)
    page.get_by_role("button", name="Draw each digit three times").click()
    page.wait_for_function("document.querySelector('.st-key-draw_row').getBoundingClientRect().top >= 0")
    for digit in (0, 1):
        expect(page.get_by_text(f"Draw a {digit}")).to_be_visible()
        expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
        draw(page, ONE)
        page.get_by_role("button", name="Keep it, next").click()
    expect(page.get_by_text("Draw a 2")).to_be_visible()
    expect(page.get_by_text("3 of 30")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Draw a 2")).to_have_count(0)
    expect(page.get_by_role("button", name="Take back the 1")).to_have_count(1)  # that of the round goes
    assert my_digits().labels.tolist() == [0, 1]


def test_the_eraser_takes_ink_away_while_it_moves_and_a_cleared_canvas_has_the_pen(look_at):
    page = look_at(REFERENCE)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    draw(page, SEVEN)
    eraser = page.get_by_role("switch", name="Eraser")
    with run_of(page):
        page.get_by_test_id("stCheckbox").get_by_text("Eraser").click()
    expect(eraser).to_be_checked()
    box = canvas(page).bounding_box()
    scale = box["width"] / CANVAS_SIDE
    page.mouse.move(box["x"] + 70 * scale, box["y"] + 70 * scale)
    page.mouse.down()
    for x, y in SEVEN[0]:
        page.mouse.move(box["x"] + x * scale, box["y"] + (y - 8) * scale, steps=8)
    for x, y in reversed(SEVEN[0]):
        page.mouse.move(box["x"] + x * scale, box["y"] + (y + 8) * scale, steps=8)
    expect(page.locator(".answer").first).not_to_have_attribute("data-digit", "7")
    page.mouse.up()
    page.get_by_test_id("stButton").get_by_text("Clear").click()
    expect(eraser).not_to_be_checked()


def test_a_test_image_can_be_drawn_on(look_at):
    page = look_at(REFERENCE)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    page.get_by_role("button", name="Start from a picture").click()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Test image 0: a 7")).to_be_visible()
    expect_answer(page, load_test_set()[1][0].item())
    page.keyboard.press("Escape")
    before = page.locator(".answer").inner_html()
    draw(page, [[(60, 80), (60, 250), (240, 250), (240, 80)]])
    assert page.locator(".answer").inner_html() != before


def test_a_stroke_that_ends_just_before_a_button_is_pressed_is_not_lost(open_page):
    page = open_page(REFERENCE)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    draw(page, FOUR[:1])
    box = canvas(page).bounding_box()
    (x, y), (end_x, end_y) = FOUR[1]
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + end_x, box["y"] + end_y, steps=8)
    page.mouse.up()
    page.get_by_test_id("stButtonGroup").get_by_text("4", exact=True).click()
    expect(page.get_by_text("1 of 1", exact=True)).to_be_visible()
    assert len(my_digits().digits[0].strokes) == 2


def test_a_finger_draws_on_a_phone(look_at):
    page = look_at(REFERENCE, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(page.get_by_text("Nothing drawn yet")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = canvas(page).bounding_box()
    assert box["x"] + box["width"] <= 390
    session = page.context.new_cdp_session(page)
    for (x, y), *others in SEVEN:
        scrolled = page.evaluate("document.querySelector('.stMain').scrollTop")
        touch(session, "touchStart", box["x"] + x, box["y"] + y)
        for other_x, other_y in others:
            for step in range(1, 7):
                touch(
                    session,
                    "touchMove",
                    *(
                        box[a] + s + (e - s) * step / 6
                        for a, s, e in zip("xy", (x, y), (other_x, other_y), strict=True)
                    ),
                )
            x, y = other_x, other_y
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert page.evaluate("document.querySelector('.stMain').scrollTop") == scrolled, "the page moved with the pen"
    expect_answer(page, 7)


def touch(session, kind: str, x: float, y: float) -> None:
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})


def test_the_tools_stand_below_the_canvas_and_the_answers_beside_or_below_both(open_page):
    page = open_page(REFERENCE)
    expect(page.locator(".st-key-network_diagram")).to_be_visible()
    page.wait_for_function(f"(([canvas, , answers]) => answers.y === canvas.y)(({PLACES})())")
    canvas_box, tools, answers, diagram = page.evaluate(PLACES)
    assert (tools["x"], answers["y"]) == (canvas_box["x"], canvas_box["y"])
    assert tools["y"] >= canvas_box["bottom"]
    assert answers["x"] >= canvas_box["right"]
    assert diagram["y"] >= max(answers["bottom"], tools["bottom"])
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(f"({PLACES})().every(({{ x }}, _, all) => x === all[0].x)")
    boxes = page.evaluate(PLACES)
    assert all(above["bottom"] <= below["y"] for above, below in pairwise(boxes))
