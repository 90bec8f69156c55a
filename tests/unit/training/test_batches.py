"""What a batch holds: each is put together by hand, from the shuffle and the random changes of its step."""

from dataclasses import replace

import pytest
import torch

from cnnlab.data.augmentation import augment
from cnnlab.training.batches import Batches, PenDrawings, random_changes, shuffled
from cnnlab.training.recipe import TrainingConfig

CONFIG = TrainingConfig(batch_size=128, seed=5, threads=1)
BATCHES = 8  # of 1,000 images


def changes_of(epoch, number, batches=BATCHES):
    return random_changes(CONFIG.seed, step=(epoch - 1) * batches + number)


def moved(images, pixels, generator):
    """Return images of which each is read, pixel by pixel, from its own first row and column."""
    rows, columns = torch.randint(0, 2 * pixels + 1, (2, len(images)), generator=generator).tolist()
    found = torch.zeros_like(images)
    for image, (row, column) in enumerate(zip(rows, columns, strict=True)):
        down, right = row - pixels, column - pixels
        kept = images[image, 0, max(0, down) : 28 + min(0, down), max(0, right) : 28 + min(0, right)]
        top, left = max(0, -down), max(0, -right)
        found[image, 0, top : top + kept.shape[0], left : left + kept.shape[1]] = kept
    return found


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_batches_are_the_shuffle_cut_into_pieces(epoch, mnist):
    batches = Batches(mnist, CONFIG, None, epoch)
    order = shuffled(1000, CONFIG.seed, epoch)
    assert len(batches) == BATCHES
    for number in range(BATCHES):
        places = order[128 * number : 128 * (number + 1)]
        images, labels = batches[number]
        assert torch.equal(batches.places(number), places)
        assert torch.equal(images, mnist.train_images[places])
        assert torch.equal(labels, mnist.train_labels[places])


def test_the_last_images_are_left_to_validation(mnist):
    batches = Batches(mnist, replace(CONFIG, validation=300), None, 1)
    places = torch.cat([batches.places(number) for number in range(len(batches))])
    assert places.tolist() == shuffled(700, CONFIG.seed, 1).tolist()


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(("epoch", "number"), [(1, 0), (1, 1), (3, 0), (3, 7)])
def test_each_step_shifts_its_images_in_a_way_of_its_own(as_bytes, epoch, number, mnist):
    data = replace(mnist, train_images=(mnist.train_images * 255).round().byte()) if as_bytes else mnist
    images, labels = Batches(data, replace(CONFIG, shift=2), None, epoch)[number]
    plain, expected_labels = Batches(mnist, CONFIG, None, epoch)[number]
    assert torch.equal(images, moved(plain, 2, changes_of(epoch, number)))
    assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize(("shift", "as_bytes"), [(0, False), (0, True), (3, False)])
def test_images_are_augmented_first_and_shifted_then(shift, as_bytes, mnist):
    data = replace(mnist, train_images=(mnist.train_images * 255).round().byte()) if as_bytes else mnist
    images, labels = Batches(data, replace(CONFIG, batch_size=20, augment=True, shift=shift), None, 2)[4]
    plain, expected_labels = Batches(mnist, replace(CONFIG, batch_size=20), None, 2)[4]
    changes = changes_of(2, 4, batches=50)
    expected = augment(plain, expected_labels, changes)
    assert torch.equal(images, moved(expected, shift, changes) if shift else expected)
    assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("is_augmented", [False, True])
@pytest.mark.parametrize("shift", [0, 1])
def test_pen_digits_stand_behind_the_images_of_their_batch_and_only_a_shift_moves_them(is_augmented, shift, mnist, pen):
    few = mnist.first(train=100, test=1)
    config = replace(CONFIG, data="mnist+pen", validation=30, augment=is_augmented, shift=shift)
    batches = Batches(few, config, pen.outlines, 2)
    drawings, drawn_labels = PenDrawings(pen.outlines, config.seed, 2).batch(torch.arange(4 * 70), threads=1)
    order = shuffled(70 + 4 * 70, config.seed, 2)
    assert len(batches) == 3  # of 350 images
    for number in range(3):
        places = order[128 * number : 128 * (number + 1)].tolist()
        of_mnist = [place for place in places if place < 70]
        of_pen = [place - 70 for place in places if place >= 70]
        assert batches.places(number).tolist() == of_mnist + [70 + place for place in of_pen]
        images, labels = batches[number]
        expected_labels = torch.cat([mnist.train_labels[of_mnist], drawn_labels[of_pen]])
        changes = changes_of(2, number, batches=3)
        plain = mnist.train_images[of_mnist]
        if is_augmented:
            plain = augment(plain, mnist.train_labels[of_mnist], changes)
        expected = torch.cat([plain, drawings[of_pen]])
        assert torch.equal(labels, expected_labels)
        assert torch.equal(images, moved(expected, shift, changes) if shift else expected)


def test_the_order_is_where_the_images_are_but_with_pen_digits_where_they_are_drawn(mnist, pen):
    elsewhere = mnist.to(torch.device("meta"))  # it has shapes and no numbers, and is not the CPU
    alone, with_pen = (Batches(elsewhere, CONFIG, outlines, 1) for outlines in (None, pen.outlines))
    assert alone._order[0].device.type == "meta"
    assert with_pen._order[0].device.type == "cpu"
    assert alone[0][1].device.type == "meta"


def test_random_changes_depend_on_the_seed_and_the_step_alone():
    drawn = [torch.rand(3, generator=random_changes(seed, step)).tolist() for seed in (0, 1) for step in (0, 1)]
    assert torch.rand(3, generator=random_changes(0, 1)).tolist() == drawn[1]
    assert len({tuple(numbers) for numbers in drawn}) == 4


def test_pen_digits_are_drawn_afresh_for_each_epoch_from_the_seed(pen):
    numbers = torch.arange(4 * 70)
    epochs = [PenDrawings(pen.outlines, seed, epoch).batch(numbers, threads=2) for seed in (0, 1) for epoch in (1, 2)]
    again, labels = PenDrawings(pen.outlines, 0, 2).batch(numbers, threads=1)
    assert torch.equal(again, epochs[1][0])
    assert len({images.sum().item() for images, _ in epochs}) == 4
    assert labels.tolist() == pen.outlines.labels.tolist() * 4


def test_an_epochs_order_is_a_permutation_of_its_own():
    orders = [shuffled(1000, seed, epoch).tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert all(sorted(order) == list(range(1000)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
