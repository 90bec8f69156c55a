"""The pictures in which a weight is chosen, and what is said of it."""

import pytest
import torch

from cnnlab.ui.frame.session import Key
from cnnlab.ui.step import weight


@pytest.fixture
def sheet(monkeypatch):
    """Return a function that shows a parameter, and tells its pictures, what is chosen, and how to choose."""

    def shown(values, index, name="0.weight"):
        found = {}
        monkeypatch.setattr(weight.st, "session_state", {Key.STEP_PARAMETER: name})
        monkeypatch.setattr(weight.st, "caption", lambda text: found.update(caption=text))
        monkeypatch.setattr(
            weight,
            "picture_sheet",
            lambda pictures, captions, **told: found.update(told, pictures=pictures, captions=captions),
        )
        weight._sheet(values, index, "sheet")
        return found

    return shown


def chosen_weight(name="0.weight"):
    return weight.st.session_state[Key.STEP_WEIGHT][name]


FILTERS = torch.arange(6 * 4 * 3 * 3, dtype=torch.float32).reshape(6, 4, 3, 3)


def test_a_weight_of_a_filter_is_a_pixel_of_its_slice(sheet):
    found = sheet(FILTERS, (5, 2, 1, 0))
    assert found["chosen"] == (5, 1, 8)  # slices are four pixels apart
    assert found["captions"] == ["1", "2", "3", "4", "5", "6"]
    assert {picture.shape for picture in found["pictures"]} == {(3, 15, 4)}
    found["on_choose"](0, 2, 5)
    assert chosen_weight() == (0, 1, 2, 1)


@pytest.mark.parametrize(
    ("chosen", "column", "slice_", "within"),
    [((0, 0, 0, 2), 3, 1, 0), ((0, 1, 0, 0), 3, 0, 2), ((0, 2, 0, 0), 7, 1, 2)],
)
def test_from_one_slice_the_arrow_keys_lead_over_the_gap_to_the_next(chosen, column, slice_, within, sheet):
    sheet(FILTERS, chosen)["on_choose"](0, 0, column)
    assert chosen_weight() == (0, slice_, 0, within)


def test_a_weight_of_a_linear_layer_is_a_pixel_of_one_picture(sheet):
    found = sheet(torch.ones(10, 32), (3, 7))
    assert found["chosen"] == (0, 3, 7)
    assert [picture.shape for picture in found["pictures"]] == [(10, 32, 4)]
    assert found["captions"] == [""]
    found["on_choose"](0, 9, 31)
    assert chosen_weight() == (9, 31)


def test_a_bias_is_a_pixel_of_a_row(sheet):
    found = sheet(torch.ones(10), (4,), "0.bias")
    assert found["chosen"] == (0, 0, 4)
    found["on_choose"](0, 0, 9)
    assert chosen_weight("0.bias") == (9,)


@pytest.mark.parametrize(
    ("shape", "pictures", "shown"),
    [((40, 20, 3, 3), 32, (3, 63, 4)), ((32, 16, 3, 3), 32, (3, 63, 4)), ((600, 700), 1, (512, 512, 4))],
)
def test_of_many_weights_the_first_are_shown_and_that_is_said(shape, pictures, shown, sheet):
    found = sheet(torch.ones(shape), (0,) * len(shape))
    assert len(found["pictures"]) == pictures
    assert found["pictures"][0].shape == shown
    assert ("caption" in found) is (shape != (32, 16, 3, 3))


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ((2, 0, 1, 1), "filter 3, slice 1, row 2, column 2"),
        ((3, 5), "output 4, input 6"),
        ((4,), "number 5"),
        ((0, 1, 2), "number 1, number 2, number 3"),
    ],
)
def test_the_place_of_a_weight_is_counted_from_one(index, words):
    assert weight._in_words(index) == words


@pytest.mark.parametrize(
    ("place", "words"),
    [((), ""), ((4,), ", place 5"), ((0, 25), ", row 1, column 26"), ((0, 1, 2), ", place 1, place 2, place 3")],
)
def test_the_place_of_a_term_is_counted_from_one(place, words):
    assert weight._place_told(place) == words


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.123456, "0.12346"),
        (-1.5, "−1.5"),
        (0.0, "0"),
        (-0.0000123, "−1.23\u00a0·\u00a010⁻⁵"),
        (1234567.0, "1.2346\u00a0·\u00a010⁶"),
    ],
)
def test_a_number_has_five_digits_and_its_power_of_ten_is_raised(value, written):
    assert weight._number(value) == written


@pytest.mark.parametrize(
    ("before", "alone", "after", "told"),
    [
        (
            1.0,
            0.75,
            0.5,
            "by −0.25; what is left of the steps before moves it by −0.25, the same way. Together: **−0.5**.",
        ),
        (
            1.0,
            1.25,
            0.75,
            "by 0.25; what is left of the steps before moves it by −0.5, the other way. Together: **−0.25**.",
        ),
    ],
)
def test_what_the_steps_before_have_left_is_told_beside_the_gradient(before, alone, after, told):
    assert weight._carried_told(before, alone, after) == f"This gradient alone moves the weight {told}"


def test_where_they_have_left_nothing_nothing_is_told():
    assert weight._carried_told(1.0, 0.75, 0.75) == ""
