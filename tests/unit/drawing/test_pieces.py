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


def square(page, row, column, side):
    """Draw the outline of a square, four pixels thick."""
    page[row : row + side, column : column + side] = True
    page[row + 4 : row + side - 4, column + 4 : column + side - 4] = False


@pytest.mark.parametrize(("side", "count"), [(40, 2), (39, 1)])
def test_beside_a_digit_one_of_four_tenths_its_size_is_meant_and_a_smaller_one_is_not(side, count):
    page = np.zeros((140, 300), bool)
    square(page, 20, 20, 100)
    square(page, 20, 200, side)
    assert len(found(page)) == count


@pytest.mark.parametrize(("gap", "count"), [(11, 1), (14, 2)])
def test_pieces_closer_than_an_eighth_of_the_largest_are_one_digit(gap, count):
    page = np.zeros((140, 300), bool)
    square(page, 20, 20, 100)
    square(page, 20, 120 + gap, 100)
    assert len(found(page)) == count


@pytest.mark.parametrize(("smallest", "count"), [(100, 1), (101, 0)])
def test_a_digit_as_small_as_allowed_is_one(smallest, count):
    page = np.zeros((140, 300), bool)
    square(page, 20, 20, 100)
    assert len(found(page, smallest=smallest)) == count
    assert digits_in(page).largest == 100


@pytest.mark.parametrize("edge", [np.s_[0, 20:120], np.s_[-1, 20:120], np.s_[20:120, 0], np.s_[20:120, -1]])
def test_each_edge_of_a_picture_is_one(edge):
    page = np.zeros((140, 140), bool)
    page[edge] = True
    assert digits_in(page).touched_edge
    assert digits_in(page).largest == 0
    assert not digits_in(page, smallest=101).touched_edge


@pytest.mark.parametrize(("side", "belongs"), [(10, True), (9, False)])
def test_a_speck_is_less_than_a_tenth_of_the_largest_piece(side, belongs):
    page = np.zeros((140, 300), bool)
    square(page, 20, 20, 100)
    alone = page.copy()
    page[60 : 60 + side, 125 : 125 + side] = True
    (mask,) = found(page)
    np.testing.assert_array_equal(mask, page if belongs else alone)


@pytest.mark.parametrize(("width", "count"), [(44, 1), (45, 0)])
def test_what_is_more_than_twice_and_a_fifth_as_wide_as_high_is_a_bar(width, count):
    page = np.zeros((60, 100), bool)
    page[20:40, 20 : 20 + width] = True
    page[24:36, 24 : 16 + width] = False
    assert len(found(page)) == count


@pytest.mark.parametrize(("gap", "belongs"), [(24, True), (25, False)])
def test_a_bar_belongs_to_what_is_a_quarter_of_the_largest_piece_away(gap, belongs):
    page = np.zeros((200, 140), bool)
    square(page, 60, 20, 100)
    alone = page.copy()
    page[60 - gap - 6 : 60 - gap, 30:100] = True
    (mask,) = found(page)
    np.testing.assert_array_equal(mask, page if belongs else alone)


@pytest.mark.parametrize(("width", "count"), [(21, 1), (23, 0)])
def test_a_stroke_is_no_thicker_than_twice_the_share_that_makes_a_blot(width, count):
    page = np.zeros((100, 100), bool)
    page[20:70, 20 : 20 + width] = True  # its middle is 11 or 12 pixels from the paper; 22 hundredths of 50 are 11
    assert len(found(page)) == count


def test_a_digit_that_begins_lower_comes_first_if_it_stands_on_the_left():
    page = np.zeros((200, 300), bool)
    square(page, 80, 20, 100)
    square(page, 20, 180, 100)
    assert [np.flatnonzero(mask.any(axis=0))[0] for mask in found(page)] == [20, 180]


def test_a_frame_all_around_and_a_single_pixel_are_no_digits():
    frame = np.pad(np.zeros((8, 8), bool), 1, constant_values=True)
    digits = digits_in(frame)
    assert (digits.masks, digits.touched_edge, digits.largest) == ([], True, 0)
    pixel = np.zeros((8, 8), bool)
    pixel[4, 4] = True
    digits = digits_in(pixel)
    assert (digits.masks, digits.touched_edge, digits.largest) == ([], False, 1)
    assert not digits_in(np.zeros((8, 8), bool)).touched_edge


@pytest.mark.parametrize(("length", "smallest", "told"), [(1, 0, True), (60, 60, True), (59, 60, False)])
def test_what_touches_the_edge_is_told_from_the_size_of_a_digit_on(length, smallest, told):
    page = np.zeros((100, 100), bool)
    page[0, 20 : 20 + length] = True
    assert digits_in(page, smallest).touched_edge is told


def test_in_the_smallest_picture_a_pixel_is_a_tenth_of_a_digit_and_takes_its_bar():
    page = np.zeros((10, 14), bool)
    page[3, 2:12] = page[5, 7] = True
    (mask,) = found(page)
    np.testing.assert_array_equal(mask, page)
