"""The network through which the drawing passes, held against PyTorch while the pen is down."""

import re

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from cnnlab.inference.networks import newest_network_of
from cnnlab.models.layers import follow
from cnnlab.runs.shelf import find_run

pytestmark = pytest.mark.browser
RUN = "reference-module"
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
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    told = page.locator(".st-key-network_diagram pre")
    expect(told).to_have_text(re.compile("^Point at a map"))
    diagram = page.locator(".st-key-network_diagram canvas")
    diagram.scroll_into_view_if_needed()
    box = diagram.bounding_box()
    page.mouse.move(box["x"] + 130, box["y"] + 30)  # within the first map of the first convolution
    expect(told).to_have_text(re.compile(r"^relu: map 1, row \d+, column \d+"))
    text = told.inner_text().replace("−", "-")
    _, row, column = (int(number) for number in re.findall(r"(?:map|row|column) (\d+)", text)[:3])
    patch, weights = [], []
    for line in text.splitlines()[1:4]:
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", line.split("=")[0])]
        patch, weights = patch + numbers[:3], weights + numbers[3:]
    bias, total, after = (float(number) for number in re.findall(r"-?\d+\.\d+", text.splitlines()[-1]))
    assert sum(one * other for one, other in zip(patch, weights, strict=True)) + bias == pytest.approx(total, abs=0.05)
    assert after == max(total, 0)

    module = newest_network_of(find_run(RUN)).module
    np.testing.assert_allclose(weights, module.conv1.weight[0, 0].detach().ravel(), atol=0.005)
    layers = layers_of_pytorch(page.evaluate("window.seen.image"))
    assert layers["relu"][1][0, row - 1, column - 1] == pytest.approx(after, abs=0.006)
