import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.data.pen_digits import load_drawn
from cnnlab.inference import unlike
from cnnlab.inference.unlike import are_digits, distances_of
from cnnlab.runs.shelf import find_run


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


def test_a_network_without_a_linear_layer_is_compared_by_its_logits():
    module = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
    directions = unlike._directions(module, torch.rand(3, 1, 28, 28))
    assert directions.shape == (3, 10)
    assert directions.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
