from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage
from truth import moments

from cnnlab.data import augmentation
from cnnlab.data.augmentation import (
    add_bar,
    add_flag,
    add_hook,
    augment,
    distort,
    draw,
    ends,
    half_width,
    recentre,
    restyle,
    shift,
    shifted,
    thicken,
)


@pytest.fixture
def batch(mnist):
    return mnist.train_images[:200], mnist.train_labels[:200]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_changed_batch_is_one_of_digits_still(batch):
    images, labels = batch
    before = images.clone()
    changed = augment(images, labels, generator())
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(images, before)
    assert not torch.equal(changed, images)
    assert (changed.sum(dim=(1, 2, 3)) > 10).all()


def test_the_same_generator_gives_the_same_changes(batch):
    once, again, other = (augment(*batch, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_only_ones_sevens_and_nines_are_restyled(batch):
    images, labels = batch
    restyled = augmentation.restyle(images, labels, generator())
    changed = (restyled != images).flatten(1).any(dim=1)
    assert set(labels[changed].tolist()) == {1, 7, 9}
    share = changed[(labels == 1) | (labels == 7) | (labels == 9)].float().mean().item()
    assert share == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(("digit", "edit"), [(1, add_flag), (7, add_bar), (9, add_hook)])
def test_a_new_style_adds_ink_and_takes_none(digit, edit, batch):
    images, labels = batch
    of_digit = images[labels == digit]
    edited = edit(of_digit, generator())
    assert (edited >= of_digit).all()
    assert (edited.sum(dim=(1, 2, 3)) >= of_digit.sum(dim=(1, 2, 3))).all()


def test_an_image_without_ink_stays_without_numbers_that_are_none():
    empty = torch.zeros(3, 1, 28, 28)
    for change in (add_flag, add_bar, add_hook, distort, thicken):
        assert change(empty, generator()).isfinite().all()
    assert recentre(empty).isfinite().all()


def test_a_line_is_as_wide_as_it_shall_be():
    line = draw(
        torch.zeros(1, 1, 28, 28), [torch.tensor([[14.0, 4.0]]), torch.tensor([[14.0, 23.0]])], torch.tensor([1.5])
    )
    assert line[0, 0, :, 14].sum() == pytest.approx(3.0, abs=0.01)
    assert half_width(line).item() == pytest.approx(1.5, rel=0.25)


def test_recentring_takes_a_digit_from_anywhere_to_one_place(batch):
    images, _ = batch
    images = images[images[:, :, -1].sum(dim=(1, 2)) + images[:, :, :, 0].sum(dim=(1, 2)) == 0]
    moved = torch.roll(images, (1, -1), dims=(2, 3))
    assert torch.equal(recentre(moved), recentre(images))
    ink = recentre(images).sum(dim=(1, 3))
    centres = (ink * torch.arange(28)).sum(dim=1) / ink.sum(dim=1)
    assert centres.min() >= 13.5 - 1e-4
    assert centres.max() <= 14.5 + 1e-4


def test_distorting_and_thickening_keep_images_apart(batch):
    images, _ = batch
    for change in (distort, thicken):
        alone = change(images[:1], generator())
        assert alone.shape == (1, 1, 28, 28)


def test_about_half_of_the_images_are_thickened(batch):
    images, _ = batch
    changed = (thicken(images, generator()) != images).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.5, abs=0.15)


def test_images_are_shifted_by_whole_pixels_in_all_directions():
    images = torch.zeros(100, 1, 28, 28)
    images[:, 0, 10, 20] = 1
    shifted = shift(images, 1, generator())
    places = {tuple(place) for place in torch.nonzero(shifted)[:, 2:].tolist()}
    assert places == {(row, column) for row in (9, 10, 11) for column in (19, 20, 21)}
    assert shifted.sum() == 100


# A run that goes on under a newer version sees the images that it would have seen: each stage is what it was. Of five
# images, these are the last two: both of the ones have a flag and a base.
STAGES = {
    "flag": [[74.148, 16.642, 13.256, 498.597], [92.381, 16.173, 13.665, 500.444]],
    "bar": [[60.141, 15.081, 14.661, 477.946], [128.263, 14.997, 15.312, 509.461]],
    "hook": [[94.026, 15.851, 13.88, 502.302], [83.149, 15.597, 13.538, 478.77]],
    "distort": [[77.396, 14.965, 14.544, 483.707], [101.099, 14.179, 14.566, 453.481]],
    "thicken": [[96.544, 14.907, 14.543, 478.726], [91.035, 14.58, 14.212, 451.39]],
    "recentre": [[67.196, 14.988, 14.493, 477.88], [89.251, 14.341, 14.152, 440.446]],
}


def test_each_stage_changes_an_image_as_it_always_has(batch):
    images, labels = batch
    ones, sevens, nines = (images[labels == digit][:5] for digit in (1, 7, 9))
    changed = {
        "flag": add_flag(ones, generator()),
        "bar": add_bar(sevens, generator()),
        "hook": add_hook(nines, generator()),
        "distort": distort(images[:5], generator()),
        "thicken": thicken(images[:5], generator()),
        "recentre": recentre(torch.roll(images[:5], (2, -1), dims=(2, 3))),
    }
    for stage, expected in STAGES.items():
        np.testing.assert_allclose(moments(changed[stage].numpy())[3:], expected, rtol=1e-4, err_msg=stage)


def test_all_stages_together_change_images_as_they_always_have(batch):
    images, labels = batch
    first, *_, last = moments(augment(images[:8], labels[:8], generator()).numpy())
    np.testing.assert_allclose(
        [first, last], [[121.014, 14.49, 14.563, 489.751], [199.92, 14.496, 14.762, 490.065]], rtol=1e-4
    )


# What follows computes the stages in NumPy, by definition, with the random numbers that the generator gives in turn.


def numbers(seed, count):
    """Return a function that gives a generator's next numbers, one for each of some images."""
    own = generator(seed)
    return lambda low, high: low + (high - low) * torch.rand(count, generator=own).double().numpy()


def stroked(*boxes):
    """Return images of full ink in a box each: its first and last row, its first and last column."""
    images = torch.zeros(len(boxes), 1, 28, 28)
    for image, (top, bottom, left, right) in zip(images, boxes, strict=True):
        image[0, top : bottom + 1, left : right + 1] = 1
    return images


def with_line(image, points, half_width):
    """Return an image with a line of dense dots: ink within half its width, none a pixel farther."""
    dots = np.concatenate([np.linspace(a, b, 400) for a, b in pairwise(points)])
    rows, columns = np.mgrid[:28, :28]
    distance = np.hypot(rows[..., None] - dots[:, 0], columns[..., None] - dots[:, 1]).min(axis=2)
    return np.maximum(image, np.clip(half_width + 0.5 - distance, 0, 1))


def way(degrees, length=1.0):
    return np.array([np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))]) * length


def assert_same(images, expected, atol=1e-3):
    np.testing.assert_allclose(images[:, 0].numpy(), np.stack(expected), atol=atol)


# Strokes two pixels wide and twenty long, here and there: ends and half widths that one can tell by hand.
PLACES = [(4, 23, 13, 14), (2, 21, 20, 21), (6, 25, 9, 10), (4, 23, 16, 17)]
HALF_WIDTH = 40 / np.hypot(2 * 2, 2 * 20)


def test_a_line_of_several_points_has_round_ends_and_keeps_what_was_there():
    first, second = np.array([[5, 4], [9.5, 20], [22, 11]]), np.array([[20, 3], [20.3, 3.4], [3, 14.5]])
    images = stroked((10, 12, 3, 8), (0, 1, 0, 27))
    line = [torch.from_numpy(np.stack(each)).float() for each in zip(first, second, strict=True)]
    drawn = draw(images, line, torch.tensor([0.8, 2.25]))
    before = images[:, 0].numpy()
    assert_same(drawn, [with_line(before[0], first, 0.8), with_line(before[1], second, 2.25)], atol=2e-3)


@pytest.mark.parametrize("length", [0, 0.4])
def test_a_line_without_length_is_a_dot(length):
    start, end = np.array([9.0, 12.0]), np.array([9.0, 12.0 + length])
    drawn = draw(
        torch.zeros(1, 1, 28, 28), [torch.tensor([[*start]]).float(), torch.tensor([[*end]]).float()], torch.ones(1)
    )
    assert_same(drawn, [with_line(np.zeros((28, 28)), [start, end], 1)])


def test_half_a_strokes_width_is_its_ink_by_its_two_edges():
    boxes = [(4, 23, 13, 14), (10, 12, 3, 22), (5, 5, 4, 23), (5, 14, 5, 14)]
    expected = [HALF_WIDTH, 60 / np.hypot(2 * 20, 2 * 3), 0.6, 2.5]  # 0.6 and 2.5 are the limits
    np.testing.assert_allclose(half_width(stroked(*boxes)), expected, rtol=1e-5)


def test_what_has_hardly_any_edges_is_counted_as_one_pixel_of_edge():
    assert half_width(torch.full((1, 1, 28, 28), 1.5 / 784)).item() == pytest.approx(1.5, rel=1e-5)


def test_the_ends_of_a_stroke_are_half_its_width_within_it():
    top, foot = ends(stroked(*PLACES), torch.tensor([1.0, 1.5, 2.0, 0.5]))
    assert top.tolist() == [[5, 13.5], [3.5, 20.5], [8, 9.5], [4.5, 16.5]]
    assert foot.tolist() == [[22, 13.5], [19.5, 20.5], [23, 9.5], [22.5, 16.5]]


def test_an_end_is_in_the_mean_column_of_the_ink_one_row_within():
    images = torch.zeros(1, 1, 28, 28)
    images[0, 0, 5, 20] = images[0, 0, 22, 2] = 1
    images[0, 0, 6, [7, 11, 24]] = torch.tensor([1, 0.5, 0.3])  # ink is what is over 0.3
    images[0, 0, 21, 8] = 0.4
    images[0, 0, [4, 23], 14] = 0.3
    top, foot = ends(images, torch.ones(1))
    np.testing.assert_allclose(top, [[6, (7 + 11 / 2) / 1.5]], rtol=1e-6)
    np.testing.assert_allclose(foot, [[21, 8]], rtol=1e-6)


@pytest.mark.parametrize("row", [0, 27])
def test_ink_at_the_border_alone_has_its_ends_there(row):
    top, foot = ends(stroked((row, row, 6, 9)), torch.ones(1))
    # The row within the image is empty, which counts as column 0; beyond the border there is none, and the last counts.
    assert top.tolist() == [[row + 1, 7.5 if row else 0]]
    assert foot.tolist() == [[row - 1, 0 if row else 7.5]]


def test_a_flag_leads_left_and_down_from_the_top_and_some_bases_lie_across_the_foot():
    images = stroked(*PLACES * 5)
    uniform = numbers(3, 20)
    length, angle, chance, tilt, left, right = (
        uniform(*limits) for limits in ((3, 12), (100, 170), (0, 1), (-12, 12), (2, 7), (2, 7))
    )
    expected = []
    for n, (first, last, column, _) in enumerate(PLACES * 5):
        top, foot = np.array([first + HALF_WIDTH, column + 0.5]), np.array([last - HALF_WIDTH, column + 0.5])
        image = with_line(images[n, 0].numpy(), [top, top + way(angle[n], length[n])], HALF_WIDTH)
        base = [foot - way(tilt[n], left[n]), foot + way(tilt[n], right[n])] if chance[n] < 0.3 else [foot, foot]
        expected.append(with_line(image, base, HALF_WIDTH))
    assert_same(add_flag(images, generator(3)), expected)
    assert 0 < (chance < 0.3).sum() < 10


def test_a_bar_crosses_the_stem_in_its_middle_or_below():
    images = stroked(*PLACES * 5)
    uniform = numbers(4, 20)
    share, tilt, left, right = (uniform(*limits) for limits in ((0.4, 0.75), (-20, 20), (2, 6), (2, 7)))
    expected = []
    for n, (first, last, column, _) in enumerate(PLACES * 5):
        top, foot = first + HALF_WIDTH, last - HALF_WIDTH
        middle = np.array([top + share[n] * (foot - top), column + 0.5])
        bar = [middle - way(tilt[n], left[n]), middle + way(tilt[n], right[n])]
        expected.append(with_line(images[n, 0].numpy(), bar, HALF_WIDTH))
    assert_same(add_bar(images, generator(4)), expected)


def test_a_hook_leads_left_from_the_foot_and_mostly_up_at_its_end():
    images = stroked(*PLACES * 5)
    uniform = numbers(5, 20)
    length, down, share, up = (uniform(*limits) for limits in ((3, 11), (0, 1.5), (0.4, 0.7), (-0.5, 3)))
    expected = []
    for n, (_, last, column, _) in enumerate(PLACES * 5):
        foot = np.array([last - HALF_WIDTH, column + 0.5])
        bend, end = np.array([[down[n], -share[n] * length[n]], [-up[n], -length[n]]]) + foot
        expected.append(with_line(images[n, 0].numpy(), [foot, bend, end], HALF_WIDTH))
    assert_same(add_hook(images, generator(5)), expected)


def test_half_of_the_ones_sevens_and_nines_are_restyled_each_in_its_way():
    labels = torch.arange(10).repeat(4)
    images = stroked(*PLACES * 10)
    own = generator(6)
    chosen = torch.rand(40, generator=own) < 0.5
    expected = images.clone()
    for digit, edit in ((1, add_flag), (7, add_bar), (9, add_hook)):
        rows = [n for n in range(40) if chosen[n] and labels[n] == digit]
        expected[rows] = edit(images[rows], own)
    before = images.clone()
    assert torch.equal(restyle(images, labels, generator(6)), expected)
    assert torch.equal(images, before)


def test_distorting_turns_stretches_slants_and_bends():
    images = torch.rand(6, 1, 28, 28, generator=generator(1))
    uniform = numbers(2, 6)
    angle, slant = np.deg2rad(uniform(-8, 8)), uniform(-0.15, 0.15)
    wide, high = np.exp(uniform(-0.12, 0.12)), np.exp(uniform(-0.12, 0.12))
    x_of_x, y_of_x, x_of_y, y_of_y = (uniform(-0.2, 0.2) for _ in range(4))  # how the one's square bends the other
    y, x = (np.mgrid[:28, :28] - 13.5) / 14
    expected = []
    for n, image in enumerate(images[:, 0].numpy()):
        turned = [[np.cos(angle[n]), -np.sin(angle[n])], [np.sin(angle[n]), np.cos(angle[n])]]
        matrix = turned @ np.array([[1, slant[n]], [0, 1]]) @ np.diag([wide[n], high[n]])
        from_x, from_y = np.einsum("ij,jkl->ikl", matrix, np.stack([x, y]))
        bent_x = from_x + x_of_x[n] * from_x**2 + x_of_y[n] * from_y**2
        bent_y = from_y + y_of_x[n] * from_x**2 + y_of_y[n] * from_y**2
        places = [bent_y * 14 + 13.5, bent_x * 14 + 13.5]
        expected.append(ndimage.map_coordinates(image.astype(float), places, order=1, mode="grid-constant"))
    assert_same(distort(images, generator(2)), expected, atol=1e-4)


def test_thickening_cuts_a_blurred_stroke_at_some_level_and_makes_its_darkest_pixel_full_ink(batch):
    # Among them are thin strokes and faint ones, of which little or nothing is left.
    images = torch.cat([batch[0][:8] * strength for strength in (1, 0.6, 0.45, 0.3)])
    uniform = numbers(7, 32)
    level, chance = uniform(0.2, 0.55), uniform(0, 1)
    expected, darkest = [], []
    for n, image in enumerate(images[:, 0].double().numpy()):
        blurred = ndimage.gaussian_filter(image, 0.8, radius=2, mode="constant")
        cut = np.clip((blurred - level[n]) / 0.3 + 0.5, 0, 1)
        darkest.append(cut.max())
        expected.append(cut / max(cut.max(), 0.5) if chance[n] < 0.5 else image)
    assert_same(thicken(images, generator(7)), expected, atol=1e-4)
    assert any(0.5 < ink < 0.95 for ink in darkest)
    assert any(0.1 < ink < 0.45 for ink in darkest)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((14, 14), (14, 14)),
        ((11, 16), (14, 14)),
        ((10, 18), (14, 14)),
        ((9, 19), (13, 15)),  # no farther than four pixels
        ((2, 25), (6, 21)),
    ],
)
@pytest.mark.parametrize("ink", [1, 0.5])
def test_a_dot_is_moved_to_the_centre_by_four_pixels_at_most(ink, before, after):
    images = torch.zeros(1, 1, 28, 28)
    images[0, 0][before] = ink
    expected = torch.zeros(1, 1, 28, 28)
    expected[0, 0][after] = ink
    assert torch.equal(recentre(images), expected)


def test_a_centre_between_two_pixels_goes_to_the_one_below_and_to_the_right():
    images = stroked((13, 14, 13, 14), (14, 15, 14, 15), (12, 13, 16, 17))
    assert torch.equal(recentre(images), stroked(*[(14, 15, 14, 15)] * 3))


def test_what_is_moved_over_the_border_is_lost():
    assert torch.equal(recentre(stroked((0, 5, 0, 27))), stroked((4, 9, 1, 27)))
    images = stroked((0, 27, 20, 27))
    images[0, 0, :, 0] = 1
    moved = recentre(images)[0, 0]
    assert moved[14].tolist() == [0.0] * 16 + [1.0] * 8 + [0.0] * 4


def test_an_empty_image_stays_empty_when_it_is_recentred_or_thickened():
    empty = torch.zeros(4, 1, 28, 28)
    assert not recentre(empty).any()
    assert not thicken(empty, generator()).any()


def test_a_shift_reads_an_image_with_an_empty_rim_from_a_row_and_a_column_on():
    images = torch.rand(3, 1, 28, 28, generator=generator(1))
    moved = shifted(images, torch.tensor([[0, 2, 4], [3, 2, 0]]), 2)
    rimmed = np.pad(images[:, 0].numpy(), ((0, 0), (2, 2), (2, 2)))
    assert_same(moved, [rimmed[0, :28, 3:31], rimmed[1, 2:30, 2:30], rimmed[2, 4:, :28]], atol=0)
