import numpy as np
import pytest

from cnnlab.drawing.paper import darkness, is_light_on_dark, light_on, printed_lines, rims, separating_level
from cnnlab.drawing.strokes import Stroke, ink_of

TWO = (Stroke(14, ((90.0, 100.0), (140.0, 50.0), (190.0, 100.0), (90.0, 220.0), (90.0, 220.0), (200.0, 220.0))),)


def lit(kind):
    down, right = np.mgrid[0:280, 0:280] / 280
    return {
        "even": np.full((280, 280), 0.9),
        "a gradient": 0.9 - 0.5 * down - 0.1 * right,
        "a vignette": 0.9 - 0.9 * ((down - 0.5) ** 2 + (right - 0.5) ** 2),
        "a soft shadow": 0.9 - 0.4 / (1 + np.exp((right - 0.4) / 0.03)),
    }[kind]


@pytest.mark.parametrize("kind", ["even", "a gradient", "a vignette", "a soft shadow"])
def test_light_is_found_below_the_ink_and_the_ink_is_what_the_paper_lacks(kind):
    light, ink = lit(kind), ink_of(TWO)
    paper = np.dstack([light * (1 - 0.8 * ink)] * 3)
    found = light_on(paper)
    assert np.abs(found - light[..., None]).max() < 0.08
    assert np.abs(darkness(paper, found) - 0.8 * ink).max() < 0.1


def test_ink_of_any_colour_is_dark_in_the_channel_that_it_swallows():
    ink = ink_of(TWO)[..., None]
    red = np.array([0.9, 0.9, 0.9]) * (1 - ink) + np.array([0.9, 0.2, 0.2]) * ink
    assert darkness(red, light_on(red))[ink[..., 0] == 1].min() > 0.7


def test_chalk_on_a_board_is_told_from_ink_on_paper():
    for kind in ("even", "a gradient", "a soft shadow"):
        ink = ink_of(TWO)
        assert not is_light_on_dark(lit(kind) * (1 - 0.8 * ink))
        assert is_light_on_dark(lit(kind) * (0.2 + 0.7 * ink))


def ruled(slope):
    down, right = np.mgrid[0:400, 0:500]
    return (down + slope * right) % 40 < 3


@pytest.mark.parametrize("slope", [-0.15, 0, 0.05])
@pytest.mark.parametrize("is_upright", [False, True])
def test_long_thin_lines_are_printed_and_a_stroke_that_crosses_them_is_not(slope, is_upright):
    lines = ruled(slope)
    stroke = np.zeros_like(lines)
    stroke[60:340, 240:262] = True
    if is_upright:
        lines, stroke = lines.T, stroke.T
    found = printed_lines(lines | stroke)
    assert (found & lines & ~stroke).sum() > 0.9 * (lines & ~stroke).sum()
    assert (found & stroke).sum() < 0.02 * stroke.sum()


def test_a_thin_one_is_no_line():
    one = np.zeros((400, 500), bool)
    one[80:320, 250:254] = True
    assert not printed_lines(one).any()


def test_a_rim_has_paper_on_one_side_and_a_stroke_on_both():
    seen = np.full((200, 200), 0.9)
    seen[:, 90:110] = 0.2
    stroke = seen < 0.5
    assert not rims(stroke, seen, 20).any()
    seen[:, :110] = 0.2  # as dark beside it: what was taken for a stroke is the edge of something
    np.testing.assert_array_equal(rims(stroke, seen, 20), stroke)
    assert not rims(stroke, seen, 300).any()


def test_the_level_that_separates_is_the_one_with_the_most_variance_between_both_sides():
    chance = np.random.default_rng(3)
    grey = np.concatenate([chance.normal(0.2, 0.07, 9_000), chance.normal(0.7, 0.1, 1_000)]).clip(0, 1)
    rounded = (np.floor(grey * 128).clip(0, 127) + 0.5) / 128
    between = {}
    for edge in np.arange(1, 128) / 128:
        light, dark = rounded[rounded < edge], rounded[rounded > edge]
        if len(light) and len(dark):
            between[edge] = len(light) * len(dark) * (light.mean() - dark.mean()) ** 2
    assert separating_level(grey) == pytest.approx(max(between, key=between.get))
