"""A digit as scanners and phones see it, in the files that they make."""

import io

import numpy as np
from PIL import Image

from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.inference.answers import answers_of
from cnnlab.runs.shelf import find_run

SEVEN = (Stroke(16, ((70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 240.0))),)


def file_of(pixels, kind="PNG", **options):
    content = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(content, kind, **options)
    return content.getvalue()


def scan(width=280, height=280):
    paper = 255 - np.round(ink_of(SEVEN) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(paper).resize((width, height)))


def photo():
    """Return a digit on paper that is lit from one corner, with grain and a soft shadow: shape (600, 800, 3), uint8."""
    chance = np.random.default_rng(0)
    drawn = np.asarray(Image.fromarray(ink_of(SEVEN)).resize((600, 600)))
    drawn = np.pad(drawn, ((0, 0), (100, 100)))
    down, right = np.mgrid[0:600, 0:800] / 800
    light = 235 - 110 * down - 60 * right
    pixels = light * (1 - 0.75 * drawn) + chance.normal(0, 4, drawn.shape)
    return np.dstack([pixels, pixels * 0.97, pixels * 0.9]).clip(0, 255).astype(np.uint8)


def digit_read(canvas):
    return answers_of(find_run("reference-module"), prepare(canvas).centred[None])[0].digit
