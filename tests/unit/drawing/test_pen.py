import numpy as np
import pytest
import torch

from cnnlab.data.pen_digits import PenDigits, load_strokes
from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.pen import (
    centred,
    load_pen_data,
    outlines_of,
    pencil_line,
    plain_drawings,
    random_drawings,
    with_own,
)
from cnnlab.drawing.preparation import prepare
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.fused.pen import drawn


def test_a_digit_is_centred_on_the_box_around_its_points():
    one, other = centred([np.array([[0.0, 0.0], [100.0, 255.0]]), np.array([[40.0, 20.0]])])
    assert one[0].tolist() == pytest.approx([-50 / 255, -0.5])
    assert one[1].tolist() == pytest.approx([50 / 255, 0.5])
    assert len(other) == 1


def test_the_pencils_line_cuts_a_corner_and_keeps_the_ends():
    line = pencil_line(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    assert line[0].tolist() == [0, 0]
    assert line[-1].tolist() == [1, 1]
    assert [0.875, 0.125] in line.tolist()  # half way on the curve between the middles, bent towards the corner
    assert [1, 0] not in line.tolist()


@pytest.mark.parametrize("points", [1, 2])
def test_a_touch_and_a_straight_stroke_have_lines_too(points):
    stroke = np.array([[0.0, 0.0], [0.5, 1.0]])[:points]
    assert pencil_line(stroke).tolist() == [[0, 0], *([[0.25, 0.5], [0.5, 1]] if points == 2 else [[0, 0]])]


def test_outlines_lie_one_after_the_other():
    stroke = np.array([[0.0, 0.0], [255.0, 255.0]])
    outlines = outlines_of(PenDigits(np.array([3, 4]), ("a", "a"), ((stroke,), (stroke, stroke))))
    assert outlines.digits.tolist() == [0, 1, 3]
    assert outlines.strokes.tolist() == [0, 3, 6, 9]
    assert outlines.labels.tolist() == [3, 4]
    assert outlines.points.shape == (9, 2)


def test_a_random_drawing_is_turned_sheared_and_stretched_no_further_than_promised():
    drawings = random_drawings(5_000, torch.Generator().manual_seed(0))
    matrices = drawings[:, [0, 1, 3, 4]].view(-1, 2, 2).double()
    turned = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()  # the way of what was level
    wide = matrices[:, :, 0].norm(dim=1)
    high = torch.linalg.det(matrices) / wide
    shear = (matrices[:, :, 0] * matrices[:, :, 1]).sum(1) / wide / high
    for numbers, low, high_bound in (
        (turned, -12, 12),
        (shear, -0.25, 0.25),
        (wide / high, 1 / 1.25, 1.25),
        (2 * drawings[:, 6], 8, 30),
    ):
        assert low - 1e-4 <= numbers.min() < low + 0.03 * (high_bound - low)
        assert high_bound + 1e-4 >= numbers.max() > high_bound - 0.03 * (high_bound - low)


def test_a_plain_drawing_leaves_a_digit_as_it_is():
    assert plain_drawings(2, brush=18).tolist() == [[180, 0, 140, 0, 180, 140, 9]] * 2


def own(digit, *points):
    return MyDigit(digit, (Stroke(20, tuple(points)),))


def test_every_fifth_digit_is_one_of_ones_own_in_turn_and_the_others_stay():
    digits = load_strokes("training").first(13)
    own_digits = [own(1, (100.0, 50.0), (100.0, 230.0)), own(7, (60.0, 60.0), (150.0, 60.0), (90.0, 120.0))]
    mixed = with_own(digits, own_digits)
    assert mixed.labels[::5].tolist() == [1, 7, 1]
    others = [place for place in range(13) if place % 5]
    assert mixed.labels[others].tolist() == digits.labels[others].tolist()
    assert all(mixed.strokes[place] is digits.strokes[place] for place in others)
    assert np.ptp(mixed.strokes[0][0], axis=0).tolist() == pytest.approx([0, 255])  # as large as the others
    assert np.ptp(mixed.strokes[5][0], axis=0).tolist() == pytest.approx([255, 170])


def test_without_ones_own_the_digits_stay_as_they_are():
    digits = load_strokes("training").first(7)
    assert with_own(digits, []).labels.tolist() == digits.labels.tolist()


def test_ones_own_digit_is_drawn_as_the_canvas_prepares_it():
    seven = own(7, (70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 250.0))
    mixed = with_own(load_strokes("training").first(1), [seven])
    (image,) = drawn(outlines_of(mixed), torch.tensor([0]), plain_drawings(1, brush=20))[:, 0].numpy()
    prepared = prepare(ink_of(seven.strokes)).centred
    assert np.abs(image - prepared).sum() < 0.05 * prepared.sum()


def parts_of(drawings):
    """Return what seven numbers decide: the angle, shear, stretch and extent, the middle (x, y), and the brush."""
    matrices = drawings[:, [0, 1, 3, 4]].view(-1, 2, 2).double()
    wide = matrices[:, :, 0].norm(dim=1)
    high = torch.linalg.det(matrices) / wide
    shear = (matrices[:, :, 0] * matrices[:, :, 1]).sum(1) / wide / high
    angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    return torch.stack(
        [angle, shear, (wide / high).log(), (wide * high).sqrt(), drawings[:, 2], drawings[:, 5], drawings[:, 6]]
    )


def test_a_random_drawing_is_as_large_as_promised_and_lies_within_a_pixel_of_the_middle():
    *_, extent, right, down, _ = parts_of(random_drawings(20_000, torch.Generator().manual_seed(0)))
    for numbers, low, high in ((extent, 160, 200), (right, 140, 141), (down, 140, 141)):
        assert low - 1e-3 <= numbers.min() < low + 0.002 * (high - low)
        assert high + 1e-3 >= numbers.max() > high - 0.002 * (high - low)


def test_what_is_random_in_a_drawing_is_independent():
    related = torch.corrcoef(parts_of(random_drawings(20_000, torch.Generator().manual_seed(0))).double())
    assert (related - torch.eye(7)).abs().max() < 0.03


def test_a_drawing_takes_seven_numbers_so_that_a_seed_draws_the_same_again():
    generator, plain = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    random_drawings(100, generator)
    torch.rand(700, generator=plain)
    assert torch.rand(1, generator=generator) == torch.rand(1, generator=plain)


@pytest.mark.parametrize(("height", "points"), [(3.9 / 255, 4), (4 / 255, 4), (4.1 / 255, 5)])
def test_a_curve_that_leaves_its_chord_by_more_than_a_unit_is_drawn_in_two_pieces(height, points):
    # The curve's middle lies at three quarters of the corner's height, and its chord at a half.
    stroke = np.array([[-1.0, 0.0], [0.0, height], [1.0, 0.0]])
    line = pencil_line(stroke)
    assert len(line) == points
    if points == 5:
        assert line[2] == pytest.approx([0, 0.75 * height])
    assert len(pencil_line(stroke + np.array([3.0, 0.0]))) == points


def test_ones_own_digit_is_made_large_however_small_it_is_and_a_touch_stays_one():
    mixed = with_own(load_strokes("training").first(10), [own(1, (100.0, 50.0), (100.0, 51.5)), own(0, (140.0, 140.0))])
    assert np.ptp(mixed.strokes[0][0], axis=0).tolist() == pytest.approx([0, 255])
    assert mixed.strokes[5][0].shape == (1, 2)
    assert np.isfinite(mixed.strokes[5][0]).all()


def test_strokes_are_not_loaded_where_nobody_trains_on_them():
    assert load_pen_data(with_training=False).outlines is None


@pytest.mark.slow
def test_all_strokes_are_loaded_where_somebody_trains_on_them():
    assert len(load_pen_data(with_training=True).outlines) == len(load_strokes("training"))
