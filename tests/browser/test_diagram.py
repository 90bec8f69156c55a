"""The network through which the drawing passes, held against PyTorch while the pen is down."""

import re

import numpy as np
import pytest
import torch
from hand import expect_rest
from playwright.sync_api import Page, expect

from cnnlab.inference.networks import newest_network_of
from cnnlab.models.layers import follow
from cnnlab.runs.shelf import find_run

pytestmark = pytest.mark.browser
RUN = "reference-module"
# All at once: where the page moves below the pointer, it soon points at another number.
TOLD = """told => [".head", "figure .grid", ".steps", ".next .grid", ".next .grid i.marked"].map(
  (which) => [...told.querySelectorAll(which)].map((each) => each.innerText))"""
LISTEN = """document.addEventListener("cnnlab:values", ({ detail }) => {
  window.seen = { image: [...detail.image], values: detail.values.map((each) => [...each]) };
})"""


@pytest.fixture
def page(look_at) -> Page:
    """Return Draw with one run, and the pen held down after half of a seven."""
    page = look_at(f"/draw?runs={RUN}", device_scale_factor=2)
    expect(page.locator("[class*='st-key-canvas_'] canvas.upper-canvas")).to_have_attribute(
        "aria-label", re.compile("^Canvas")
    )
    page.evaluate(LISTEN)
    box = page.locator("canvas.upper-canvas").bounding_box()
    scale = box["width"] / 280
    page.mouse.move(box["x"] + 70 * scale, box["y"] + 70 * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + 205 * scale, box["y"] + 70 * scale, steps=6)
    page.mouse.move(box["x"] + 120 * scale, box["y"] + 240 * scale, steps=8)
    return page


def point_at_the_first_map(page: Page) -> None:
    diagram = page.locator(".st-key-network_diagram canvas")
    diagram.scroll_into_view_if_needed()
    box = diagram.bounding_box()
    page.mouse.move(box["x"] + 130, box["y"] + 60)


def numbers_in(text: str) -> list[float]:
    return [float(each.replace("−", "-")) for each in re.findall(r"[−]?\d+\.\d+", text)]


def layers_of_pytorch(image):
    module = newest_network_of(find_run(RUN)).module
    given = torch.tensor(image, dtype=torch.float32).reshape(1, 28, 28)
    return {layer.name: (layer, values[0].detach().numpy()) for layer, values in follow(module, given)}


def test_while_the_pen_is_down_each_layer_has_the_values_that_pytorch_gives(page):
    diagram = page.locator(".st-key-network_diagram canvas")
    expect(diagram).to_have_attribute("aria-label", re.compile("then 7, "))
    seen = page.evaluate("window.seen")
    expected = layers_of_pytorch(seen["image"])
    assert len(seen["values"]) == len(expected)
    for values, (layer, found) in zip(seen["values"], expected.values(), strict=True):
        np.testing.assert_allclose(np.reshape(values, layer.output_shape), found, atol=1e-3)
    assert diagram.evaluate("canvas => canvas.width / canvas.getBoundingClientRect().width") == pytest.approx(
        2, abs=0.01
    )
    page.mouse.up()


def test_the_sum_behind_a_number_of_a_map_is_written_out_and_adds_up(page):
    page.mouse.up()
    expect_rest(page)
    told = page.locator(".st-key-network_diagram .told")
    expect(told).to_have_text(re.compile("^Point at a map"))
    point_at_the_first_map(page)
    expect(told.locator(".head")).to_have_text(re.compile(r"^conv1 → relu, map 1, row \d+, column \d+ is"))
    (head,), (patch, weights, *_), (steps,), following, marked = told.evaluate(TOLD)
    row, column = (int(each) for each in re.findall(r"(?:row|column) (\d+)", head))
    patch, weights = numbers_in(patch), numbers_in(weights)
    bias, total, after = numbers_in(steps)
    assert sum(one * other for one, other in zip(patch, weights, strict=True)) + bias == pytest.approx(total, abs=0.05)
    assert after == max(total, 0)
    assert max(numbers_in("\n".join(following))) == max(numbers_in("\n".join(marked)))

    module = newest_network_of(find_run(RUN)).module
    np.testing.assert_allclose(weights, module.conv1.weight[0, 0].detach().ravel(), atol=0.006)
    layers = layers_of_pytorch(page.evaluate("window.seen.image"))
    assert layers["relu"][1][0, row - 1, column - 1] == pytest.approx(after, abs=0.006)


def test_when_the_pen_is_lifted_the_diagram_stays_the_same_and_nothing_moves(page):
    diagram = page.locator(".st-key-network_diagram canvas")
    diagram.evaluate("canvas => { canvas.isTheSame = true; }")
    before = diagram.bounding_box()
    page.mouse.up()
    expect(page.get_by_text("It was a …")).to_be_visible()
    expect(page.get_by_test_id("stButtonGroup").get_by_text("7", exact=True)).to_be_enabled()  # the server has it
    expect_rest(page)
    assert diagram.evaluate("canvas => canvas.isTheSame")
    assert diagram.bounding_box() == before


def test_the_keyboard_leads_from_number_to_number(page):
    page.mouse.up()
    expect_rest(page)
    page.mouse.move(5, 5)
    head = page.locator(".st-key-network_diagram .head")
    page.locator(".st-key-network_diagram canvas").focus()
    page.keyboard.press("PageDown")
    expect(head).to_have_text(re.compile("^conv1 → relu, map 1, row 14, column 14 is"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(head).to_have_text(re.compile("^conv1 → relu, map 1, row 13, column 15 is"))
    page.keyboard.press("PageDown")
    expect(head).to_have_text(re.compile("^conv1 → relu, map 2,"))
    page.keyboard.press("Escape")
    expect(head).to_have_count(0)


def test_on_a_phone_a_map_that_is_tapped_keeps_its_sum_and_the_diagram_scrolls_within(look_at):
    page = look_at(f"/draw?runs={RUN}", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect_rest(page)
    diagram = page.locator(".st-key-network_diagram canvas")
    expect(diagram).to_have_attribute("aria-label", re.compile("nothing is drawn yet"))
    diagram.scroll_into_view_if_needed()
    box = diagram.bounding_box()
    page.touchscreen.tap(box["x"] + 115, box["y"] + 60)
    expect(page.locator(".st-key-network_diagram .head")).to_have_text(re.compile("^conv1 → relu, map"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
