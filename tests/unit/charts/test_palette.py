from cnnlab.charts.palette import LOSS_TICKS, SMALLEST_LOSS


def test_a_logarithmic_axis_has_two_numbers_for_each_power_of_ten_from_the_smallest_loss_on():
    assert LOSS_TICKS[:4] == [SMALLEST_LOSS, 3e-6, 1e-5, 3.0000000000000004e-05]
    assert [tick for tick in LOSS_TICKS if 0.05 < tick < 50] == [0.1, 0.30000000000000004, 1, 3, 10, 30]
    assert max(LOSS_TICKS) == 3e12
