import pytest
from torch import nn

from cnnlab.bench.peak import operations_for_an_image, peak_operations
from cnnlab.bench.report import Measurement, Ratio, Timing


def test_a_peak_is_some_billions_of_operations():
    assert 1e8 < peak_operations(threads=1) < 1e13


@pytest.mark.slow
def test_the_operations_are_those_of_the_windows_and_of_the_winners():
    model = nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)),  # 13 × 13 windows of 2 channels, each of 4 sums of 9
        *(nn.Conv2d(2, 4, 5, padding=2), nn.ReLU()),  # 13 × 13 sums of 4 channels, each of 25 × 2
        *(nn.Flatten(), nn.Linear(676, 10)),
    )
    first = 13 * 13 * 2 * 9 * (4 + 1)
    second = 13 * 13 * 4 * 50 * (1 + 2)
    assert operations_for_an_image(model) == 2 * (first + second + 676 * 10 * 3)


def test_without_convolutions_the_first_linear_layer_passes_nothing_back():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))
    assert operations_for_an_image(model) == 2 * (784 * 20 * 2 + 20 * 10 * 3)


def test_the_share_of_the_peak_is_that_of_each_round():
    fused = Timing("fused", [2.0, 1.0, 4.0], {})
    measurement = Measurement(100, 2, [fused], [1e6, 1e6, 1e6], {}, [])
    share = measurement.share_of_peak(operations_for_an_image=50)  # 128 images in a batch
    assert share == Ratio(median=pytest.approx(0.32), min=pytest.approx(0.16), max=pytest.approx(0.64))
    assert Measurement(100, 2, [fused], [], {}, []).share_of_peak(50) is None
