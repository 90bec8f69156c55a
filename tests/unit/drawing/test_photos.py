"""Photographed and scanned digits: what is ink on the paper, and what lies beside it."""

import numpy as np
import pytest
from photographed import SEVEN, digit_read, file_of, photo, scan
from PIL import Image, ImageOps
from scipy.stats import median_abs_deviation
from truth import moments

from cnnlab.drawing import photos as pictures
from cnnlab.drawing.paper import separating_level
from cnnlab.drawing.photos import SeveralDigits, UnreadablePicture, picture_on_canvas, picture_steps
from cnnlab.drawing.preparation import ink, prepare
from cnnlab.drawing.strokes import ink_of


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_scan_is_read(kind):
    canvas = picture_on_canvas(file_of(scan(), kind))
    assert canvas.shape == (280, 280)
    assert canvas.dtype == np.float32
    assert digit_read(canvas) == 7
    assert np.abs(prepare(canvas).centred - prepare(scan()).centred).mean() < 0.03


def test_an_unevenly_lit_photo_is_read_and_its_paper_is_empty():
    canvas = picture_on_canvas(file_of(photo(), "JPEG", quality=80))
    assert digit_read(canvas) == 7
    assert (canvas == 0).mean() > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1000, 400), (400, 1000), (3000, 3000), (40, 30)])
def test_a_picture_of_any_shape_keeps_its_aspect(size):
    blob = np.full(size[::-1], 255, np.uint8)
    height, width = blob.shape
    side = min(size) // 2
    blob[height // 2 - side // 2 : height // 2 + side // 2, width // 2 - side // 2 : width // 2 + side // 2] = 0
    rows, columns = np.nonzero(picture_on_canvas(file_of(blob)) > 0.5)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=6)


def test_a_picture_of_one_colour_shows_nothing():
    with pytest.raises(UnreadablePicture, match="shows nothing"):
        picture_on_canvas(file_of(np.full((50, 50), 200, np.uint8)))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (scan(), [5110.494, 122.905, 144.099, 40284.837]),
        (scan(500, 300), [3068.573, 129.725, 144.088, 39864.698]),
    ],
)
def test_what_is_left_of_a_picture_is_what_was_left_before(pixels, expected):
    np.testing.assert_allclose(moments(picture_on_canvas(file_of(pixels)))[0], expected, rtol=1e-4)


@pytest.mark.parametrize("pixels", [scan(), 255 - scan(), scan(500, 300), scan(300, 500)])
def test_a_clean_drawing_is_fitted_into_the_canvas_and_nothing_else(pixels):
    fitted = ImageOps.contain(Image.fromarray(ink(pixels)), (280, 280), Image.Resampling.BILINEAR)
    expected = np.zeros((280, 280), np.float32)
    top, left = (280 - fitted.height) // 2, (280 - fitted.width) // 2
    expected[top : top + fitted.height, left : left + fitted.width] = np.asarray(fitted)
    np.testing.assert_array_equal(picture_on_canvas(file_of(pixels)), expected)


@pytest.mark.parametrize("edge", [np.s_[0, 20:60], np.s_[-1, 20:60], np.s_[20:60, 0], np.s_[20:60, -1]])
def test_what_reaches_any_edge_of_a_picture_makes_it_a_photo(edge):
    pixels = scan().copy()
    assert picture_steps(file_of(pixels)).seen is None
    pixels[edge] = 0
    assert picture_steps(file_of(pixels)).seen is not None


@pytest.mark.slow
def test_of_a_photo_the_ink_is_left_in_the_middle_of_the_canvas():
    drawn = ink_of(SEVEN)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    digit = Image.fromarray(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    fitted = np.asarray(ImageOps.contain(digit, (200, 200)))
    height, width = fitted.shape
    expected = np.pad(fitted, (((280 - height) // 2,), ((280 - width) // 2,)))
    found = picture_on_canvas(file_of(photo()))[: expected.shape[0], : expected.shape[1]]
    assert np.abs(found - expected).mean() < 0.02


@pytest.mark.slow
def test_the_steps_of_a_photo_are_its_grey_its_light_and_what_is_kept():
    steps = picture_steps(file_of(photo()))
    assert steps.seen.shape == steps.light.shape == steps.kept.shape == (420, 560)
    assert {each.dtype for each in (steps.ink, steps.seen, steps.light, steps.kept)} == {np.dtype("float32")}
    down, right = np.mgrid[0:420, 0:560] / 560
    expected = (235 - 110 * down - 60 * right) / 255 * (1 + 0.97 + 0.9) / 3
    assert np.abs(steps.light - expected).max() < 0.05
    assert ((steps.kept > 0.5) & (steps.seen > steps.light - 0.1)).sum() == 0
    assert picture_steps(file_of(scan())).light is None


def sheet(*things, light=235):
    """Return a sheet of paper with things on it, (ink, level) each: shape (600, 800, 3)."""
    pixels = np.full((600, 800), light, np.float64) + np.random.default_rng(0).normal(0, 2, (600, 800))
    for share, level in things:
        pixels += share * (level * pixels / light - pixels)
    return np.dstack([pixels] * 3).clip(0, 255).astype(np.uint8)


def written(strokes=SEVEN, *, right=260, down=160):
    """Return the ink of strokes at a place of the sheet."""
    share = np.zeros((600, 800))
    share[down : down + 280, right : right + 280] = ink_of(strokes)
    return share


def lined(every=40, width=3):
    return np.broadcast_to(np.arange(600)[:, None] % every < width, (600, 800)).astype(float)


def ruled():
    return np.maximum(lined(), np.broadcast_to(np.arange(800) % 40 < 3, (600, 800)))


def corner(side):
    """Return a round, dark thing in the upper left corner."""
    down, right = np.mgrid[:600, :800]
    return (np.hypot(down, right) < side).astype(float)


BESIDE = {
    "lines": (lined(), 150),
    "squares": (ruled(), 110),
    "a margin": (np.broadcast_to(np.abs(np.arange(800) - 90) < 2, (600, 800)).astype(float), 120),
    "a desk": (np.broadcast_to(np.arange(800) < 80, (600, 800)).astype(float), 90),
    "a thumb": (corner(150), 140),
    "a speck": (np.pad(np.ones((12, 12)), ((60, 528), (700, 88))), 40),
    "a shadow": (np.broadcast_to((np.arange(800) - 300).clip(0, 60) / 60, (600, 800)), 120),
    "a frame": (np.pad(np.zeros((598, 798)), 1, constant_values=1.0), 60),
}


@pytest.mark.slow
@pytest.mark.parametrize("beside", BESIDE)
def test_what_else_lies_on_the_paper_is_not_of_the_digit(beside):
    alone = picture_on_canvas(file_of(sheet((written(), 45))))
    found = picture_on_canvas(file_of(sheet(BESIDE[beside], (written(), 45))))
    assert digit_read(found) == 7
    assert np.abs(prepare(found).centred - prepare(alone).centred).mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("beside", BESIDE)
def test_paper_without_a_digit_is_not_answered(beside):
    with pytest.raises(UnreadablePicture, match="No digit was found in this picture"):
        picture_on_canvas(file_of(sheet(BESIDE[beside])))


@pytest.mark.slow
def test_a_sheet_on_something_dark_is_read_and_an_empty_one_is_not():
    around = 1 - np.pad(np.ones((480, 680)), 60)
    assert digit_read(picture_on_canvas(file_of(sheet((around, 70), (written(), 45))))) == 7
    with pytest.raises(UnreadablePicture, match="No digit was found"):
        picture_on_canvas(file_of(sheet((around, 70))))


def test_chalk_on_a_board_is_read():
    shadow, _ = BESIDE["a shadow"]
    assert digit_read(picture_on_canvas(file_of(sheet((written(), 200), (shadow, 25), light=50)))) == 7


def test_of_several_digits_none_is_read():
    both = np.maximum(written(right=100), written(right=420))
    for pixels in (sheet((both, 45)), np.round(255 - 255 * both).astype(np.uint8)):
        with pytest.raises(SeveralDigits, match="This picture shows 2 digits") as refusal:
            picture_on_canvas(file_of(pixels))
        assert refusal.value.count == 2


def test_a_digit_that_touches_the_edge_is_said():
    with pytest.raises(UnreadablePicture, match="touches its edge"):
        picture_on_canvas(file_of(sheet((written(down=0), 45))[80:]))


def test_a_clean_drawing_loses_its_speck_and_nothing_else():
    with_speck = scan().copy()
    with_speck[10:16, 250:256] = 0
    np.testing.assert_array_equal(picture_on_canvas(file_of(with_speck)), picture_on_canvas(file_of(scan())))


def test_a_digit_of_a_photo_is_200_pixels_long_in_the_middle_of_the_canvas():
    kept = np.zeros((50, 60), np.float32)
    kept[7:17, 20:25] = 1
    expected = np.zeros((280, 280), np.float32)
    expected[40:240, 90:190] = 1
    np.testing.assert_allclose(pictures._large(kept), expected, atol=1e-6)
    np.testing.assert_allclose(pictures._large(kept.T), expected.T, atol=1e-6)
    kept[9:12, 21:24] = 0  # at whose edges a resampling would go beyond ink and paper
    assert (pictures._large(kept).min(), pictures._large(kept).max()) == (0, 1)


@pytest.mark.parametrize(("side", "is_drawing"), [(3, True), (2, False)])
def test_the_smallest_drawing_is_three_hundredths_of_its_picture(side, is_drawing):
    pixels = np.full((100, 100), 255, np.uint8)
    pixels[50 : 50 + side, 50 : 50 + side] = 0
    if is_drawing:
        assert picture_on_canvas(file_of(pixels)).any()
    else:
        with pytest.raises(UnreadablePicture, match="Write one large and dark, and go nearer"):
            picture_on_canvas(file_of(pixels))


def blot(rows, level=0):
    pixels = np.full((100, 100), 255, np.uint8)
    pixels[10 : 10 + rows, 10:90] = level
    return pixels


@pytest.mark.parametrize(("rows", "is_drawing"), [(50, True), (51, False)])
def test_a_blot_covers_no_more_than_four_tenths(rows, is_drawing):
    if is_drawing:
        assert picture_on_canvas(file_of(blot(rows))).any()
    else:
        with pytest.raises(UnreadablePicture, match="Write one large and dark"):
            picture_on_canvas(file_of(blot(rows)))


def test_what_is_half_as_dark_as_the_ink_is_no_blot():
    pixels = blot(70, level=128)
    pixels[50, 50] = 1  # 254 levels from the paper, and the rest of the blot 127
    assert picture_on_canvas(file_of(pixels)).any()


@pytest.mark.parametrize(("level", "is_photo"), [(236, True), (237, False)])
def test_ink_of_a_tenth_at_the_edge_makes_a_photo(level, is_photo):
    pixels = scan().clip(65)  # the darkest ink is 190 levels from the paper
    pixels[0, 0] = level
    assert (picture_steps(file_of(pixels)).seen is not None) == is_photo


def test_a_drawing_may_be_as_faint_as_a_tenth_of_the_speck_beside_it():
    pixels = np.full((280, 280), 255, np.uint8)
    pixels[56:59, 56:59] = 65
    pixels[80:220, 110:170] = 236
    pixels[100:200, 130:150] = 255
    rows = np.flatnonzero(picture_on_canvas(file_of(pixels)).any(axis=1))
    assert (rows[0], rows[-1]) == (80, 219)


def test_around_a_speck_two_pixels_are_cleared():
    pixels = np.minimum(scan(), 255).copy()
    pixels[17:30, 243:256] = 245  # a halo too faint to be ink
    pixels[22:25, 248:251] = 0
    canvas = picture_on_canvas(file_of(pixels))
    halo = 10 / 255
    assert canvas[23, 240:259] == pytest.approx([0] * 3 + [halo] * 3 + [0] * 7 + [halo] * 3 + [0] * 3, abs=1e-4)


def framed(*things, **options):
    """Return a sheet that is a photo, with something at its edge."""
    return sheet(BESIDE["a desk"], *things, **options)


@pytest.mark.slow
def test_of_several_digits_in_a_photo_none_is_read():
    both = np.maximum(written(right=160), written(right=450))
    with pytest.raises(SeveralDigits, match="This picture shows 2 digits"):
        picture_on_canvas(file_of(framed((both, 45))))


def outline(side, *, width=4):
    """Return the outline of a square in the middle of the sheet."""
    share = np.zeros((600, 800))
    share[300 : 300 + side, 400 : 400 + side] = 1
    share[300 + width : 300 + side - width, 400 + width : 400 + side - width] = 0
    return share


@pytest.mark.parametrize(("side", "is_read"), [(62, True), (50, False)])
def test_a_digit_of_a_photo_is_a_fourteenth_of_its_longer_side(side, is_read):
    content = file_of(framed((outline(side), 45)))
    if is_read:
        assert picture_steps(content).kept.any()
    else:
        with pytest.raises(UnreadablePicture, match="No digit was found"):
            picture_on_canvas(content)


def small_photo(level, *, width, grain=0.0):
    """Return a grey photo that is not resized, of a square's outline on paper of level 200."""
    pixels = np.full((300, 400), 200.0)
    pixels[100:200, 150:250] = level
    pixels[100 + width : 200 - width, 150 + width : 250 - width] = 200
    pixels += np.random.default_rng(0).normal(0, grain, pixels.shape) if grain else 0
    pixels[:, :40] = 60
    return np.dstack([pixels.round().clip(0, 255).astype(np.uint8)] * 3)


@pytest.mark.parametrize(
    ("level", "width", "is_read"), [(140, 1, True), (170, 1, False), (184, 8, False), (170, 8, True)]
)
def test_a_thin_line_must_be_darker_than_a_tenth_and_a_wide_one_hardly(level, width, is_read):
    content = file_of(small_photo(level, width=width))
    if is_read:
        assert picture_steps(content).kept.any()
    else:
        with pytest.raises(UnreadablePicture, match="No digit was found"):
            picture_on_canvas(content)


@pytest.mark.parametrize(
    ("level", "grain", "decides"), [(150, 0, "a tenth"), (40, 3, "half the level between"), (110, 8, "the grain")]
)
def test_ink_begins_where_it_is_told_from_the_paper_and_is_full_where_most_of_it_is(level, grain, decides):
    steps = picture_steps(file_of(small_photo(level, width=8, grain=grain)))
    assert (steps.kept.min(), steps.kept.max()) == (0, 1)
    dark = (1 - steps.seen / steps.light).clip(0, 1)
    least = {
        "a tenth": 0.1,
        "half the level between": separating_level(dark) / 2,
        "the grain": np.median(dark) + 5 * median_abs_deviation(dark, axis=None, scale="normal"),
    }
    assert max(least, key=least.get) == decides
    digit = np.zeros(dark.shape, bool)
    digit[100:200, 150:250] = True
    digit[108:192, 158:242] = False
    full = np.quantile(dark[digit], 0.8)
    expected = ((dark - least[decides]) / (full - least[decides])).clip(0, 1)
    assert np.abs(steps.kept - expected)[digit].max() < 0.03
    assert steps.kept[150, 200] == 0


def test_what_was_seen_is_the_mean_of_the_colours():
    pixels = photo()[::2, ::2]
    steps = picture_steps(file_of(pixels))
    np.testing.assert_allclose(steps.seen, pixels.mean(axis=2) / 255, atol=1e-6)


@pytest.mark.slow
def test_chalk_is_read_beside_a_seam_and_the_board_is_the_light():
    seam = np.broadcast_to(abs(np.arange(600) - 560)[:, None] < 4, (600, 800)).astype(float)
    steps = picture_steps(file_of(sheet((written(), 200), (seam, 10), light=50)))
    assert digit_read(steps.ink) == 7
    assert np.abs(steps.light - 50 / 255).max() < 0.07
