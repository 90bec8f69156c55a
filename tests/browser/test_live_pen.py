"""Networks answer while the pen is down, with a mouse and with a finger."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
AT_REST = "[data-testid=stApp][data-test-script-state=notRunning]"
TWO_RUNS = "/draw?runs=reference-module,reference-drawing"


def box_of_the_canvas(page: Page):
    page.wait_for_selector(AT_REST)
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
    page.wait_for_selector(AT_REST)
    expect_digits(page, "7", count)


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
