import pytest

from cnnlab.training.optimizers import learning_rate_at


def test_a_constant_learning_rate_is_the_recipes():
    assert [learning_rate_at(progress, 0.01, "constant") for progress in (0.001, 0.25, 0.999)] == [0.01] * 3


@pytest.mark.parametrize(
    ("progress", "share"), [(0.05, 0.2), (0.125, 0.5), (0.25, 1), (0.4, 0.8), (0.625, 0.5), (0.85, 0.2), (1, 0)]
)
def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing(progress, share):
    assert learning_rate_at(progress, 0.02, "one-cycle") == pytest.approx(0.02 * share)
