import gzip
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from truth import ASSETS, REFERENCE, forward, images_and_labels

from cnnlab.data.pen_digits import load_drawn
from cnnlab.inference import unlike
from cnnlab.inference.nearest import Directions
from cnnlab.inference.unlike import answers_at_once, are_digits, distances_of
from cnnlab.runs.shelf import find_run


@pytest.fixture
def run():
    return find_run("reference-drawing")


@pytest.fixture
def few_digits(monkeypatch):
    """Let networks know 500 digits, and choose the threshold by 40 others; return these and ten to ask for."""
    images = images_and_labels()[0][:550]
    parts = {"familiar": images[:500], "choosing": images[500:540], "asked": images[540:]}
    inputs = {part: torch.from_numpy(each.astype(np.float32))[:, None] for part, each in parts.items()}
    monkeypatch.setattr(unlike, "_digits", lambda: inputs["familiar"])
    monkeypatch.setattr(unlike, "load_drawn", lambda part: (inputs[part], None))
    monkeypatch.setattr(unlike, "_kept", OrderedDict())
    return parts


@pytest.mark.slow
def test_nearly_all_digits_of_writers_that_no_threshold_has_seen_are_digits(run):
    images, _ = load_drawn("testing")
    assert are_digits(run, images[:1_000, 0].numpy()).mean() > 0.98


@pytest.mark.slow
def test_noise_a_frame_and_stripes_are_no_digits(run):
    noise = np.random.default_rng(0).random((28, 28), np.float32)
    frame = np.zeros((28, 28), np.float32)
    frame[4:24, [4, 23]] = frame[[4, 23], 4:24] = 1
    stripes = np.zeros((28, 28), np.float32)
    stripes[4:24:4, 4:24] = 1
    assert not are_digits(run, np.stack([noise, frame, stripes])).any()


@pytest.mark.slow
def test_the_threshold_is_what_one_in_a_hundred_choosing_digits_exceeds(run):
    images, _ = load_drawn("choosing")
    distances, threshold = distances_of(run, images[:, 0].numpy())
    assert (distances > threshold).mean() == pytest.approx(0.01, abs=0.0005)
    assert 0 < threshold < 2


@pytest.mark.slow
def test_networks_are_kept_up_to_a_size_those_asked_last(few_digits, monkeypatch):
    # Of 400 numbers each digit's direction, in two bytes; 96 axes of them; 96 numbers along these, and one across.
    size = 500 * 400 * 2 + 400 * 96 * 4 + 500 * 96 * 4 + 500 * 4
    monkeypatch.setattr(unlike, "_MOST_KEPT", 2 * size)
    first, second, third = (find_run(f"reference-{name}") for name in ("drawing", "module", "sequential"))
    image = np.zeros((1, 28, 28), np.float32)

    def kept_after(run):
        distances_of(run, image)
        return [answers_at_once(each) for each in (first, second, third)]

    assert kept_after(first) == [True, False, False]
    assert kept_after(second) == [True, True, False]
    assert kept_after(first) == [True, True, False]
    assert kept_after(third) == [True, False, True]
    monkeypatch.setattr(unlike, "_MOST_KEPT", 2 * size - 1)
    assert kept_after(first) == [True, False, False]
    monkeypatch.setattr(unlike, "_MOST_KEPT", 0)
    assert kept_after(second) == [False, True, False]  # the last is kept whatever its size


def test_what_was_made_of_the_digits_is_not_made_again(few_digits, monkeypatch):
    run, image = find_run("reference-module"), np.zeros((1, 28, 28), np.float32)
    before = distances_of(run, image)
    monkeypatch.setattr(unlike, "_digits", None)
    assert distances_of(run, image) == before


@pytest.mark.slow
def test_distances_and_threshold_are_those_of_the_definition(few_digits):
    """The network's numbers before its first linear layer, in NumPy; all distances, and of each the five least."""

    def directions(images):
        maps = forward(REFERENCE / "reference-module", images)["second"][:, :, :10, :10]
        given = maps.reshape(len(images), 16, 5, 2, 5, 2).max(axis=(3, 5)).reshape(len(images), -1)
        return given / np.linalg.norm(given, axis=1, keepdims=True)

    def distances(images):
        apart = np.linalg.norm(directions(images)[:, None] - directions(few_digits["familiar"]), axis=2)
        return np.sort(apart, axis=1)[:, :5].mean(axis=1)

    found, threshold = distances_of(find_run("reference-module"), few_digits["asked"].astype(np.float32))
    np.testing.assert_allclose(found, distances(few_digits["asked"]), atol=1e-3)
    assert threshold == pytest.approx(np.quantile(distances(few_digits["choosing"]), 0.99), abs=1e-3)


@pytest.mark.slow
def test_an_image_is_compared_with_the_first_of_mnist_and_with_drawings_of_training_writers(monkeypatch):
    monkeypatch.setattr(unlike, "_MNIST_IMAGES", 3)
    monkeypatch.setattr(unlike, "_PEN_DRAWINGS", 4)
    digits = unlike._digits.__wrapped__()
    assert digits.shape == (7, 1, 28, 28)
    content = gzip.decompress((ASSETS / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())[16:][: 3 * 784]
    np.testing.assert_allclose(digits[:3].flatten(), np.frombuffer(content, np.uint8) / 255, atol=1e-6)
    assert digits[3:].amax(dim=(1, 2, 3)).min() > 0.5
    assert len(digits[3:].unique(dim=0)) == 4
    assert torch.equal(unlike._digits.__wrapped__(), digits)  # of the same run, always the same


def test_a_layer_that_is_given_as_many_numbers_as_are_compared_is_compared_by_all():
    for count in (1_023, 1_024):
        numbers = torch.rand(2, count)
        assert torch.equal(unlike._some_of(numbers), numbers)
    assert unlike._some_of(torch.rand(2, 1_025)).shape == (2, 1_024)


def test_what_is_not_finite_is_at_right_angles_to_all_digits():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 10))
    images = torch.tensor([[torch.inf, 1, 2, 3], [0, 0, 0, 0], [3, 0, 4, 0]]).reshape(3, 1, 2, 2)
    assert unlike._directions(module, images).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        pytest.approx([0.6, 0, 0.8, 0]),
    ]


def test_of_a_layer_that_is_given_very_many_numbers_some_from_all_over_are_compared():
    module = nn.Sequential(nn.Flatten(), nn.Linear(5_000, 10))
    numbers = torch.arange(1.0, 5_001).repeat(2, 1).reshape(2, 1, 50, 100)
    directions = unlike._directions(module, numbers)
    assert directions.shape == (2, 1_024)
    assert (directions[0, -1] / directions[0, 0]).item() == pytest.approx(5_000, rel=1e-4)
    assert (directions[0].diff() > 0).all()


def test_a_network_without_a_linear_layer_is_compared_by_its_logits():
    module = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
    directions = unlike._directions(module, torch.rand(3, 1, 28, 28))
    assert directions.shape == (3, 10)
    assert directions.norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_a_distance_is_the_mean_to_the_five_nearest():
    first, second, third, _ = torch.eye(4)
    half = torch.full((4,), 0.5)
    kept = Directions(torch.stack([-first, third, half, -half, first, second, half * torch.tensor([1, -1, 1, 1])]))
    nearest = [0, 1, 1, 2**0.5, 2**0.5]  # itself, those of half its direction, those at right angles
    assert unlike._distances(first[None], kept).tolist() == pytest.approx([sum(nearest) / 5])


def test_a_cosine_that_rounding_takes_above_one_is_no_distance():
    class Rounded:
        def nearest_cosines(self, directions, count):
            return torch.full((len(directions), count), 1 + 1e-6)

    assert unlike._distances(torch.eye(3), Rounded()).tolist() == [0, 0, 0]


def test_images_are_compared_by_what_the_first_linear_layer_is_given():
    module = nn.Sequential(nn.Conv2d(1, 2, 28), nn.Flatten(), nn.Linear(2, 7), nn.Linear(7, 10))
    images = torch.rand(3, 1, 28, 28)
    given = module[1](module[0](images))
    torch.testing.assert_close(unlike._directions(module, images), given / given.norm(dim=1, keepdim=True))
    assert not module[2]._forward_pre_hooks  # the network is as it was


def test_an_image_at_the_threshold_is_still_a_digit(run, monkeypatch):
    monkeypatch.setattr(unlike, "distances_of", lambda *_: (np.array([0.2, 0.3, 0.4]), 0.3))
    assert are_digits(run, np.zeros((3, 28, 28), np.float32)).tolist() == [True, True, False]
