from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.data.pen_digits import load_drawn
from cnnlab.inference import unlike
from cnnlab.inference.nearest import Directions
from cnnlab.inference.unlike import answers_at_once, are_digits, distances_of
from cnnlab.runs.shelf import find_run

pytestmark = pytest.mark.slow


@pytest.fixture
def run():
    return find_run("reference-drawing")


def test_nearly_all_digits_of_writers_that_no_threshold_has_seen_are_digits(run):
    images, _ = load_drawn("testing")
    assert are_digits(run, images[:1_000, 0].numpy()).mean() > 0.98


def test_noise_a_frame_and_stripes_are_no_digits(run):
    noise = np.random.default_rng(0).random((28, 28), np.float32)
    frame = np.zeros((28, 28), np.float32)
    frame[4:24, [4, 23]] = frame[[4, 23], 4:24] = 1
    stripes = np.zeros((28, 28), np.float32)
    stripes[4:24:4, 4:24] = 1
    assert not are_digits(run, np.stack([noise, frame, stripes])).any()


def test_the_threshold_is_what_one_in_a_hundred_choosing_digits_exceeds(run):
    images, _ = load_drawn("choosing")
    distances, threshold = distances_of(run, images[:, 0].numpy())
    assert (distances > threshold).mean() == pytest.approx(0.01, abs=0.0005)
    assert 0 < threshold < 2


def test_what_a_network_makes_of_many_digits_is_computed_once(run, monkeypatch):
    image = np.zeros((1, 28, 28), np.float32)
    before = distances_of(run, image)
    monkeypatch.setattr(unlike, "_familiar_to", None)
    assert distances_of(run, image) == before


def test_networks_are_kept_up_to_a_size_those_asked_last(run, monkeypatch):
    size = 14_000 * 400 * 2  # numbers of two bytes
    monkeypatch.setattr(unlike, "_kept", OrderedDict())
    monkeypatch.setattr(unlike, "_MOST_KEPT", int(1.5 * size))
    other = find_run("reference-module")
    image = np.zeros((1, 28, 28), np.float32)
    assert not answers_at_once(run)
    distances_of(run, image)
    assert answers_at_once(run)
    distances_of(other, image)
    assert [answers_at_once(each) for each in (run, other)] == [False, True]
    monkeypatch.setattr(unlike, "_MOST_KEPT", size // 2)
    distances_of(other, image)
    assert answers_at_once(other)  # the last is kept whatever its size


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
