import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from PIL import Image
from truth import moments

from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.preparation import (
    FAINT,
    FITTED,
    SIDE,
    bounding_box,
    centre,
    fit,
    ink,
    is_dot,
    moved,
    prepare,
    shrink,
)
from cnnlab.drawing.strokes import Stroke, ink_of

SEVEN = (Stroke(20, ((90.0, 80.0), (180.0, 80.0), (175.0, 95.0), (120.0, 200.0))),)


def drawn(strokes=SEVEN, *, dx=0, dy=0):
    """Return black ink on white paper, moved by whole pixels: shape (280, 280), uint8."""
    return np.roll(255 - np.round(ink_of(strokes) * 255).astype(np.uint8), (dy, dx), axis=(0, 1))


def prepared(pixels):
    preparation = prepare(pixels)
    assert preparation is not None
    return preparation.centred


def rgba(grey, alpha=255):
    return np.dstack([grey, grey, grey, np.full_like(grey, alpha)])


def test_the_steps_have_their_sizes_and_the_digit_touches_two_opposite_sides_of_its_box():
    steps = prepare(drawn())
    assert steps.drawn.shape == (280, 280)
    assert steps.fitted.shape == (FITTED, FITTED)
    assert steps.centred.shape == (SIDE, SIDE)
    assert {each.dtype for each in (steps.drawn, steps.cropped, steps.fitted, steps.centred)} == {np.dtype("float32")}
    assert steps.fitted[0].any()
    assert steps.fitted[-1].any()
    assert steps.centred.max() == 1


def test_the_centre_of_mass_is_in_the_middle():
    # The pixel that the middle falls into; moving by whole pixels leaves up to one.
    centred = prepared(drawn())
    for axis in (0, 1):
        middle = centred.sum(axis=1 - axis) @ (np.arange(SIDE) + 0.5) / centred.sum()
        assert 14 < middle <= 15


@given(dx=st.integers(-60, 60), dy=st.integers(-50, 50))
def test_where_the_digit_was_drawn_does_not_matter(dx, dy):
    np.testing.assert_array_equal(prepared(drawn(dx=dx, dy=dy)), prepared(drawn()))


@given(factor=st.integers(2, 4))
def test_the_size_of_the_canvas_does_not_matter(factor):
    enlarged = drawn().repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_allclose(prepared(enlarged), prepared(drawn()), atol=1e-4)


def test_a_smaller_canvas_gives_nearly_the_same():
    smaller = np.asarray(Image.fromarray(drawn()).reduce(2))
    assert np.abs(prepared(smaller) - prepared(drawn())).mean() < 0.02


def test_a_canvas_need_not_be_square():
    wide = np.pad(drawn(), ((0, 0), (0, 300)), constant_values=255)
    np.testing.assert_array_equal(prepared(wide), prepared(drawn()))


def test_inverted_colours_give_the_same():
    np.testing.assert_allclose(prepared(255 - drawn()), prepared(drawn()), atol=1e-6)


@pytest.mark.parametrize("paper", [(255, 255, 255), (250, 240, 200), (20, 60, 30)])
@pytest.mark.parametrize("pen", [(0, 0, 0), (200, 30, 30), (255, 255, 0)])
def test_pens_and_papers_of_any_colour_give_the_same(paper, pen):
    ink = ink_of(SEVEN)[..., None]
    pixels = np.round(np.array(paper) * (1 - ink) + np.array(pen) * ink).astype(np.uint8)
    np.testing.assert_allclose(prepared(pixels), prepared(drawn()), atol=0.02)


@pytest.mark.parametrize("pen", [0, 90, 255])
def test_a_transparent_canvas_gives_the_same_whatever_lies_behind_nothing(pen):
    ink = np.round(ink_of(SEVEN) * 255).astype(np.uint8)
    pixels = np.dstack([np.full_like(ink, pen)] * 3 + [ink])
    if pen == 0:  # black on nothing: the alpha channel alone tells
        assert not pixels[..., :3].any()
    np.testing.assert_allclose(prepared(pixels), prepared(drawn()), atol=0.01)


def test_grey_colour_and_floats_give_the_same():
    expected = prepared(drawn())
    for pixels in (drawn()[..., None], rgba(drawn()), rgba(drawn())[..., :3], drawn() / 255):
        np.testing.assert_allclose(prepared(pixels), expected, atol=1e-6)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_canvas_of_one_colour_is_empty(level):
    assert prepare(np.full((280, 280), level, np.uint8)) is None
    assert prepare(rgba(np.full((280, 280), level, np.uint8))) is None


def test_a_transparent_canvas_is_empty():
    assert prepare(np.zeros((280, 280, 4), np.uint8)) is None


@given(st.integers(6, 40), st.floats(60, 220), st.floats(60, 220))
def test_a_dot_is_nothing(width, x, y):
    assert prepare(drawn((Stroke(width, ((x, y), (x + width / 1000, y))),))) is None


def test_a_short_stroke_is_no_dot():
    assert prepare(drawn((Stroke(10, ((140.0, 120.0), (142.0, 160.0))),))) is not None


def test_a_canvas_full_of_ink_has_an_answer():
    full = np.zeros((280, 280), np.uint8)
    full[0], full[:, 0] = 255, 255  # one line of paper is left
    full[-1], full[:, -1] = 255, 255
    assert prepared(full).shape == (SIDE, SIDE)
    rows = tuple(Stroke(100, ((-10.0, y), (290.0, y))) for y in (0.0, 70.0, 140.0, 210.0, 280.0))
    assert prepare(drawn(rows)) is None  # nothing tells it from empty black paper


@pytest.mark.parametrize("x", [0.0, 280.0])
def test_one_stroke_at_the_edge_has_an_answer(x):
    centred = prepared(drawn((Stroke(20, ((x, 60.0), (x, 240.0))),)))
    assert centred[:, 12:17].sum() == pytest.approx(centred.sum())


@given(
    np_st.arrays(
        np.uint8,
        st.one_of(
            st.tuples(st.integers(1, 40), st.integers(1, 40)),
            st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4)),
        ),
    )
)
def test_any_pixels_have_an_input_or_none(pixels):
    steps = prepare(pixels)
    if steps is not None:
        for step in (steps.drawn, steps.cropped, steps.fitted, steps.centred):
            assert np.isfinite(step).all()
            assert step.min() >= 0
            assert step.max() <= 1 + 1e-5
        np.testing.assert_allclose(steps.centred.sum(), steps.fitted.sum(), rtol=1e-5)


@given(np_st.arrays(np.float32, (12, 30), elements=st.floats(0, 1, width=32)))
def test_shrinking_keeps_the_ink(image):
    assert shrink(image).sum() * (30 / SIDE) ** 2 == pytest.approx(image.sum(), rel=1e-3, abs=1e-3)


def test_a_wide_crop_is_fitted_into_the_middle_with_its_aspect_kept():
    rows = np.flatnonzero(fit(np.ones((12, 30), np.float32)).any(axis=1))
    assert (rows[0], rows[-1]) == (6, 13)  # 12 / 30 of 20 rows are 8


def test_a_mass_far_to_one_side_stays_within_the_image():
    fitted = np.zeros((FITTED, FITTED), np.float32)
    fitted[:, 0], fitted[0, :] = 1, 0.1
    assert centre(fitted).sum() == pytest.approx(fitted.sum())


def test_test_images_drawn_large_come_back_as_themselves():
    # Over the whole test set: 68 % of the images to within one grey level, and a mean difference of 2 grey levels.
    images, _ = load_test_set()
    differences = []
    for image in images[::10, 0].numpy():
        enlarged = image.repeat(10, axis=0).repeat(10, axis=1)
        differences.append(np.abs(prepared(enlarged) - image))
    assert np.mean(differences) < 0.01
    assert np.mean(np.max(differences, axis=(1, 2)) <= 1.01 / 255) > 0.6


def test_a_drawing_is_prepared_as_when_the_shipped_networks_were_measured():
    points = ((60.0, 70.0), (200.0, 60.0), (210.0, 150.0), (90.0, 170.0), (120.0, 240.0), (230.0, 225.0))
    steps = prepare(drawn((Stroke(18, points),)))
    assert steps.cropped.shape == (188, 188)
    np.testing.assert_allclose(moments(steps.cropped)[0], [8642.145, 92.378, 100.944, 24890.872], rtol=1e-3)
    np.testing.assert_allclose(moments(steps.fitted)[0], [97.806, 9.826, 10.738, 281.828], rtol=1e-3)
    np.testing.assert_allclose(moments(steps.centred)[0], [97.806, 14.826, 14.738, 506.991], rtol=1e-3)


def test_colours_that_nothing_shows_do_not_matter():
    ink = np.round(ink_of(SEVEN) * 255).astype(np.uint8)
    pixels = np.dstack([255 - ink, np.zeros_like(ink), np.zeros_like(ink), ink])  # red where it is transparent
    black = np.dstack([np.zeros_like(ink)] * 3 + [ink])
    np.testing.assert_allclose(prepared(pixels), prepared(black), atol=0.02)


@pytest.mark.parametrize(
    ("width", "height", "is_nothing"), [(46, 46, True), (47, 47, False), (20, 29, True), (20, 30, False)]
)
def test_a_dot_is_small_round_and_filled(width, height, is_nothing):
    pixels = np.full((280, 280), 255, np.uint8)
    pixels[100 : 100 + height, 100 : 100 + width] = 0
    assert (prepare(pixels) is None) == is_nothing


def test_a_small_ring_is_no_dot():
    pixels = np.full((280, 280), 255, np.uint8)
    pixels[100:140, 100:140] = 0
    pixels[105:135, 105:135] = 255
    assert prepare(pixels) is not None


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (-3, 2), (0, -10), (28, 0)])
def test_an_image_is_moved_by_whole_pixels_and_not_centred_again(right, down):
    image = np.zeros((28, 28), np.float32)
    image[12, 15] = 1
    expected = np.zeros((28, 28), np.float32)
    if 15 + right < 28:
        expected[12 + down, 15 + right] = 1
    np.testing.assert_array_equal(moved(image, right, down), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(6, 5), (5, 4), (4, 2)])
def test_ink_is_how_far_each_pixel_is_from_what_most_of_the_border_shows(channels, size):
    pixels = np.random.default_rng(channels).integers(0, 256, (*size, channels), np.uint8)
    colours = {}
    for place in np.ndindex(size):
        *colour, last = (int(level) / 255 for level in pixels[place])
        colours[place] = [level * last for level in colour] + [last] if channels in (2, 4) else [*colour, last]
    height, width = size
    around = [(row, column) for row in (0, height - 1) for column in range(width)]
    around += [(row, column) for row in range(height) for column in (0, width - 1)]
    background = [np.median([colours[place][channel] for place in around]) for channel in range(channels)]
    far = {place: max(abs(a - b) for a, b in zip(colour, background, strict=True)) for place, colour in colours.items()}
    expected = [[far[row, column] / max(far.values()) for column in range(width)] for row in range(height)]
    np.testing.assert_allclose(ink(pixels), expected, atol=1e-5)


@pytest.mark.parametrize(("darker", "alpha", "is_drawn"), [(51, 128, True), (50, 130, False)])
def test_a_colour_that_differs_by_a_tenth_under_its_alpha_is_drawn(darker, alpha, is_drawn):
    pixels = np.full((9, 9, 4), (200, 200, 200, alpha), np.uint8)
    pixels[4, 4, :3] -= np.uint8(darker)
    assert ink(pixels).any() == is_drawn


@pytest.mark.parametrize(("level", "is_drawn"), [(0.1, True), (0.099, False)])
def test_floats_differ_from_a_tenth_on(level, is_drawn):
    pixels = np.zeros((9, 9), np.float32)
    pixels[4, 4] = level
    assert ink(pixels).any() == is_drawn


def test_the_box_goes_around_the_faintest_ink():
    page = np.zeros((9, 9), np.float32)
    page[2, 3], page[4, 4], page[6, 5], page[8, 8] = FAINT, 1, FAINT, 0.99 * FAINT
    assert bounding_box(page) == (slice(2, 7), slice(3, 6))
    assert bounding_box(page * 0.5 * FAINT) is None


@pytest.mark.parametrize(("side", "is_nothing"), [(9, True), (10, False)])
def test_a_dot_is_less_than_a_sixth_of_the_canvas(side, is_nothing):
    assert is_dot(np.ones((side, side), np.float32), (30, 60)) == is_nothing


def test_the_soft_edge_of_a_dot_does_not_count():
    soft = np.pad(np.ones((40, 40), np.float32), 10, constant_values=0.5)
    assert is_dot(soft, (280, 280))


@pytest.mark.parametrize(("filled", "is_nothing"), [(220, False), (221, True)])
def test_a_dot_fills_more_than_eleven_twentieths_of_its_box(filled, is_nothing):
    crop = np.zeros(400, np.float32)
    crop[: filled - 1] = crop[-1] = 1
    assert is_dot(crop.reshape(20, 20), (280, 280)) == is_nothing


def test_a_fitted_crop_is_the_mean_of_its_squares_and_its_darkest_pixel_full():
    crop = np.random.default_rng(0).random((40, 40)).astype(np.float32) * 0.5
    means = crop.reshape(20, 2, 20, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(fit(crop), means / means.max(), rtol=1e-5)


@pytest.mark.parametrize(("at", "expected"), [((19, 10), (19, 14)), ((0, 10), (8, 14)), ((10, 19), (14, 19))])
def test_a_mass_at_one_side_is_moved_no_further_than_the_image_reaches(at, expected):
    fitted = np.zeros((FITTED, FITTED), np.float32)
    fitted[at] = 1
    assert tuple(int(place[0]) for place in np.nonzero(centre(fitted))) == expected
