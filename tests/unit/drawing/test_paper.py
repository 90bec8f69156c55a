from math import erf

import numpy as np
import pytest

from cnnlab.drawing.paper import (
    _long_level_lines,
    darkness,
    is_light_on_dark,
    light_on,
    printed_lines,
    rims,
    separating_level,
)
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


def bars(*places, shape=(120, 500)):
    """Return ink at some places, (rows, columns) each."""
    is_ink = np.zeros(shape, bool)
    for rows, columns in places:
        is_ink[slice(*rows), slice(*columns)] = True
    return is_ink


def assert_printed(is_ink, *, whole=True):
    """Assert that all of the ink is printed lines, or none; level, and turned to be upright."""
    expected = is_ink & whole
    np.testing.assert_array_equal(printed_lines(is_ink), expected)
    np.testing.assert_array_equal(printed_lines(is_ink.T), expected.T)


@pytest.mark.parametrize(("thickness", "is_line"), [(1, True), (6, True), (7, False)])
def test_a_line_is_at_most_six_pixels_thick(thickness, is_line):
    assert_printed(bars(((50, 50 + thickness), (0, 500))), whole=is_line)


@pytest.mark.parametrize(("thickness", "is_line"), [(6, True), (7, False)])
def test_where_two_lines_cross_they_are_lines_too(thickness, is_line):
    cross = bars(((100, 100 + thickness), (0, 300)), ((0, 300), (150, 150 + thickness)), shape=(300, 300))
    assert_printed(cross, whole=is_line)


def test_where_the_thinnest_stroke_crosses_a_line_the_stroke_is_left():
    line, stroke = bars(((50, 53), (0, 500))), bars(((30, 80), (240, 241)))
    np.testing.assert_array_equal(printed_lines(line | stroke), line & ~stroke)


# A picture 500 wide is looked at in runs of 62 pixels. A run is of a line if 53 of its pixels are ink, so that what is
# found of a line is 8 pixels longer on its left and 10 on its right.
@pytest.mark.parametrize(("start", "stop", "is_line"), [(80, 412, True), (80, 411, False), (80, 430, True)])
def test_a_line_goes_over_seven_tenths_of_the_picture(start, stop, is_line):
    assert_printed(bars(((50, 52), (start, stop))), whole=is_line)


@pytest.mark.parametrize(
    ("start", "stop", "is_line"),
    [
        *((0, 115, True), (0, 114, False), (383, 500, True), (384, 500, False)),  # a quarter of the picture
        *((10, 160, True), (11, 160, False)),
        *((340, 488, True), (340, 487, False)),
    ],
)
def test_a_line_that_begins_at_an_edge_may_be_a_quarter_of_the_picture_long(start, stop, is_line):
    assert_printed(bars(((50, 52), (start, stop))), whole=is_line)


@pytest.mark.parametrize(("gap", "is_line"), [(18, True), (19, False)])
def test_a_line_may_have_a_gap_of_twice_what_a_run_may_lack(gap, is_line):
    half = 170  # of 500: neither half is a line alone
    assert_printed(bars(((50, 52), (60, 60 + half)), ((50, 52), (60 + half + gap, 60 + 2 * half + gap))), whole=is_line)


def leaning(slope, shape=(160, 500)):
    """Return a line one pixel thick through the picture's middle."""
    columns = np.arange(shape[1])
    is_ink = np.zeros(shape, bool)
    is_ink[shape[0] // 2 + np.round(slope * (columns - shape[1] / 2)).astype(int), columns] = True
    return is_ink


@pytest.mark.parametrize("slope", np.arange(-8, 9, 2) / 40)
def test_a_line_that_leans_by_one_in_five_or_less_is_found_whole(slope):
    assert_printed(leaning(slope))


@pytest.mark.parametrize("slope", [-0.3, 0.25])
def test_what_leans_by_one_in_four_is_no_line_of_the_paper(slope):
    assert_printed(leaning(slope), whole=False)


def test_level_lines_of_a_picture_upside_down_are_upside_down():
    chance = np.random.default_rng(0)
    for width in range(60, 90):
        is_ink = chance.random((50, width)) < 0.8
        assert np.array_equal(_long_level_lines(is_ink[::-1]), _long_level_lines(is_ink)[::-1])


@pytest.mark.parametrize("rows", [(0, 1), (0, 3), (1, 2), (119, 120), (118, 119), (117, 120)])
def test_a_line_along_the_edge_is_found_and_nothing_beside_it(rows):
    assert_printed(bars((rows, (0, 500))))


def test_in_the_smallest_pictures_a_line_has_at_least_two_pixels():
    assert_printed(bars(((4, 5), (6, 8)), shape=(8, 8)))
    assert_printed(bars(((2, 3), (0, 1)), shape=(4, 4)), whole=False)


def striped(width, dark):
    """Return paper with a stroke that is so wide and only in one column dark, and the stroke's mask."""
    seen, is_ink = np.full((60, 80), 0.9), np.zeros((60, 80), bool)
    is_ink[:, 30 : 30 + width] = True
    seen[:, 30 + dark] = 0.2
    return seen, is_ink


@pytest.mark.parametrize(("width", "dark", "is_rim"), [(9, 4, False), (10, 4, True), (10, 5, True), (11, 5, True)])
def test_how_dark_a_stroke_is_is_seen_four_pixels_within_its_edge(width, dark, is_rim):
    seen, is_ink = striped(width, dark)
    assert rims(is_ink, seen, 20).any() == is_rim


def shaded(*columns):
    """Return paper with a stroke from column 30 to 39, and some columns beside it as dark."""
    seen = np.full((60, 80), 0.9)
    seen[:, [*range(30, 40), *columns]] = 0.2
    return seen


STROKE = bars(((0, 60), (30, 40)), shape=(60, 80))


@pytest.mark.parametrize(("away", "is_rim"), [(4, False), (5, True), (6, True), (7, False)])
def test_paper_is_looked_for_five_and_six_pixels_beside_a_stroke(away, is_rim):
    seen = shaded(30 - away, 39 + away)
    assert rims(STROKE, seen, 20).any() == is_rim
    assert rims(STROKE.T, seen.T, 20).any() == is_rim


def test_a_rim_lacks_paper_at_more_than_a_quarter_of_the_places_beside_it():
    seen = shaded(44)  # one of the four columns that are looked at
    assert not rims(STROKE, seen, 20).any()
    seen[30, 45] = 0.2
    np.testing.assert_array_equal(rims(STROKE, seen, 20), STROKE)


@pytest.mark.parametrize("columns", [(44, 45), (24, 25)])
def test_a_rim_may_lie_on_either_side(columns):
    seen = shaded(*columns)
    np.testing.assert_array_equal(rims(STROKE, seen, 20), STROKE)
    np.testing.assert_array_equal(rims(STROKE.T, seen.T, 20), STROKE.T)


@pytest.mark.parametrize(("smallest", "is_rim"), [(30, True), (31, False)])
def test_only_what_is_as_long_as_a_digit_is_taken_for_a_rim(smallest, is_rim):
    speck, rim = bars(((5, 10), (5, 10)), shape=(90, 90)), bars(((50, 80), (50, 55)), shape=(90, 90))
    seen = np.where(speck | rim, 0.2, 0.9)
    seen[:, 55:] = 0.2
    np.testing.assert_array_equal(rims(speck | rim, seen, smallest), rim & is_rim)


@pytest.mark.parametrize(
    ("paper", "light", "expected"), [(0.45, 0.9, 0.5), (0.95, 0.9, 0), (0.0, 0.0, 1), (0.05, 0.05, 0.5), (0, 0.9, 1)]
)
def test_darkness_is_the_share_of_the_light_that_is_gone_and_of_a_tenth_in_the_dark(paper, light, expected):
    found = darkness(np.full((2, 2, 3), paper), np.full((2, 2, 3), light))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_between_two_levels_the_one_just_above_the_darker_separates_them():
    assert separating_level(np.array([0.25, 0.75, 0.75])) == 33 / 128


@pytest.mark.parametrize(("brightest", "level"), [(10, 0.2), (30, 0.5)])
def test_the_brightest_pixels_count_when_levels_are_separated(brightest, level):
    # 100 · 70 · 0.37² is more than 160 · 10 · 0.69², and 100 · 90 · 0.47² less than 160 · 30 · 0.69².
    grey = np.repeat([0.2, 0.5, 1.0], [100, 60, brightest])
    assert separating_level(grey) == np.floor(level * 128 + 1) / 128


def dots(level, *things, side=70):
    """Return a grey picture with little things in it, far from each other: (how many, side, by how much) each."""
    grey = np.full((side, side), level)
    places = iter((row, column) for row in range(8, side - 4, 8) for column in range(8, side - 4, 8))
    for count, size, by in things:
        for _ in range(count):
            row, column = next(places)
            grey[row : row + size, column : column + size] += by
    return grey


@pytest.mark.parametrize(("lighter", "is_board"), [(21, True), (19, False)])
@pytest.mark.parametrize("level", [0.3, 0.45])
def test_a_board_shows_twice_as_much_that_is_lighter_as_is_darker(lighter, is_board, level):
    assert is_light_on_dark(dots(level, (lighter, 1, 0.2), (10, 1, -0.2))) == is_board


def test_what_is_clearer_counts_for_more_on_a_board():
    assert is_light_on_dark(dots(0.3, (2, 1, 0.26), (2, 1, -0.2)))  # 1.3³ is 2.2
    assert not is_light_on_dark(dots(0.3, (2, 1, 0.25), (2, 1, -0.2)))  # 1.25³ is 1.95


@pytest.mark.parametrize(("level", "is_board"), [(0.49, True), (0.5, False)])
def test_a_board_is_darker_than_the_middle(level, is_board):
    assert is_light_on_dark(dots(level, (9, 1, 0.2))) == is_board


def test_a_board_is_looked_at_as_a_picture_of_seventy_pixels():
    assert is_light_on_dark(dots(0.3, (27, 1, 0.2), (1, 3, -0.2)))
    # One pixel of 140 is a quarter of one of 70.
    assert not is_light_on_dark(dots(0.3, (20, 1, 0.4), (4, 2, -0.2), side=140))


def test_a_little_that_is_light_is_chalk_in_the_smallest_picture():
    grey = np.full((9, 9), 0.3)
    grey[4, 3:5] = 0.8
    assert is_light_on_dark(grey)


def lit_by(grey):
    return light_on(np.dstack([grey] * 3))[..., 0]


@pytest.mark.parametrize(("side", "widest"), [(140, 24), (133, 24), (105, 18)])
def test_what_is_as_thin_as_a_stroke_leaves_the_light_and_what_is_wider_is_shade(side, widest):
    for width in (widest, widest + 1):
        grey = np.full((side, side), 0.9)
        grey[:, 40 : 40 + width] = 0.2
        assert lit_by(grey).min() == pytest.approx(0.9 if width == widest else 0.2, abs=0.01)


@pytest.mark.parametrize("shape", [(140, 140), (60, 60), (100, 140), (140, 100)])
@pytest.mark.parametrize("is_turned", [False, True])
def test_the_edge_of_a_wide_shadow_is_as_soft_as_a_bell_of_one_and_a_half_pixels(shape, is_turned):
    grey = np.where(np.arange(shape[1]) < shape[1] // 2, 0.4, 0.8) * np.ones((shape[0], 1))
    light = lit_by(grey.T).T if is_turned else lit_by(grey)
    for away in range(-5, 5):
        share = (1 + erf((away + 0.5) / 1.5 / 2**0.5)) / 2
        np.testing.assert_allclose(light[:, shape[1] // 2 + away], 0.4 + 0.4 * share, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 140), (140, 1), (1, 400), (2, 2), (1, 1)])
def test_the_narrowest_strip_of_paper_is_lit(shape):
    np.testing.assert_allclose(lit_by(np.full(shape, 0.9)), 0.9, atol=1e-6)
