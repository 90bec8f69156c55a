import numpy as np
import pytest

from cnnlab.drawing.preparation import FAINT
from cnnlab.drawing.several import digits_side_by_side
from cnnlab.drawing.strokes import Stroke, ink_of

ONE = ((70.0, 60.0), (70.0, 220.0))
ANOTHER = ((200.0, 80.0), (205.0, 230.0))
BAR = ((150.0, 60.0), (210.0, 60.0))  # high up beside the rest of a five
DOT = ((150.0, 210.0),)


@pytest.mark.parametrize(
    ("strokes", "count"), [((), 0), ((ONE,), 1), ((ONE, ANOTHER), 2), ((ONE, BAR), 1), ((ONE, DOT), 1)]
)
@pytest.mark.parametrize("brush", [8, 30])
def test_parts_of_a_digits_height_are_counted(strokes, count, brush):
    assert digits_side_by_side(ink_of([Stroke(brush, points) for points in strokes])) == count


def test_strokes_that_lie_above_each_other_are_of_one_digit():
    drawn = np.zeros((280, 280), np.float32)
    drawn[60:80, 100:200] = drawn[200:220, 100:200] = 1
    assert digits_side_by_side(drawn) == 1


@pytest.mark.parametrize(("height", "count"), [(56, 2), (54, 1)])
def test_a_part_counts_from_a_share_of_the_height_on(height, count):
    drawn = np.zeros((100, 60), np.float32)
    drawn[:, :10] = drawn[:height, 20:30] = 1
    assert digits_side_by_side(drawn) == count


@pytest.mark.parametrize(("height", "gap", "count"), [(40, 2, 2), (40, 1, 1), (300, 6, 2), (300, 5, 1)])
def test_a_gap_is_a_fiftieth_of_the_drawing_wide_and_two_pixels_at_least(height, gap, count):
    drawn = np.zeros((height, 40), np.float32)
    drawn[:, :10] = drawn[:, 10 + gap : 30] = 1
    assert digits_side_by_side(drawn) == count


@pytest.mark.parametrize(("height", "count"), [(11, 2), (10, 1)])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_part_counts_from_eleven_twentieths_of_the_height_on(height, count, is_first):
    drawn = np.zeros((20, 20), np.float32)
    drawn[:, :5] = drawn[:height, 12:] = 1
    assert digits_side_by_side(drawn[:, ::-1] if is_first else drawn) == count


def test_low_parts_that_stand_apart_are_a_digit_together():
    drawn = np.zeros((100, 60), np.float32)
    drawn[:50, :20] = drawn[50:, 40:] = 1
    assert digits_side_by_side(drawn) == 1


def test_a_part_of_the_faintest_ink_counts():
    drawn = np.zeros((100, 60), np.float32)
    drawn[:, :20], drawn[:, 40:] = 1, FAINT
    assert digits_side_by_side(drawn) == 2
