import pytest

from cnnlab.charts.palette import LOSS_TICKS, SMALLEST_LOSS


def test_a_logarithmic_axis_has_two_numbers_for_each_power_of_ten_from_the_smallest_loss_on():
    assert LOSS_TICKS[:4] == pytest.approx([SMALLEST_LOSS, 3e-6, 1e-5, 3e-5])
    assert [tick for tick in LOSS_TICKS if 0.05 < tick < 50] == pytest.approx([0.1, 0.3, 1, 3, 10, 30])
    assert max(LOSS_TICKS) == pytest.approx(3e12)
