"""Pen strokes as Chromium draws them, beside the drawings that networks are trained on."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.pen_digits import load_strokes
from cnnlab.drawing.pen import centred, outlines_of, plain_drawings
from cnnlab.drawing.preparation import prepare
from cnnlab.fused.pen import drawn

pytestmark = pytest.mark.browser

# The curve of Fabric.js's pencil, as the page's canvas draws it.
DRAW = """([strokes, width]) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 280, height: 280});
    const pen = canvas.getContext("2d");
    Object.assign(pen, {lineWidth: width, lineCap: "round", lineJoin: "round"});
    for (const points of strokes) {
        pen.beginPath();
        pen.moveTo(...points[0]);
        let last = points[0];
        for (const point of points.slice(1)) {
            pen.quadraticCurveTo(...last, (last[0] + point[0]) / 2, (last[1] + point[1]) / 2);
            last = point;
        }
        pen.lineTo(...last);
        pen.stroke();
    }
    return canvas.toDataURL();
}"""


OFF = 0.37


@pytest.fixture(scope="module")
def digits():
    return load_strokes("testing").first(60)


def difference(image: np.ndarray, canvas: str) -> float:
    """Return by how much of the ink an image differs from what the lab makes of a canvas, given as a data URL."""
    pixels = np.asarray(Image.open(BytesIO(b64decode(canvas.partition(",")[2]))))
    expected = prepare(pixels).centred
    # A centre of mass on the edge between two pixels may fall to either side.
    moved = (np.roll(image, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1))
    return min(np.abs(each - expected).sum() for each in moved) / expected.sum()


# At 10 px, an edge that Chromium puts a quarter of a pixel elsewhere is 2.5 % of the ink.
@pytest.mark.parametrize(("brush", "most"), [(10, 0.035), (18, 0.02), (26, 0.02)])
def test_a_drawing_for_training_is_what_the_browsers_canvas_gives(brush, most, digits, open_tab):
    page = open_tab("about:blank")
    drawings = plain_drawings(len(digits), brush)
    drawings[:, [2, 5]] += OFF  # at whole pixels, the box around the ink would end on the edge of one, to either side
    images = drawn(outlines_of(digits), torch.arange(len(digits)), drawings)[:, 0].numpy()
    differences = []
    for image, strokes in zip(images, digits.strokes, strict=True):
        on_canvas = [(stroke * 180 + 140 + OFF).tolist() for stroke in centred(strokes)]
        differences.append(difference(image, page.evaluate(DRAW, [on_canvas, brush])))
    assert np.mean(differences) < most
