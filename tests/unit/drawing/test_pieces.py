import numpy as np
import pytest

from cnnlab.drawing.pieces import digits_in
from cnnlab.drawing.strokes import Stroke, ink_of

ZERO = ((140.0, 60.0), (90.0, 90.0), (90.0, 190.0), (140.0, 220.0), (190.0, 190.0), (190.0, 90.0), (140.0, 60.0))
BODY = ((100.0, 80.0), (95.0, 130.0), (95.0, 130.0), (150.0, 120.0), (190.0, 160.0), (150.0, 225.0), (85.0, 210.0))


def ink(*lines, width=16):
    return ink_of([Stroke(width, line) for line in lines]) > 0.5


def found(is_ink, **options):
    return digits_in(is_ink, **options).masks


def test_one_digit_is_found_as_it_is():
    (mask,) = found(ink(ZERO))
    np.testing.assert_array_equal(mask, ink(ZERO))


def test_digits_are_found_from_left_to_right():
    page = np.concatenate([ink(((140.0, 60.0), (140.0, 220.0))), ink(ZERO), ink(BODY)], axis=1)
    masks = found(page)
    assert [np.flatnonzero(mask.any(axis=0))[0] // 280 for mask in masks] == [0, 1, 2]
    np.testing.assert_array_equal(np.logical_or.reduce(masks), page)


@pytest.mark.parametrize("gap", [10, 30])
def test_the_bar_of_a_five_belongs_to_it(gap):
    five = ink(BODY, ((105.0, 70.0 - gap), (190.0, 70.0 - gap)))
    (mask,) = found(five)
    np.testing.assert_array_equal(mask, five)


def test_a_bar_without_a_digit_is_none():
    assert found(ink(((40.0, 140.0), (240.0, 140.0)))) == []


def test_two_digits_above_each_other_are_two():
    above = np.concatenate([ink(ZERO)[40:240], ink(ZERO)[20:260]])
    assert len(found(np.pad(above, 20))) == 2


def test_specks_and_small_numbers_beside_a_digit_are_left_out():
    page = np.pad(ink(ZERO), 100)
    digit = page.copy()
    page[20:28, 300:308] = True
    page[440:470, 380:386] = True
    (mask,) = found(page)
    np.testing.assert_array_equal(mask, digit)


def test_what_touches_the_edge_is_left_out_and_told():
    page = ink(ZERO)
    page[:, :12] = True
    digits = digits_in(page)
    assert digits.touched_edge
    (mask,) = digits.masks
    np.testing.assert_array_equal(mask, ink(ZERO))
    assert not digits_in(ink(ZERO)).touched_edge


def test_what_is_too_small_and_what_is_no_stroke_is_no_digit():
    assert found(ink(ZERO), smallest=250) == []
    blot = np.hypot(*(np.mgrid[:280, :280] - 140)) < 60
    assert found(blot) == []
    assert found(np.zeros((280, 280), bool)) == []
