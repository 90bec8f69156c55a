"""Networks answer while the pen is down, with a mouse and with a finger."""

from itertools import pairwise

import numpy as np
import pytest
from hand import expect_rest
from playwright.sync_api import Page, expect

from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import CANVAS_SIDE, Stroke, ink_of

pytestmark = pytest.mark.browser
TWO_RUNS = "/draw?runs=reference-module,reference-drawing"


def box_of_the_canvas(page: Page):
    expect_rest(page)
    canvas = page.locator("[class*='st-key-canvas_'] canvas.upper-canvas")
    expect(canvas).to_have_attribute("aria-label", "Canvas: draw a digit here")  # the pen's module is there
    return canvas.bounding_box()


def expect_digits(page: Page, digit: str, count: int) -> None:
    for card in page.locator(".answer").all():
        expect(card).to_have_attribute("data-digit", digit)
    expect(page.locator(".answer")).to_have_count(count)


@pytest.mark.parametrize(("path", "count"), [(TWO_RUNS, 2), ("/", 1)], ids=["draw", "home"])
def test_the_answers_change_while_the_mouse_is_held_down(path, count, open_page):
    page = open_page(path)
    box = box_of_the_canvas(page)
    x, y, scale = box["x"], box["y"], box["width"] / 280
    page.mouse.move(x + 70 * scale, y + 70 * scale)
    page.mouse.down()
    page.mouse.move(x + 140 * scale, y + 70 * scale, steps=4)
    page.mouse.move(x + 205 * scale, y + 70 * scale, steps=4)
    page.mouse.move(x + 120 * scale, y + 240 * scale, steps=8)
    expect_digits(page, "7", count)
    page.mouse.up()
    expect(page.locator(".steps img[alt='Drawn']") if path != "/" else page.locator(".answer").first).to_be_visible()
    expect_rest(page)
    expect_digits(page, "7", count)


def test_a_letter_is_said_to_be_unlike_a_digit_until_the_pen_moves_again(open_page):
    page = open_page("/draw?runs=reference-drawing")
    box = box_of_the_canvas(page)
    x, y, scale = box["x"], box["y"], box["width"] / 280

    def move(*points):
        for px, py in points:
            page.mouse.move(x + px * scale, y + py * scale, steps=8)

    for start, *others in [[(90, 50), (90, 230)], [(190, 60), (92, 150), (200, 230)]]:
        move(start)
        page.mouse.down()
        move(*others)
        page.mouse.up()
    expect(page.locator(".unlike")).to_have_text("unlike a digit")
    expect(page.locator(".doubt")).to_contain_text("Most likely no digit")
    expect_rest(page)
    move((40, 40))
    page.mouse.down()
    move((40, 120))
    for told in (".unlike", ".doubt"):
        expect(page.locator(told)).to_have_text("")
    page.mouse.up()


def test_the_answers_change_while_a_finger_is_on_the_screen(open_page):
    page = open_page(TWO_RUNS, has_touch=True, viewport={"width": 390, "height": 844})
    box = box_of_the_canvas(page)
    touch = page.context.new_cdp_session(page)

    def send(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in points]})

    x = box["x"] + box["width"] / 2
    send("touchStart", (x, box["y"] + 40))
    for step in range(1, 12):
        send("touchMove", (x, box["y"] + 40 + step * 22))
    expect_digits(page, "1", 2)
    send("touchEnd")


def test_a_drawing_that_is_taken_off_leaves_no_answer(open_page):
    page = open_page(TWO_RUNS)
    box = box_of_the_canvas(page)
    page.mouse.move(box["x"] + 160, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 290, steps=6)
    expect_digits(page, "1", 2)
    page.mouse.up()
    expect(page.locator(".steps img[alt='Drawn']")).to_be_visible()
    page.get_by_test_id("stButton").get_by_text("Clear").click()
    expect_digits(page, "", 2)


def test_the_canvass_own_buttons_cannot_be_reached_by_keyboard(open_page):
    page = open_page(TWO_RUNS)
    box_of_the_canvas(page)
    assert page.locator(".dc-toolbar").evaluate("tools => tools.inert")


@pytest.mark.parametrize("ratio", [0.8, 1, 1.25, 2])
def test_the_strokes_read_are_the_strokes_drawn_on_any_screen_and_at_any_zoom(ratio, look_at):
    size = {"width": round(1280 / ratio), "height": round(900 / ratio)}  # as a browser's zoom changes the window
    page = look_at(TWO_RUNS, device_scale_factor=ratio, viewport=size)
    box_of_the_canvas(page)
    page.locator("canvas.upper-canvas").scroll_into_view_if_needed()
    box = page.locator("canvas.upper-canvas").bounding_box()
    page.evaluate(
        "document.addEventListener('cnnlab:values', ({ detail }) => { window.image = [...detail.image]; })",
    )
    scale = box["width"] / CANVAS_SIDE
    points = ((70, 70), (200, 70), (120, 240))
    page.mouse.move(box["x"] + points[0][0] * scale, box["y"] + points[0][1] * scale)
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=30)
    expect_digits(page, "7", 2)
    read = np.reshape(page.evaluate("window.image"), (28, 28))
    page.mouse.up()
    straight = tuple(tuple(point) for ends in pairwise(points) for point in np.linspace(*ends, 31).tolist())
    expected = prepare(ink_of([Stroke(20, straight)])).centred
    # Where the canvas begins between two pixels of the window, 12 %; one pixel of the image further, 47 % and more.
    assert np.abs(read - expected).sum() < 0.15 * expected.sum()
