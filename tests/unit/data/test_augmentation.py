import numpy as np
import pytest
import torch
from truth import moments

from cnnlab.data import augmentation
from cnnlab.data.augmentation import (
    add_bar,
    add_flag,
    add_hook,
    augment,
    distort,
    draw,
    half_width,
    recentre,
    shift,
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
