import numpy as np
import pytest

from cnnlab.charts.shading import NEGATIVE_COLOR, POSITIVE_COLOR, light, on_ink, signed, slices_in_a_row


def color(name):
    return pytest.approx(np.array([*bytes.fromhex(name[1:])]) / 255)


def test_the_strongest_is_white_and_nothing_is_black():
    assert light(np.array([0.0, 1.0, 2.0, 4.0]), strongest=2.0).tolist() == [0, 0.5, 1, 1]
    assert light(np.zeros(3), strongest=0.0).tolist() == [0, 0, 0]


def test_the_sign_is_the_colour_and_the_size_is_how_full_it_is():
    negative, nothing, half, positive = signed(np.array([-2.0, 0.0, 1.0, 2.0]), strongest=2.0)
    assert negative[:3] == color(NEGATIVE_COLOR)
    assert positive[:3] == color(POSITIVE_COLOR)
    assert negative[3] == positive[3] == 1
    assert nothing[3] < half[3] < 1


def test_a_kernel_is_its_slices_a_pixel_apart():
    kernel = np.zeros((4, 3, 2))
    kernel[2, 1, 0] = -5
    picture = slices_in_a_row(kernel)
    assert picture.shape == (3, 11, 4)
    assert picture[1, 6, :3] == color(NEGATIVE_COLOR)
    opacity = picture[0, :, 3]
    assert np.flatnonzero(opacity == 0).tolist() == [2, 5, 8]


def test_attributions_colour_the_ink_and_leave_the_rest():
    image, given = np.zeros((28, 28)), np.zeros((28, 28))
    image[5:9, 5:9] = 1
    given[5:9, 5:7], given[5:9, 7:8] = 3.0, -3.0
    picture = on_ink(image, given)
    assert (picture[..., 3] == 1).all()
    assert picture[5, 5, :3] == color(POSITIVE_COLOR)
    assert picture[5, 7, :3] == color(NEGATIVE_COLOR)
    grey, black = picture[5, 8, :3], picture[0, 0, :3]
    assert 0 < grey[0] == grey[1] == grey[2] < 1
    assert black.tolist() == [0, 0, 0]


def test_a_blank_image_of_which_nothing_can_be_said_is_black():
    assert on_ink(np.zeros((28, 28)), np.zeros((28, 28)))[..., :3].max() == 0


def test_what_is_stronger_than_the_strongest_has_the_full_colour_and_no_more():
    over, full = signed(np.array([6.0, 2.0]), strongest=2.0)
    assert over.tolist() == full.tolist()
    assert signed(np.zeros(1), strongest=0.0)[0, 3] < 0.2
