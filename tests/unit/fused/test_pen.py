import numpy as np
import pytest
import torch

from cnnlab.data.pen_digits import PenDigits, load_strokes
from cnnlab.drawing.pen import Outlines, centred, outlines_of, plain_drawings, random_drawings
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.fused import pen
from cnnlab.fused.pen import drawn, drawn_by_numpy

DIGITS = load_strokes("testing").first(120)


@pytest.fixture(scope="module")
def outlines() -> Outlines:
    return outlines_of(DIGITS)


@pytest.fixture
def changes():
    return random_drawings(200, torch.Generator().manual_seed(1))


def test_the_kernel_and_numpy_draw_the_same(outlines, changes):
    wanted = torch.arange(200) % len(outlines)
    by_kernel, by_numpy = drawn(outlines, wanted, changes), drawn_by_numpy(outlines, wanted, changes)
    off = (by_kernel - by_numpy).abs().amax(dim=(1, 2, 3))
    assert (off < 1e-4).float().mean() > 0.97  # the others lie on the edge between two ways of rounding
    assert off.median() < 1e-5


def test_without_a_compiler_numpy_draws(outlines, changes, monkeypatch):
    monkeypatch.setattr(pen, "pen_kernel", lambda: None)
    images = drawn(outlines, torch.arange(3), changes[:3])
    assert torch.equal(images, drawn_by_numpy(outlines, torch.arange(3), changes[:3]))


def test_the_number_of_threads_changes_nothing(outlines, changes):
    wanted = torch.arange(200) % len(outlines)
    one, three = (drawn(outlines, wanted, changes, threads) for threads in (1, 3))
    assert torch.equal(one, three)


def test_drawings_come_in_the_order_in_which_they_are_wanted(outlines, changes):
    both = drawn(outlines, torch.tensor([5, 2]), changes[:2])
    assert torch.equal(both[1:], drawn(outlines, torch.tensor([2]), changes[1:2]))
    assert both.amax(dim=(1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_what_is_heavy_at_one_side_stays_inside_the_image(is_mirrored):
    bars = [np.array([[x, 0.0], [x, 255.0]]) for x in range(0, 70, 10)]
    strokes = tuple(
        stroke * [-1, 1] if is_mirrored else stroke for stroke in (*bars, np.array([[60.0, 128.0], [255.0, 128.0]]))
    )
    one = outlines_of(PenDigits(np.array([1]), ("a",), (strokes,)))
    by_kernel, by_numpy = (draw(one, torch.tensor([0]), plain_drawings(1, 10)) for draw in (drawn, drawn_by_numpy))
    assert torch.allclose(by_kernel, by_numpy, atol=1e-4)
    inked = by_numpy[0, 0].sum(0).nonzero().ravel().tolist()
    assert inked == list(range(20)) if is_mirrored else list(range(8, 28))


@pytest.mark.parametrize("brush", [10, 18, 26])
def test_a_drawing_is_what_the_preparation_makes_of_the_canvas(brush, outlines):
    images = drawn(outlines, torch.arange(len(outlines)), plain_drawings(len(outlines), brush))[:, 0].numpy()
    differences = []
    for image, strokes in zip(images, DIGITS.strokes, strict=True):
        on_canvas = [Stroke(brush, tuple(map(tuple, stroke * 180 + 140))) for stroke in centred(strokes)]
        expected = prepare(ink_of(on_canvas)).centred
        moved = [np.abs(np.roll(image, by, (0, 1)) - expected).sum() for by in MOVES]
        differences.append(min(moved) / expected.sum())
    # Pillow cuts the canvas's pixels otherwise: a quarter of a pixel, which at 10 px is a twentieth of the ink.
    assert np.median(differences) < 0.07 * 10 / brush


# Where a centre of mass lies on the edge between two pixels, a hundredth of the ink decides where the digit goes.
MOVES = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


def test_a_touch_of_the_pen_is_a_disc():
    dot = outlines_of(PenDigits(np.array([0]), ("a",), ((np.array([[7.0, 7.0]]),),)))
    image = drawn(dot, torch.tensor([0]), plain_drawings(1, 20))[0, 0]
    assert image.sum() == pytest.approx(np.pi * 10**2, rel=0.02)  # 20 by 20 pixels of the canvas fill the box
